"""Layers of TFN and LMF: a vector for each modality, and the products of the vectors' values."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE, masked_mean, valid_frames
from plumkeras.layers.recurrent import Recurrent
from plumkeras.tasks import get_task


def sum_over_replicas(values):
    """The sum of a tensor over the replicas of a TensorFlow strategy; on one device, and on JAX, the tensor itself."""
    if keras.backend.backend() != "tensorflow":
        return values
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


class PresentBatchNormalization(keras.layers.Layer):
    """Batch normalisation in float32, whose statistics are those of the rows that are present, on all replicas.

    Of fewer than two rows there are none: the moving ones are taken, and stay.

    Args:
        momentum: float, of the moving statistics.
        epsilon: float.

    Call arguments:
        vector: `[B, d]`.
        present: `[B]` bool.

    Reference: Ioffe and Szegedy 2015.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, vector_shape):
        def weight(name, initializer, **options):
            return self.add_weight(shape=(vector_shape[-1],), initializer=initializer, name=name, **options)

        self.gamma, self.beta = weight("gamma", "ones"), weight("beta", "zeros")
        # The same on every replica.
        state = {"trainable": False, "aggregation": "only_first_replica"}
        self.moving_mean = weight("moving_mean", "zeros", **state)
        self.moving_variance = weight("moving_variance", "ones", **state)
        self.built = True

    def call(self, vector, present, training=False):
        mean, variance = (ops.convert_to_tensor(moving) for moving in (self.moving_mean, self.moving_variance))
        if training:
            mean, variance = self._of_batch(vector, present, mean, variance)
        scale = ops.rsqrt(variance + self.epsilon) * self.gamma
        return (vector - mean) * scale + self.beta

    def _of_batch(self, vector, present, moving_mean, moving_variance):
        rows = ops.cast(present, "float32")[:, None]
        total = sum_over_replicas(ops.sum(ops.concatenate([rows, vector * rows], axis=1), axis=0))
        count = ops.maximum(total[0], 1.0)
        mean = total[1:] / count
        variance = sum_over_replicas(ops.sum(ops.square(vector - mean) * rows, axis=0)) / count
        enough = total[0] > 1.5
        mean, variance = ops.where(enough, mean, moving_mean), ops.where(enough, variance, moving_variance)
        for state, before, now in (
            (self.moving_mean, moving_mean, mean),
            (self.moving_variance, moving_variance, variance),
        ):
            state.assign(before + (1.0 - self.momentum) * (ops.stop_gradient(now) - before))
        return mean, variance


