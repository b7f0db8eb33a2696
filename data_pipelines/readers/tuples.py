"""Lists of samples, each a tuple whose sequences have their own lengths: MISA, MAG-BERT, HKT and who follows them.

    MISA   [((word ids, vision, audio, words), label, segment), ...]
    MAG    {split: [((words, vision, audio), label, segment), ...]}          also MIB and GLoMo
    HKT    {split: [((words, vision, audio, hcf), (the same of the context), id, label), ...]}

A list without splits (MISA's train.pkl, dev.pkl and test.pkl are one each; `tuple_folder` reads them together) is the
split `all`; either may hold either kind of sample. No vectors of the words are in these files: words become
`raw_text`, and the modalities are `audio` and `vision`; HKT's human-centric features are a third, `hcf`. Every modality
keeps its own length, and all of HKT's columns are kept. HKT's labels are classes; elsewhere labels that take two values
are (see `labels.labelled`).
"""

import dataclasses
import itertools

from plumkeras.data_pipelines.readers.shared import fields, row_fields
from plumkeras.data_pipelines.readers.shared.assembling import assemble_padded
from plumkeras.data_pipelines.readers.shared.labels import ANY, labelled
from plumkeras.data_pipelines.readers.shared.ragged import Sequence, common_width, pad, sentence
from plumkeras.data_pipelines.readers.shared.splits import take_parts
from plumkeras.data_pipelines.schema.validation import SPLIT_ALIASES, DataError

NAME = "tuples"
DESCRIPTION = "lists of samples of MISA, MAG-BERT and HKT"


@dataclasses.dataclass(frozen=True)
class _Layout:
    """The places of things in a sample of `size` parts, whose first has `inner`; HKT's second is the context."""

    name: str
    size: int
    inner: int
    modalities: dict
    words: int
    label: int
    id: int
    has_context: bool = False


_LAYOUTS = (
    _Layout("misa", size=3, inner=4, modalities={"audio": 2, "vision": 1}, words=3, label=1, id=2),
    _Layout("mag", size=3, inner=3, modalities={"audio": 2, "vision": 1}, words=0, label=1, id=2),
    _Layout(
        "hkt", size=4, inner=4, modalities={"audio": 2, "vision": 1, "hcf": 3}, words=0, label=3, id=2, has_context=True
    ),
)


def matches(tree):
    """Whether an unpickled object has this layout."""
    return _layout(tree) is not None


def _layout(tree):
    parts = [tree]
    if isinstance(tree, dict):
        parts = [tree[name] for name in SPLIT_ALIASES if name in tree]
    if not all(isinstance(part, list) for part in parts):
        return None
    first = next((part[0] for part in parts if part), None)
    return next((layout for layout in _LAYOUTS if _fits(first, layout)), None)


def _fits(sample, layout):
    def has(value, size):
        return isinstance(value, (tuple, list)) and len(value) == size

    return (
        has(sample, layout.size)
        and has(sample[0], layout.inner)
        and (not layout.has_context or has(sample[1], layout.inner))
    )


def read(tree, release, path, report, modalities=None, request=ANY, sha256=None, form=None):
    """Turns an unpickled file into a Dataset.

    Args:
        tree: list or dict, as `matches` accepts it.
        release: callable. Called whenever a part of the mapped file has been copied out.
        path, report, modalities, sha256: as `plumkeras.data_pipelines.load`.
        request: LabelRequest.
        form: str or None. What is added to the name of the format.
    """
    layout = _layout(tree)
    found = take_parts(tree, path, report) if isinstance(tree, dict) else {"all": tree}
    parts = {name: _Part(name, samples, layout, path, report) for name, samples in found.items()}
    widths = {modality: _width(modality, parts.values()) for modality in layout.modalities}
    for modality in [modality for modality, width in widths.items() if width is None]:
        report.warn(f"{modality}: no sample has a frame, so it is no modality of this file")
        del widths[modality]
    if modalities is not None and "text" in modalities:
        raise DataError(
            f"{path}: has words but no text vectors, which `text` has to be; it has modalities={tuple(widths)}"
        )
    report.warn("text vectors are not in the file, only words, which are kept as raw_text")
    chosen = fields.pick_modalities(widths, modalities, path)
    splits = {}
    for name, part in parts.items():
        splits[name] = part.read({"labels": part.labels()}, chosen, widths, report)
        release()
    certain = layout.has_context or row_fields.is_humor(widths)
    form = f"{layout.name}-{form}" if form else layout.name
    dataset = labelled(splits, request, report, path, certain=certain, format=form, sha256=sha256)
    values = [split.labels for split in dataset.values() if split.labels is not None]
    is_humor = dataset.task in (None, "classification") and all(labels.max() < 2 for labels in values)
    if layout.has_context and request.task is None and not is_humor:
        raise DataError(f"{path}: labels of humor or sarcasm are expected, 0 and 1 or -1 and 1; others occur")
    return dataset


