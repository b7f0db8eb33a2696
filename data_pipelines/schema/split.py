"""`Split`: the samples of one part of a data set, from whatever file."""

import dataclasses
import html
from collections.abc import Iterable, Sequence

import numpy as np

from plumkeras.arguments import known_arguments_only
from plumkeras.data_pipelines.schema.from_arrays import split_fields
from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.data_pipelines.schema.validation import DataError, all_nan, listing, whole_numbers
from plumkeras.tasks import task_of


@known_arguments_only()
@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The samples of one part of a data set.

    Args:
        ids: text array `[N]`, as in the file.
        features: dict by modality of float32 `[N, T, F]`, valid frames first and zeros after; or of
            `StoredFeatures`, which stay in their files until batches are made of them.
        lengths: dict by modality of int32 `[N]`, the number of valid frames; 0 means missing.
        labels: float32 `[N]` (regression), int32 `[N]` (classification), int32 `[N, L]` of 0 and 1 (multi-label) or
            None. Labels that are all NaN become None: the split is unlabelled.
        modality_labels: dict by modality of float32 `[N]`, human labels per modality, or None.
        raw_text: text array `[N]` or None.
        folds: int32 `[N]`, the cross-validation fold of each sample, or None.
        groups: text array `[N]` or None. The video or speaker of each sample: what must not be split.
        context_features: dict by modality of float32 `[N, Tc, F]` or None. What was said before the
            utterance, valid frames first and zeros after; `join_context` puts it in front.
        context_lengths: dict by modality of int32 `[N]` or None; 0 means no context.
        context_raw_text: text array `[N]` or None. The context's sentences, joined by a space.
        token_ids: int32 `[N, L]` or None. Token ids of the texts as the file has them, -1 past their end. npz files
            and shards keep `raw_text` alone.

    Arrays of another type are converted; a dict is copied, the arrays in it are not.
    """

    ids: np.ndarray
    features: dict
    lengths: dict
    labels: np.ndarray | None = None
    modality_labels: dict | None = None
    raw_text: np.ndarray | None = None
    folds: np.ndarray | None = None
    groups: np.ndarray | None = None
    context_features: dict | None = None
    context_lengths: dict | None = None
    context_raw_text: np.ndarray | None = None
    token_ids: np.ndarray | None = None

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        for name, dtype in (("ids", np.str_), ("groups", np.str_), ("raw_text", None), ("context_raw_text", None)):
            if (texts := getattr(self, name)) is not None:
                put(name, np.asarray(texts, dtype))
        for prefix in ("", "context_"):
            if (features := getattr(self, f"{prefix}features")) is not None:
                put(f"{prefix}features", {m: _features(a) for m, a in features.items()})
            if (lengths := getattr(self, f"{prefix}lengths")) is not None:
                put(f"{prefix}lengths", {m: whole_numbers(a, f"{prefix}{m}_lengths") for m, a in lengths.items()})
        if self.labels is not None:
            labels = np.asarray(self.labels)
            is_whole = labels.dtype.kind in "iub" or (labels.ndim == 2 and bool(np.isin(labels, (0, 1)).all()))
            with np.errstate(over="ignore"):  # What overflows is infinite, which validation refuses by name.
                labels = whole_numbers(labels, "labels") if is_whole else labels.astype("float32")
            put("labels", None if all_nan(labels) else labels)
        if self.modality_labels is not None:
            human = {m: np.asarray(a, dtype="float32") for m, a in self.modality_labels.items()}
            put("modality_labels", {m: a for m, a in human.items() if not all_nan(a)} or None)
        if self.folds is not None:
            put("folds", whole_numbers(self.folds, "fold"))

    @classmethod
    def from_arrays(
        cls,
        *,
        labels: Sequence | None = None,
        ids: Sequence[str] | None = None,
        raw_text: Sequence[str] | None = None,
        lengths: dict | None = None,
        folds: Sequence[int] | None = None,
        groups: Sequence[str] | None = None,
        **modalities,
    ) -> "Split":
        """Makes a split of your own arrays; the padding is done here.

        Args:
            labels: `[N]` floats (regression) or whole numbers (classes from 0), `[N, L]` of 0 and 1, or None.
            ids: `[N]` texts. Defaults to the numbers of the samples.
            raw_text: `[N]` texts or None. Without any modality, what a network with a text encoder reads.
            lengths: dict by modality of `[N]`, the valid leading frames. By default all that are given count.
            folds: `[N]` or None, for cross-validation.
            groups: `[N]` texts or None. The video or speaker of each sample.
            **modalities: by name (`text`, `audio`, `vision`, or your own) a list of `[T, F]` arrays of different
                lengths, in which None or an empty array is a sample without that modality; or `[N, T, F]`; or
                `[N, F]`, one frame each. `<modality>_length` beside one is read as its lengths.

        Raises:
            DataError: a rank, a width or a number of samples does not fit.

        Example:
            >>> split = Split.from_arrays(text=[np.ones((3, 4)), np.ones((5, 4))], audio=[np.ones((2, 6)), None])
            >>> split.features["text"].shape, split.lengths["audio"].tolist()
            ((2, 5, 4), [2, 0])
        """
        fields = split_fields(modalities, lengths, labels, ids, raw_text)
        return cls(**fields, raw_text=raw_text, folds=folds, groups=groups)

    def __len__(self):
        return len(self.ids)

    def __repr__(self):
        return f"<Split: {self._summary()}>"

    def _repr_html_(self):
        return f"<b>Split</b>: {html.escape(self._summary())}"

    def _summary(self):
        """Counts and widths in a line."""
        parts = [f"{len(self)} samples"]
        for m, array in self.features.items():
            missing = int(np.sum(self.lengths[m] == 0)) if m in self.lengths else 0
            shape = " x ".join(map(str, array.shape[1:]))
            parts.append(f"{m} {shape}" + (f" ({missing} missing)" if missing else ""))
        return ", ".join([*parts, "no labels" if self.labels is None else f"{task_of(self.labels)} labels"])

    @property
    def modalities(self):
        """The modalities of this split, as a tuple."""
        return tuple(self.features)

    def take(self, indices) -> "Split":
        """The samples at `indices` (integers or a boolean mask), in that order, as a new split."""
        indices = np.asarray(indices)
        if indices.dtype != bool:
            indices = indices.astype("int64")

        def pick(value):
            if value is None:
                return None
            if isinstance(value, dict):
                return {name: pick(array) for name, array in value.items()}
            return value.take(indices) if isinstance(value, StoredFeatures) else value[indices]

        return Split(**{f.name: pick(getattr(self, f.name)) for f in dataclasses.fields(self)})

    def select(self, modalities: Iterable[str]) -> "Split":
        """The same samples with only the named modalities. Nothing is copied."""
        for modality in modalities:
            if modality not in self.features:
                raise DataError(f"The split has no modality {modality!r}; it has {listing(self.features)}")

        def pick(by_modality):
            return by_modality and {m: by_modality[m] for m in modalities if m in by_modality}

        return dataclasses.replace(
            self,
            features=pick(self.features),
            lengths=pick(self.lengths),
            # Of a context that the chosen modalities don't have, nothing is left.
            context_features=pick(self.context_features) or None,
            context_lengths=pick(self.context_lengths) or None,
        )


def _features(array):
    return array if isinstance(array, StoredFeatures) else np.asarray(array, dtype="float32")
