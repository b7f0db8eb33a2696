"""Prototype-based Single-modal Label generation, the paper's eq. 4-5."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.masking import PACKAGE

# Far below any distance softmax can tell from zero, and finite: a class not seen takes no part.
_EXCLUDED = -1e9


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class PrototypeLabelGenerator(keras.layers.Layer):
    """Labels of one modality from the distances of its embedding to the class prototypes.

    `d_k = ||h - c_k||_2`, `soft = softmax(-d / temperature)`, `hard = argmin d`. The prototypes are weights that no
    gradient reaches; trainers set them (`assign_prototypes`), and inference needs no labels.

    Args:
        num_classes: int. `C`.
        temperature: float. `1.0` is eq. 5 as printed.
        normalize: bool. Whether `h` and the prototypes are scaled to unit length before the distance. With `False`
            and a width of 256, eq. 5 is nearly one-hot; with `True` and temperature 1 nearly uniform.

    Call arguments:
        embedding: `[B, d]` float, `h`.
        present: `[B]` bool, whether the sample has this modality.

    Returns:
        `soft_label [B, C]` float32 and `hard_label [B]` int32. Missing modality, or no class seen yet:
        `soft = 1 / C` and `hard = -1`.

    Example:
        >>> layer = PrototypeLabelGenerator(num_classes=2)
        >>> embedding, present = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([True, False])
        >>> layer.build(embedding.shape, present.shape)
        >>> layer.assign_prototypes(centroids=np.eye(2), counts=np.array([4, 4]))
        >>> soft, hard = layer(embedding, present)
        >>> ops.convert_to_numpy(hard).tolist(), ops.convert_to_numpy(soft)[1].tolist()  # The second is missing.
        ([0, -1], [0.5, 0.5])

    Reference: PLUM-Net, eq. 4-5.
    """

    def __init__(self, num_classes: int, temperature: float = 0.1, normalize: bool = True, **kwargs):
        # Distances and softmax in float32 under every precision policy.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if num_classes < 2:
            raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}")
        if temperature <= 0:
            raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
        self.num_classes = num_classes
        self.temperature = temperature
        self.normalize = normalize

    def build(self, embedding_shape, present_shape):
        def state(shape, name):
            # Every replica assigns the same value, so any one of them is right.
            return self.add_weight(
                shape=shape, initializer="zeros", trainable=False, name=name, aggregation="only_first_replica"
            )

        self.prototypes = state((self.num_classes, embedding_shape[-1]), "prototypes")
        self.seen = state((self.num_classes,), "seen")
        self.built = True

    def assign_prototypes(self, centroids, counts, momentum=0.0):
        """Sets the prototypes of the classes that `counts` has; the others keep theirs.

        Args:
            centroids: `[C, d]`, means by class.
            counts: `[C]`, samples by class.
            momentum: float. Weight of the old prototype of a class seen before. `0` replaces it.
        """
        now = ops.cast(ops.convert_to_tensor(counts) > 0, "float32")
        seen, old = ops.convert_to_tensor(self.seen), ops.convert_to_tensor(self.prototypes)
        keep = now * seen * momentum + (1 - now)
        self.prototypes.assign(keep[:, None] * old + (1 - keep)[:, None] * ops.cast(centroids, "float32"))
        self.seen.assign(ops.maximum(seen, now))

    def call(self, embedding, present):
        embedding = ops.stop_gradient(ops.cast(embedding, "float32"))
        prototypes = ops.stop_gradient(ops.convert_to_tensor(self.prototypes))
        if self.normalize:
            embedding, prototypes = _unit(embedding), _unit(prototypes)
        difference = embedding[:, None, :] - prototypes[None, :, :]
        distance = ops.sqrt(ops.maximum(ops.sum(difference * difference, axis=-1), 1e-12))
        seen = ops.convert_to_tensor(self.seen) > 0
        score = ops.where(seen[None, :], -distance / self.temperature, _EXCLUDED)
        usable = ops.logical_and(present, ops.any(seen))
        soft = ops.where(usable[:, None], ops.softmax(score, axis=-1), 1.0 / self.num_classes)
        hard = ops.where(usable, ops.cast(ops.argmax(score, axis=-1), "int32"), -1)
        return soft, hard

    def compute_output_spec(self, embedding, present):
        batch = embedding.shape[0]
        return (
            keras.KerasTensor((batch, self.num_classes), dtype="float32"),
            keras.KerasTensor((batch,), dtype="int32"),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "temperature": self.temperature,
            "normalize": self.normalize,
        }


def _unit(vector):
    return vector * ops.rsqrt(ops.maximum(ops.sum(vector * vector, axis=-1, keepdims=True), 1e-12))
