"""`train_step` and `test_step` for the torch backend, on one device."""

import keras
import torch


class TorchTrainer(keras.Model):
    """One step of either stage. What is minimised comes from the subclass: `forward`, `before_step`, `loss_terms`,
    `after_step`."""

    compiles_by_default = False

    def train_step(self, data):
        x, y, sample_weight = _on_device(keras.utils.unpack_x_y_sample_weight(data))
        with torch.no_grad():
            self.before_step(x, y, sample_weight, gather=lambda structure: structure)
        self.zero_grad()
        outputs = self.forward(x, training=True)
        terms = self.loss_terms(outputs, y, sample_weight)
        self.optimizer.scale_loss(sum(terms.values())).backward()
        variables = self.trainable_variables
        with torch.no_grad():
            self.optimizer.apply([variable.value.grad for variable in variables], variables)
            self.after_step(outputs, y, sample_weight)
            self.track(terms, outputs, y, sample_weight)
        return self.get_metrics_result()

    def test_step(self, data):
        x, y, sample_weight = _on_device(keras.utils.unpack_x_y_sample_weight(data))
        outputs = self.forward(x, training=False)
        self.track(self.loss_terms(outputs, y, sample_weight), outputs, y, sample_weight)
        return self.get_metrics_result()

    def embed(self, inputs):
        """Outputs of `embedding_part` for a batch outside of a step."""
        return self.embedding_part.predict_on_batch(inputs)


def _on_device(structure):
    """Tensors of the structure where the variables are: a loader's are on the CPU."""
    return keras.tree.map_structure(lambda t: t if t is None else keras.ops.convert_to_tensor(t), structure)
