"""Task-conditioned Feature Bifurcator, the paper's eq. 6-8."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import MultiHeadAttention, processed_together
from plumkeras.layers.masking import PACKAGE, attended_frames, check_divisible
from plumkeras.layers.transformer import TransformerEncoder


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TaskConditionedBranch(keras.layers.Layer):
    """A Transformer branch, pooled by a learned task embedding: the common one of all modalities, or a private one.

    One common branch serves all modalities: in the paper's Figures 5b and 6 their common embeddings converge, though
    nothing but the classification ties them, which takes one set of weights.

    Args:
        hidden_dim: int. `d`.
        num_classes: int. `C`.
        num_layers: int, of the encoder. Defaults to `2`.
        num_heads: int. Defaults to `8`.
        dropout: float. Defaults to `0.1`.

    Call arguments:
        sequence: `[B, T, d]`, or a dict of them by modality, which go through every layer at once.
        length: `[B]` int, or a dict.

    Returns:
        Dict: `sequence` `[B, T, d]` (encoded), `embedding` `[B, d]` and `logits` `[B, C]` float32; with several
        modalities a dict of such dicts.

    Example:
        >>> layer = TaskConditionedBranch(hidden_dim=8, num_classes=3, num_layers=1, num_heads=2)
        >>> branch = layer(np.ones((2, 5, 8)), np.array([5, 2]))
        >>> {name: tuple(value.shape) for name, value in branch.items()}
        {'sequence': (2, 5, 8), 'embedding': (2, 8), 'logits': (2, 3)}

    Reference: PLUM-Net, eq. 6-8 and Figures 2, 5b and 6.
    """

    def __init__(
        self, hidden_dim: int, num_classes: int, num_layers: int = 2, num_heads: int = 8, dropout: float = 0.1, **kwargs
    ):
        super().__init__(**kwargs)
        check_divisible(hidden_dim, num_heads)
        self.hidden_dim = hidden_dim
        self.num_classes = num_classes
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout
        policy = self.dtype_policy
        self.encoder = TransformerEncoder(hidden_dim, num_layers, num_heads, dropout, dtype=policy, name="encoder")
        self.pool = MultiHeadAttention(hidden_dim, num_heads, dtype=policy, name="pool")
        # Logits feed a softmax, which stays in float32.
        self.classifier = keras.layers.Dense(num_classes, dtype="float32", name="classifier")

    def build(self, sequence_shape, length_shape=None):
        self.task_embedding = _task_embedding(self)
        sequence, query = (None, None, self.hidden_dim), (None, 1, self.hidden_dim)
        self.encoder.build(sequence)
        self.pool.build(query, sequence, sequence)
        self.classifier.build((None, self.hidden_dim))
        self.built = True

    def call(self, sequence, length, training=False):
        if not isinstance(sequence, dict):
            return self._branches([sequence], [length], training)[0]
        results = {}
        for group in processed_together(sequence):
            branches = self._branches([sequence[m] for m in group], [length[m] for m in group], training)
            results.update(zip(group, branches, strict=True))
        return results

    def _branches(self, sequences, lengths, training):
        encoded = self.encoder(sequences, lengths, training=training)
        pooled = _pooled(self.pool, self.task_embedding, encoded, lengths, training)
        rows = pooled, self.classifier(pooled)
        embeddings, logits = (ops.split(r, len(encoded)) if len(encoded) > 1 else [r] for r in rows)
        names = ("sequence", "embedding", "logits")
        return [dict(zip(names, branch, strict=True)) for branch in zip(encoded, embeddings, logits, strict=True)]

    def compute_output_spec(self, sequence, length, training=False):
        if isinstance(sequence, dict):
            return {m: self.compute_output_spec(sequence[m], length[m]) for m in sequence}
        batch = sequence.shape[0]
        return {
            "sequence": keras.KerasTensor(sequence.shape, dtype=self.compute_dtype),
            "embedding": keras.KerasTensor((batch, self.hidden_dim), dtype=self.compute_dtype),
            "logits": keras.KerasTensor((batch, self.num_classes), dtype="float32"),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_classes": self.num_classes,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }


def _task_embedding(layer):
    # One task now.
    normal = keras.initializers.RandomNormal(stddev=0.02)
    return layer.add_weight(shape=(1, layer.hidden_dim), initializer=normal, name="task_embedding")


def _pooled(pool, task_embedding, encoded, lengths, training):
    """`[M * B, d]` of `M` sequences: attention over the valid frames, whose query is the task embedding."""
    masks = [attended_frames(*pair) for pair in zip(encoded, lengths, strict=True)]
    return pool(ops.convert_to_tensor(task_embedding)[None], encoded, masks, training=training)[:, 0]


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TaskConditionedBifurcator(keras.layers.Layer):
    """A common and a private branch of one modality's own, as `PLUMNet(common_branch="per_modality")` has them.

    Args:
        hidden_dim: int. `d`.
        num_classes: int. `C`.
        num_layers: int, of each encoder. Defaults to `2`.
        num_heads: int. Defaults to `8`.
        dropout: float. Defaults to `0.1`.
        common_encoder: `TransformerEncoder` or `None`. An encoder that several modalities share; by default each
            modality has its own.

    Call arguments:
        common_sequence: `[B, T, d]`, from `MultilevelSemanticAlignment`.
        single_sequence: `[B, T, d]`, `f_single` from `ModalityEncoder`.
        length: `[B]` int.

    Returns:
        Dict: `common_sequence`, `private_sequence` `[B, T, d]` (encoded); `common_embedding`, `private_embedding`
        `[B, d]`; `common_logits`, `private_logits` `[B, C]` float32.

    Example:
        >>> layer = TaskConditionedBifurcator(hidden_dim=8, num_classes=3, num_layers=1, num_heads=2)
        >>> branches = layer(np.ones((2, 5, 8)), np.ones((2, 5, 8)), np.array([5, 2]))
        >>> tuple(branches["common_logits"].shape), tuple(branches["private_embedding"].shape)
        ((2, 3), (2, 8))

    Reference: PLUM-Net, eq. 6-8 and Figure 2.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_classes: int,
        num_layers: int = 2,
        num_heads: int = 8,
        dropout: float = 0.1,
        common_encoder: TransformerEncoder | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_divisible(hidden_dim, num_heads)
        self.hidden_dim = hidden_dim
        self.num_classes = num_classes
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout
        self.shares_common_encoder = common_encoder is not None
        policy = self.dtype_policy

        def encoder(name):
            return TransformerEncoder(hidden_dim, num_layers, num_heads, dropout, dtype=policy, name=name)

        self.encoders = {"common": common_encoder or encoder("common_encoder"), "private": encoder("private_encoder")}
        self.pools = {
            b: MultiHeadAttention(hidden_dim, num_heads, dtype=policy, name=f"{b}_pool") for b in self.encoders
        }
        # Logits feed a softmax, which stays in float32.
        self.classifiers = {
            b: keras.layers.Dense(num_classes, dtype="float32", name=f"{b}_classifier") for b in self.encoders
        }

    def build(self, common_sequence_shape, single_sequence_shape, length_shape=None):
        self.task_embedding = _task_embedding(self)  # The query of both pools.
        sequence, query = (None, None, self.hidden_dim), (None, 1, self.hidden_dim)
        for branch, encoder in self.encoders.items():
            if not encoder.built:
                encoder.build(sequence)
            self.pools[branch].build(query, sequence, sequence)
            self.classifiers[branch].build((None, self.hidden_dim))
        self.built = True

    def call(self, common_sequence, single_sequence, length, training=False):
        results = {}
        for branch, sequence in (("common", common_sequence), ("private", single_sequence)):
            encoded = self.encoders[branch](sequence, length, training=training)
            pooled = _pooled(self.pools[branch], self.task_embedding, [encoded], [length], training)
            results[f"{branch}_sequence"] = encoded
            results[f"{branch}_embedding"] = pooled
            results[f"{branch}_logits"] = self.classifiers[branch](pooled)
        return results

    def compute_output_spec(self, common_sequence, single_sequence, length, training=False):
        batch = common_sequence.shape[0]
        results = {}
        for branch in self.encoders:
            results[f"{branch}_sequence"] = keras.KerasTensor(common_sequence.shape, dtype=self.compute_dtype)
            results[f"{branch}_embedding"] = keras.KerasTensor((batch, self.hidden_dim), dtype=self.compute_dtype)
            results[f"{branch}_logits"] = keras.KerasTensor((batch, self.num_classes), dtype="float32")
        return results

    def get_config(self):
        shared = self.encoders["common"] if self.shares_common_encoder else None
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_classes": self.num_classes,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "common_encoder": shared and keras.saving.serialize_keras_object(shared),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if config.get("common_encoder"):
            config["common_encoder"] = keras.saving.deserialize_keras_object(config["common_encoder"])
        return cls(**config)
