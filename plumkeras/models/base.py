"""What every network is, whatever is inside: named features in, named outputs and a prediction out."""

import keras
import numpy as np
from keras import ops

from plumkeras import features
from plumkeras.layers.text_encoder import TextEncoder
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.tasks import get_task


def check_widths(feature_dims: dict[str, int], text_encoder=None) -> dict[str, int]:
    """The widths as a dict of their own.

    Args:
        feature_dims: dict from modality to width; 0 (`features.TOKEN_IDS`) of the modality that is token ids.
        text_encoder: `layers.TextEncoder` that reads them, or None.

    Raises:
        ValueError: a width is neither positive nor that of token ids; or there are token ids and no encoder, an encoder
            and none, or several.
    """
    feature_dims = dict(feature_dims)
    if not feature_dims or any(not isinstance(w, int) or w < 0 for w in feature_dims.values()):
        raise ValueError(
            f"`feature_dims` must give each modality a positive width. Received: feature_dims={feature_dims}"
        )
    read = [m for m, width in feature_dims.items() if width == features.TOKEN_IDS]
    if len(read) != (text_encoder is not None):
        raise ValueError(
            "`feature_dims` must give the modality that `text_encoder` reads the width 0, which stands for token ids, "
            f"and no other one. Received: feature_dims={feature_dims}, text_encoder={text_encoder}"
        )
    return feature_dims