def _width(modality, parts):
    """The width of a modality over all parts, None where no sample has a frame."""
    kinds = (kind.get(modality, ()) for part in parts for kind in (part.sequences, part.context))
    return common_width(itertools.chain(*kinds))


class _Part:
    """The samples of one split, taken apart and not yet padded.

    Args:
        name: str. The split.
        samples: list of tuples.
        layout: _Layout.
        path: str. The file.
        report: Report. Says which modalities are of different lengths.
    """

    def __init__(self, name, samples, layout, path, report):
        self.name, self.path, self.samples = name, path, samples
        self.layout = layout
        if not samples:
            raise DataError(f"{path}: {name} is empty: 0 samples")
        self.sequences = {modality: [] for modality in layout.modalities}
        self.context = {modality: [] for modality in layout.modalities} if layout.has_context else {}
        self.texts, self.context_texts = [], []
        uneven = []
        for row, sample in enumerate(samples):
            if not _fits(sample, layout):
                raise DataError(f"{self.where(row)} isn't built like a sample of {layout.name}: {_sketch(sample)}")
            self._take(row, sample[0], self.sequences, self.texts)
            if layout.has_context:
                self._take(row, sample[1], self.context, self.context_texts)
            counts = {modality: sequences[row].length for modality, sequences in self.sequences.items()}
            if isinstance(sample[0][layout.words], list):
                counts = {"words": len(sample[0][layout.words]), **counts}
            if len(set(counts.values())) > 1:
                uneven.append((row, counts))
        if uneven:
            row, counts = uneven[0]
            said = ", ".join(f"{what} {count}" for what, count in counts.items())
            report.warn(
                f"{name}: {len(uneven)} samples whose modalities differ in length, for one sample {row}: {said}"
            )

    def where(self, row, field=None):
        """Names a sample in an error."""
        return f"{self.path}: {self.name}{'/' + field if field else ''}: sample {row}"

    def _take(self, row, inner, sequences, texts):
        for modality, position in self.layout.modalities.items():
            sequences[modality].append(Sequence(inner[position], self.where(row, modality)))
        texts.append(sentence(inner[self.layout.words], self.where(row, "words")))

    def labels(self):
        """The labels as the samples hold them."""
        return [sample[self.layout.label] for sample in self.samples]

    def read(self, values, chosen, widths, report):
        """The Split; `values` are its labels by their field's name."""
        where = f"{self.path}: {self.name}"
        values["id"] = row_fields.row_ids([sample[self.layout.id] for sample in self.samples], f"{where}/id")
        self._put_text(values, "raw_text", self.texts, report)
        if any(self.context_texts):
            self._put_text(values, "context_raw_text", self.context_texts, report)

        def padded(modalities, sequences, prefix=""):
            return {m: pad(sequences[m], widths[m], f"{where}/{prefix}{m}") for m in modalities}

        with_context = [m for m in chosen if any(sequence.length for sequence in self.context.get(m, ()))]
        contexts = padded(with_context, self.context, "context_")
        return assemble_padded(self.name, self.path, values, padded(chosen, self.sequences), contexts, report)

    def _put_text(self, values, field, texts, report):
        if any(text is None for text in texts):
            report.warn(f"{self.name}/{field}: word ids, not words, which say nothing without their list")
        else:
            values[field] = texts


def _sketch(value):
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}: {', '.join(type(part).__name__ for part in value[:6])}"
    return f"a {type(value).__name__}"