class _Subnetwork(keras.layers.Layer):
    """What makes a vector `[B, width]` of a sequence `[B, T, F]` and its length `[B]`; zero for length 0."""

    def __init__(self, width, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.dropout = width, dropout
        self.drop = Dropout(dropout, dtype=self.dtype_policy, name="drop")

    def call(self, sequence, length, training=False):
        present = ops.cast(length, "int32") > 0
        vector = self.vector(sequence, length, present, training)
        return ops.where(present[:, None], vector, ops.zeros_like(vector))

    def compute_output_spec(self, sequence, length, training=False):
        return keras.KerasTensor((sequence.shape[0], self.width), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "width": self.width, "dropout": self.dropout}


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class MeanSubnetwork(_Subnetwork):
    """The mean over the valid frames, batch normalisation, dropout and three dense layers.

    Args:
        width: int, of the dense layers.
        dropout: float. Defaults to `0`.

    Call arguments:
        sequence: `[B, T, F]` float.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, width]`; zero for length 0.

    Reference: Zadeh et al. 2017, section 4.1.
    """

    def __init__(self, width, dropout=0.0, **kwargs):
        super().__init__(width, dropout, **kwargs)
        self.norm = PresentBatchNormalization(name="norm")
        self.dense = [
            FanInDense(width, "relu", dtype=self.dtype_policy, name=f"dense_{number}") for number in (1, 2, 3)
        ]

    def build(self, sequence_shape, length_shape=None):
        batch, features = sequence_shape[0], sequence_shape[-1]
        self.norm.build((batch, features))
        for layer, width in zip(self.dense, (features, self.width, self.width), strict=True):
            layer.build((batch, width))
        self.built = True

    def vector(self, sequence, length, present, training):
        mean = masked_mean(sequence, valid_frames(sequence, length))
        hidden = self.drop(ops.cast(self.norm(mean, present, training=training), self.compute_dtype), training=training)
        for layer in self.dense:
            hidden = layer(hidden)
        return hidden


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class LSTMSubnetwork(_Subnetwork):
    """The state of an LSTM after the last valid frame, dropout and a linear layer.

    Args:
        units: int, of the LSTM.
        width: int, of the vector.
        dropout: float. Defaults to `0`.

    Call arguments:
        sequence: `[B, T, F]` float.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, width]`; zero for length 0.

    Reference: Zadeh et al. 2017, section 4.1.
    """

    def __init__(self, units, width, dropout=0.0, **kwargs):
        super().__init__(width, dropout, **kwargs)
        self.units = units
        self.lstm = Recurrent(units, dtype=self.dtype_policy, name="lstm")
        self.projection = FanInDense(width, dtype=self.dtype_policy, name="projection")

    def build(self, sequence_shape, length_shape=None):
        self.lstm.build(sequence_shape)
        self.projection.build((sequence_shape[0], self.units))
        self.built = True

    def vector(self, sequence, length, present, training):
        _, state = self.lstm(sequence, length, training=training)
        return self.projection(self.drop(state, training=training))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def modality_vectors(sequences, lengths, policy, width, text_width, text_out, dropout, text_dropout):
    """The vectors of the modalities, a dict, the text's last: of the text by an LSTM, of others by means.

    Args:
        sequences, lengths, policy: as in `PublishedNetwork.wire`.
        width: int, of the others' vectors, or a dict by modality.
        text_width, text_out: ints, of the LSTM and of the text's vector.
        dropout, text_dropout: floats, of the others and of the text.
    """
    vectors = {}
    for m in sorted(sequences, key=lambda m: m == "text"):
        options = {"dtype": policy, "name": f"{m}_vector"}
        if m == "text":
            layer = LSTMSubnetwork(text_width, text_out, text_dropout, **options)
        else:
            layer = MeanSubnetwork(width[m] if isinstance(width, dict) else width, dropout, **options)
        vectors[m] = layer(sequences[m], lengths[m])
    return vectors


def with_one(vector):
    """`[B, d]` -> `[B, 1 + d]`: a leading 1, whose products with other vectors are these alone."""
    return ops.concatenate([ops.ones_like(vector[:, :1]), vector], axis=-1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class TensorFusion(keras.layers.Layer):
    """The outer product of vectors `[B, d_m]`, each with a leading 1, `[B, prod(1 + d_m)]`; the last one's run fastest.

    Reference: Zadeh et al. 2017, section 4.2.
    """

    def call(self, vectors):
        product = with_one(vectors[0])
        for vector in vectors[1:]:
            width = product.shape[-1] * (1 + vector.shape[-1])
            product = ops.reshape(product[:, :, None] * with_one(vector)[:, None, :], (-1, width))
        return product

    def compute_output_spec(self, vectors):
        width = 1
        for vector in vectors:
            width *= 1 + vector.shape[-1]
        return keras.KerasTensor((vectors[0].shape[0], width), dtype=self.compute_dtype)

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class LowRankFusion(keras.layers.Layer):
    """The prediction by the outer product of vectors, whose weights are a sum of `rank` products of factors.

    `y = sum_k w_k P_k + b`, `P_k` being the product over the modalities of `[1, h_m] F_mk`. In float32.

    Args:
        modalities: names of the vectors, for those of the weights.
        rank: int `r`.
        task: a name of `plumkeras.tasks`.
        num_classes: int.

    Call arguments:
        vectors: list of `[B, d_m]`.

    Returns:
        The task's `[B]` values or `[B, C]` probabilities, and the products `P`, `[B, r, C]`; `C` is 1 in regression.

    Reference: Liu et al. 2018, section 3.
    """

    def __init__(self, modalities, rank, task, num_classes, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.modalities, self.rank, self.task, self.num_classes = list(modalities), rank, task, num_classes
        self.units = get_task(task).units(num_classes)

    def build(self, vector_shapes):
        def factor(name, shape, fan_in, fan_out):
            # Glorot's rule for normal numbers, by the fans that the authors' framework counts.
            initializer = keras.initializers.RandomNormal(stddev=(2 / (fan_in + fan_out)) ** 0.5)
            return self.add_weight(shape=shape, initializer=initializer, name=name)

        self.factors = []
        for m, shape in zip(self.modalities, vector_shapes, strict=True):
            size = shape[-1] + 1
            fans = size * self.units, self.rank * self.units
            self.factors.append(factor(f"{m}_factor", (self.rank, size, self.units), *fans))
        self.rank_weights = factor("rank_weights", (1, self.rank), self.rank, 1)
        self.bias = self.add_weight(shape=(1, self.units), initializer="zeros", name="bias")
        self.built = True

    def call(self, vectors):
        products = 1.0
        for vector, factor in zip(vectors, self.factors, strict=True):
            products = products * ops.einsum("bd,rdo->bro", with_one(vector), factor)
        scores = ops.sum(products * ops.transpose(self.rank_weights)[None], axis=1) + self.bias
        return get_task(self.task).activate(scores), products

    def compute_output_spec(self, vectors):
        batch = vectors[0].shape[0]
        shape = get_task(self.task).prediction_shape(batch, self.num_classes)
        return (
            keras.KerasTensor(shape, dtype="float32"),
            keras.KerasTensor((batch, self.rank, self.units), dtype="float32"),
        )

    def get_config(self):
        own = {"modalities": self.modalities, "rank": self.rank, "task": self.task, "num_classes": self.num_classes}
        return {**super().get_config(), **own}