class MultimodalNetwork(keras.Model):
    """A functional model from a flat dict of inputs to a flat dict of outputs, for any task of `plumkeras.tasks`.

    A subclass builds the layers in its constructor, calls `super().__init__(inputs=..., outputs=...)` with the inputs
    of `named_input_tensors`, an output `prediction` and, per modality, an output `<modality>_present` `[B]` bool. Its
    layers `<modality>_encoder` have a `standardization`. It sets the attributes below.

    Attributes:
        feature_dims: dict from modality to feature width.
        task: name of the task.
        num_classes: int. Classes of the task, or those that a scheme makes of its labels.
        policy: the `keras.dtype_policies.DTypePolicy` of its layers.
    """

    @staticmethod
    def named_input_tensors(feature_dims: dict[str, int]) -> dict:
        """`<modality>` `[B, T, F]` float32 and `<modality>_length` `[B]` int32, as `keras.Input`s by name.

        Of token ids, `<modality>_ids` `[B, T]` int32.
        """
        inputs = {}
        for m, width in feature_dims.items():
            name = features.input_name(m, width)
            shape, dtype = ((None,), "int32") if width == features.TOKEN_IDS else ((None, width), "float32")
            inputs[name] = keras.Input(shape, name=name, dtype=dtype)
            inputs[f"{m}_length"] = keras.Input((), name=f"{m}_length", dtype="int32")
        return inputs

    @property
    def task_object(self):
        """The `plumkeras.tasks.Task` of its `task`."""
        return get_task(self.task)

    @property
    def modalities(self):
        """Names of the modalities, in the order of `feature_dims`."""
        return tuple(self.feature_dims)

    @property
    def prototype_generators(self) -> dict:
        """Dict from modality to its `PrototypeLabelGenerator`; empty for a network without labels per modality."""
        return {}

    @property
    def standardizations(self) -> dict:
        """Dict from modality to the `FeatureStandardization` of its features; token ids have none."""
        return {m: self._standardization(m) for m, width in self.feature_dims.items() if width != features.TOKEN_IDS}

    def _standardization(self, modality):
        return self.get_layer(f"{modality}_encoder").standardization

    @property
    def text_encoder(self):
        """The `layers.TextEncoder` of a network that reads token ids, else None."""
        found = (getattr(layer, "text_encoder", layer) for layer in self.layers)
        return next((layer for layer in found if isinstance(layer, TextEncoder)), None)

    def objective(self, label_classes="sign3", class_weight=None, **options):
        """What `PredictionTrainer` minimises: an object with `output_names`, `term_names` and `terms`.

        Args:
            label_classes, class_weight: as in `PredictionTrainer`.
            **options: of the model's own objective; by default there are none.
        """
        return PredictionObjective(self, label_classes, class_weight, **options)

    def signatures(self) -> dict[str, dict[str, str]]:
        """What an export answers: dict by signature of dicts from the name in the answer to that of the output.

        A name that ends in `_probabilities` is the softmax of its output.
        """
        return {"serving_default": {"prediction": "prediction"}, "explain": {"prediction": "prediction"}}

    def __call__(self, inputs, *args, training=None, **kwargs):
        # Not in `call`, before which Keras refuses what can be filled in, and lengthens every error.
        named = self.named_inputs(inputs, may_be_absent=not training)
        return super().__call__(named, *args, training=training, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`. Of a dict of arrays a modality may be absent: it is missing for every sample.

        Warns:
            UserWarning: a modality is absent, every modality of some samples is missing, or values were set to 0.
        """
        if isinstance(x, dict):
            x = self.complete_arrays(x, may_be_absent=True)
        self._trace_predictions(x)
        outputs = super().predict(x, *args, **kwargs)
        features.warn_of_lacking_all(outputs[f"{m}_present"] for m in self.modalities)
        return outputs

    def _trace_predictions(self, x):
        """Traces the graph of `tf.data` batches of any length; otherwise the first batch would have one of its own."""
        spec = getattr(x, "element_spec", None)
        named = spec[0] if isinstance(spec, tuple) else spec
        if self.predict_function is not None or self.steps_per_execution > 1 or not isinstance(named, dict):
            return
        if getattr(getattr(self, "distribute_strategy", None), "num_replicas_in_sync", 1) > 1:
            return
        for m, width in self.feature_dims.items():
            # Data of unknown shape are traced by their first batch.
            name = features.input_name(m, width)
            shape = getattr(named.get(name), "shape", None)
            if name in named and (shape is None or shape.rank is None or (width and shape[-1] != width)):
                return
        self.make_predict_function()
        if hasattr(self.predict_function, "get_concrete_function"):
            self.predict_function.get_concrete_function([spec])

    def complete_arrays(self, arrays, where="the dict of arrays", **options):
        """`features.complete_inputs` of arrays or tensors, for this network."""
        names = [n for m, w in self.feature_dims.items() for n in (features.input_name(m, w), f"{m}_length")]
        # Names that the network does not read pass unread: they are for messages.
        numpy = {n: ops.convert_to_numpy(a) if n in names and a is not None else a for n, a in arrays.items()}
        complete = features.complete_inputs(numpy, self.feature_dims, where, **options)
        for m, width in self.feature_dims.items():
            if width == features.TOKEN_IDS:
                self.text_encoder.check_ids(complete[f"{m}_ids"], f"{where}: {m}_ids")
        return complete

    def named_inputs(self, inputs, may_be_absent=False):
        """Of a dict of tensors those that the network reads, by name: Keras would match them by position.

        Without lengths every frame counts. An absent modality, where it may be, is missing for every sample.

        Raises:
            DataError: a modality is absent, or has the wrong width.
        """
        absent = features.check_names(inputs, self.feature_dims, f"{self.name}: the inputs", may_be_absent)
        named = {}
        for m, width in self.feature_dims.items():
            if m in absent:
                continue
            called = features.input_name(m, width)
            # Tensors all, since Keras refuses a mixture with arrays.
            sequence, length = (_tensor(inputs.get(name)) for name in (called, f"{m}_length"))
            if width != features.TOKEN_IDS:
                if len(sequence.shape) == 2:
                    sequence = ops.expand_dims(sequence, 1)
                features.check_width(sequence.shape[-1], width, m, f"{self.name}: the inputs")
            if length is None:
                frames = sequence if width == features.TOKEN_IDS else sequence[:, :, 0]
                length = ops.sum(ops.ones_like(frames, dtype="int32"), axis=1)
            named[called], named[f"{m}_length"] = sequence, length
        none = ops.zeros_like(next(length for name, length in named.items() if name.endswith("_length")))
        for m in absent:
            width = self.feature_dims[m]
            frame = ops.expand_dims(ops.cast(none, "int32" if width == features.TOKEN_IDS else "float32"), 1)
            if width != features.TOKEN_IDS:
                frame = ops.repeat(ops.expand_dims(frame, 2), width, axis=2)
            named[features.input_name(m, width)], named[f"{m}_length"] = frame, none
        return named

    def get_config(self):
        encoder = self.text_encoder
        own = {} if encoder is None else {"text_encoder": keras.saving.serialize_keras_object(encoder)}
        return {
            **own,
            "feature_dims": dict(self.feature_dims),
            "num_classes": self.num_classes,
            "task": self.task,
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.policy),
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**with_text_encoder(config))

    def select(self, *names: str) -> keras.Model:
        """The same network with only the named outputs: a functional model that computes nothing else."""
        return keras.Model(self.input, {name: self.output[name] for name in names}, name=f"{self.name}_part")

    def adapt(self, dataset) -> None:
        """Fits the standardisation on the valid frames of the training split.

        Args:
            dataset: an iterable of batches, `(inputs, labels)` or `inputs`, e.g. of `make_dataset`, gone through once;
                or one dict of arrays.

        Raises:
            ValueError: when a modality has no valid frame, or a batch is not what the network reads. NaN of a dict of
                arrays is set to 0 with a warning, as `fit` does it; of a batch it is refused.
        """
        is_dict = isinstance(dataset, dict)
        batches = [dataset] if is_dict else dataset
        layers = self.standardizations
        if not layers:
            return
        moments = {m: features.FrameMoments(self.feature_dims[m]) for m in layers}
        for number, batch in enumerate(batches):
            inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
            where = "the dict of arrays" if is_dict else f"batch {number}"
            inputs = self.complete_arrays(inputs, where, clean=is_dict)
            for m, layer in layers.items():
                layer.collect(moments[m], inputs[m], inputs[f"{m}_length"])
        for m in layers:
            if not moments[m].count:
                raise ValueError(f"{m}: no valid frame to take statistics from; is the modality missing everywhere?")
        for m, layer in layers.items():
            layer.set_moments(moments[m])

    @property
    def is_adapted(self):
        """Whether the standardisation has other statistics than those it begins with, or there is none."""
        return not self.standardizations or any(
            np.any(ops.convert_to_numpy(layer.mean) != 0) or np.any(ops.convert_to_numpy(layer.divisor) != 1)
            for layer in self.standardizations.values()
        )


def with_text_encoder(config):
    """A network's configuration with the text encoder that it describes, where it does."""
    if not isinstance(config.get("text_encoder"), dict):
        return config
    return {**config, "text_encoder": keras.saving.deserialize_keras_object(config["text_encoder"])}


def _tensor(values):
    return values if values is None or keras.utils.is_keras_tensor(values) else ops.convert_to_tensor(values)
