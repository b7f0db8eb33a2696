"""GLoMo's mixture of experts, of which each sample uses a few."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import replica_seeds
from plumkeras.layers.masking import PACKAGE

_MASKED = -1e9
# Subtracted from the standardised distance in the public code, as the mean of its normal distribution.
_LOAD_SHIFT = 0.1


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class SparseMixture(keras.layers.Layer):
    """`log sum_e gate_e exp(expert_e(x))` over the `k` experts with the highest scores; gates are their softmax.

    Training, the scores get normal noise whose deviation is learned. Equal scores are ordered by the expert's number.
    Gates and their statistics are float32.

    Args:
        width: int `d`, of the experts' layers.
        num_experts: int `E`. Defaults to `3`.
        top_k: int, below `num_experts`. Defaults to `2`.

    Call arguments:
        vector: `[B, n]` float.
        noise: `[B, E]` float, or `None`: drawn while training, none otherwise.

    Returns:
        The mixture `[B, d]`; the gates `[B, E]`, 0 for experts that are not used; and each expert's load `[B, E]`: with
        noise the probability that it is used, otherwise whether it is.

    Raises:
        ValueError: `top_k` is not below `num_experts`.

    Example:
        >>> mixture, gates, load = SparseMixture(4)(np.ones((2, 6)))
        >>> tuple(mixture.shape), ops.convert_to_numpy(gates)[0].tolist()  # No expert is preferred at the start.
        ((2, 4), [0.5, 0.5, 0.0])

    Reference: Shazeer et al. 2017, with the logarithm of Zhuang et al. 2024.
    """

    def __init__(self, width: int, num_experts: int = 3, top_k: int = 2, **kwargs):
        super().__init__(**kwargs)
        if not 1 <= top_k < num_experts:
            raise ValueError(
                f"`top_k` must be 1 or more and below `num_experts`. Received: top_k={top_k}, num_experts={num_experts}"
            )
        self.width, self.num_experts, self.top_k = width, num_experts, top_k
        policy = self.dtype_policy
        self.experts = [
            (
                keras.layers.Dense(width, "relu", dtype=policy, name=f"expert_{e}_dense_1"),
                keras.layers.Dense(width, dtype=policy, name=f"expert_{e}_dense_2"),
            )
            for e in range(num_experts)
        ]
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, vector_shape, noise_shape=None):
        shape = (vector_shape[-1], self.num_experts)
        self.gate = self.add_weight(shape=shape, initializer="zeros", autocast=False, name="gate")
        self.noise = self.add_weight(shape=shape, initializer="zeros", autocast=False, name="noise")
        for first, second in self.experts:
            first.build(vector_shape)
            second.build((None, self.width))
        self.built = True

    def call(self, vector, noise=None, training=False):
        features = ops.cast(vector, "float32")
        clean = scores = ops.matmul(features, self.gate)
        noisy = training or noise is not None
        if noisy:
            if noise is None:
                noise = keras.random.normal(ops.shape(clean), dtype="float32", seed=replica_seeds(self.seed_generator))
            deviation = ops.softplus(ops.matmul(features, self.noise)) + 0.01
            scores = clean + ops.cast(noise, "float32") * deviation
        rank = self._rank(scores)
        kept = rank < self.top_k
        masked = ops.where(kept, scores, _MASKED)
        log_gates = masked - ops.logsumexp(masked, axis=-1, keepdims=True)
        gates = ops.where(kept, ops.exp(log_gates), 0.0)
        answers = ops.stack([second(first(vector)) for first, second in self.experts], axis=1)
        # The sum of the exponentials would leave float32's range.
        weighed = ops.where(kept[:, :, None], log_gates[:, :, None] + ops.cast(answers, "float32"), _MASKED)
        mixture = ops.cast(ops.logsumexp(weighed, axis=1), self.compute_dtype)
        if not noisy:
            return mixture, gates, ops.cast(gates > 0, "float32")
        # What a score has to exceed: the best of those left out, or for one of these the worst of those kept.
        best_out = self._with_rank(scores, rank, self.top_k)
        worst_in = self._with_rank(scores, rank, self.top_k - 1)
        threshold = ops.where(scores > best_out, best_out, worst_in)
        distance = (clean - threshold) / deviation - _LOAD_SHIFT
        return mixture, gates, 0.5 * (1.0 + ops.erf(distance * 0.5**0.5))

    @staticmethod
    def _rank(scores):
        """How many experts come before each one, `[B, E]`."""
        index = ops.arange(ops.shape(scores)[1])
        mine, other = scores[:, :, None], scores[:, None, :]
        earlier = (index[None, :] < index[:, None])[None]
        before = ops.logical_or(other > mine, ops.logical_and(other == mine, earlier))
        return ops.sum(ops.cast(before, "int32"), axis=-1)

    @staticmethod
    def _with_rank(scores, rank, wanted):
        return ops.sum(ops.where(rank == wanted, scores, 0.0), axis=-1, keepdims=True)

    def compute_output_spec(self, vector, noise=None, training=False):
        batch = vector.shape[0]
        statistics = [keras.KerasTensor((batch, self.num_experts), dtype="float32") for _ in range(2)]
        return keras.KerasTensor((batch, self.width), dtype=self.compute_dtype), *statistics

    def get_config(self):
        own = {"width": self.width, "num_experts": self.num_experts, "top_k": self.top_k}
        return {**super().get_config(), **own}
