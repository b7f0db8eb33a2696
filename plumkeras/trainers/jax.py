"""`train_step` and `test_step` for the JAX backend, on one device or under `keras.distribution`.

A step is a pure function of the state; the hooks of the stage run inside a `StatelessScope`, which reads the state it
is given and collects what the hooks assign. Under `keras.distribution.DataParallel` the arrays of a step are global
ones: each device computes on its rows, XLA adds the communication, and nothing has to be gathered here.
"""

import jax
import keras


class JAXTrainer(keras.Model):
    """One step of either stage. What is minimised comes from the subclass: `forward`, `before_step`, `loss_terms`,
    `after_step`."""

    # Without jit a JAX step is run operation by operation, many times as slow.
    compiles_by_default = True

    def train_step(self, state, data):
        trainable, non_trainable, optimizer_variables, metrics = state
        batch = keras.utils.unpack_x_y_sample_weight(_cut(data))

        def prepare():
            self.before_step(*batch, gather=lambda structure: structure)

        _, (non_trainable,) = _run(
            prepare, [(self.trainable_variables, trainable)], [(self.non_trainable_variables, non_trainable)]
        )

        def loss(trainable):
            (terms, outputs), (after,) = _run(
                lambda: self._forward_terms(batch, training=True),
                [(self.trainable_variables, trainable)],
                [(self.non_trainable_variables, non_trainable)],
            )
            scaled, _ = _run(
                lambda: self.optimizer.scale_loss(sum(terms.values())),
                [(self.optimizer.variables, optimizer_variables)],
                [],
            )
            return scaled, (terms, outputs, after)

        gradients, (terms, outputs, non_trainable) = jax.grad(loss, has_aux=True)(trainable)
        trainable, optimizer_variables = self.optimizer.stateless_apply(optimizer_variables, gradients, trainable)
        _, (non_trainable,) = _run(
            lambda: self.after_step(outputs, *batch[1:]),
            [(self.trainable_variables, trainable)],
            [(self.non_trainable_variables, non_trainable)],
        )
        logs, metrics = self._log(metrics, terms, outputs, batch)
        return logs, (trainable, non_trainable, optimizer_variables, metrics)

    def test_step(self, state, data):
        trainable, non_trainable, metrics = state
        batch = keras.utils.unpack_x_y_sample_weight(_cut(data))
        (terms, outputs), (non_trainable,) = _run(
            lambda: self._forward_terms(batch, training=False),
            [(self.trainable_variables, trainable)],
            [(self.non_trainable_variables, non_trainable)],
        )
        logs, metrics = self._log(metrics, terms, outputs, batch)
        return logs, (trainable, non_trainable, metrics)

    def embed(self, inputs):
        """Outputs of `embedding_part` for a batch outside of a step."""
        return self.embedding_part.predict_on_batch(inputs)

    def _forward_terms(self, batch, training):
        x, y, sample_weight = batch
        outputs = self.forward(x, training=training)
        return self.loss_terms(outputs, y, sample_weight), outputs

    def _log(self, metrics, terms, outputs, batch):
        def update():
            self.track(terms, outputs, *batch[1:])
            return self.get_metrics_result()

        logs, (metrics,) = _run(update, [], [(self.metrics_variables, metrics)])
        return logs, metrics


def _cut(batch):
    """Gives each device its part of the batch; where the rows cannot be shared evenly, all of it."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return batch
    mesh = distribution.device_mesh

    def cut(tensor):
        if tensor is None or tensor.shape[0] % mesh.devices.size:
            return tensor
        axes = [distribution.batch_dim_name] + [None] * (tensor.ndim - 1)
        return keras.distribution.distribute_tensor(tensor, keras.distribution.TensorLayout(axes, mesh))

    return keras.tree.map_structure(cut, batch)


def _run(function, read, updated):
    """Calls `function` with variables at given values.

    Args:
        function: callable of no arguments.
        read, updated: lists of `(variables, values)`.

    Returns:
        The function's result, and for each pair of `updated` the list of its variables' values afterwards.
    """
    mapping = [pair for variables, values in (*read, *updated) for pair in zip(variables, values, strict=True)]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        result = function()
    return result, [[scope.get_current_value(variable) for variable in variables] for variables, _ in updated]
