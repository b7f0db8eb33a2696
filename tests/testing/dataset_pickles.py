"""Objects to pickle, built to the letter of the layouts that the field uses."""

import numpy as np

MULT_WIDTHS = {"vision": 20, "audio": 5, "text": 300}
MMSA_TEXT, MMSA_AUDIO, MMSA_VISION = 50, 12, 9
MMSA_WIDTHS = {"text": 8, "audio": 5, "vision": 4}


def sequences(lengths, width, seed):
    """One float64 array `[T, width]` per length, without an all-zero frame."""
    random = np.random.default_rng([seed, width])
    return [random.normal(size=(length, width)) + 3.0 for length in lengths]


def pad_front(items, frames):
    """`[N, frames, F]`, each sequence at the end."""
    padded = np.zeros((len(items), frames, items[0].shape[1]), items[0].dtype)
    for row, item in zip(padded, items, strict=True):
        if len(item):
            row[-len(item) :] = item
    return padded


def pad_end(items, frames):
    """`[N, frames, F]`, each sequence at the start."""
    return pad_front([item[::-1] for item in items], frames)[:, ::-1].copy()


def content(count, seed=0, aligned=True, widths=MULT_WIDTHS, longest=50):
    """Dict by modality of the sequences of a split; one length per sample where they are aligned."""
    random = np.random.default_rng([seed, count])
    words = random.integers(2, longest, count)
    return {
        modality: sequences(
            words if aligned or modality == "text" else random.integers(2, 2 * longest, count), width, seed
        )
        for modality, width in widths.items()
    }


def mult_split(items, name, *, frames=None, pad=pad_front, mosei=False):
    """A split as MulT and the SDK write it: byte ids `[N, 1]`, or `[N, 3]` and seven labels for MOSEI."""
    count = len(items["text"])
    frames = frames or {"text": 50, "audio": 50, "vision": 50}
    labels = np.round(np.linspace(-3, 3, count), 1).reshape(count, 1, 1)
    ids = np.array([[f"{name}vid_{row}".encode()] for row in range(count)])
    if mosei:
        labels = np.concatenate([labels, np.abs(np.random.default_rng(1).normal(size=(count, 1, 6)))], axis=2)
        ids = np.array([[f"{name}vid", f"{row}.5", f"{row + 1}.25"] for row in range(count)])
    return {
        **{modality: pad(sequences, frames[modality]) for modality, sequences in items.items()},
        "labels": labels.astype("float32"),
        "id": ids,
    }


def multibench_split(items, name, labels=None, frames=None):
    """A split as MultiBench's affect pickles have it: one id per sample, and its own order of keys."""
    split = mult_split(items, name, frames=frames)
    count = len(items["text"])
    labels = np.linspace(-2.5, 3, count) if labels is None else np.resize(labels, count)
    order = [*(modality for modality in items), "labels", "id"]
    split |= {"labels": labels.reshape(count, 1, 1).astype("float32"), "id": [f"{name}[{row}]" for row in range(count)]}
    return {field: split[field] for field in order}


def words(count):
    return [f"word{position}" for position in range(count)]


def misa_list(lengths=(4, 1, 7), vision=47, audio=74, labels=(1.8, -0.4, 0.0), seed=0):
    """MISA's list: `((word ids, visual, acoustic, words), label [1, 1], segment)`."""
    pairs = zip(sequences(lengths, vision, seed), sequences(lengths, audio, seed), strict=True)
    return [
        (
            (np.arange(len(v)) + 2, v.astype("float32"), a.astype("float32"), words(len(v))),
            np.array([[label]], dtype="float32"),
            f"video[{row}]",
        )
        for row, ((v, a), label) in enumerate(zip(pairs, np.resize(labels, len(lengths)), strict=True))
    ]


def mag_tree(vision=47, audio=74, sizes=((6, 2, 9), (3, 5), (4, 4))):
    """MAG-BERT's dict: `((words, visual, acoustic), label, segment)`, float64."""
    tree = {}
    for seed, (name, lengths) in enumerate(zip(("train", "dev", "test"), sizes, strict=True)):
        pairs = zip(sequences(lengths, vision, seed), sequences(lengths, audio, seed), strict=True)
        tree[name] = [
            ((words(len(v)), v, a), np.array([[row - 0.6]]), f"{name}vid[{row}]") for row, (v, a) in enumerate(pairs)
        ]
    return tree


def hkt_side(length, seed):
    return tuple(sequences([length], width, seed)[0] for width in (91, 81, 4))


def hkt_tree(sizes=(5, 3, 3)):
    """HKT's dict: `((words, visual, acoustic, hcf), (the same of the context), hid, label)`."""
    tree = {}
    for part, (name, count) in enumerate(zip(("train", "dev", "test"), sizes, strict=True)):
        samples = []
        for row in range(count):
            length, before = 3 + row, 2 * row
            context = [" ".join(words(row)) for _ in range(2 if row else 0)]
            samples.append(
                (
                    (" ".join(words(length)), *hkt_side(length, row)),
                    (context, *hkt_side(before, 100 + row)),
                    1000 * part + row,
                    row % 2,
                )
            )
        tree[name] = samples
    return tree


def mmsa_split(count, name, *, aligned, seed, kind="mosi"):
    """One split as MMSA stores it: float64, -inf in audio, non-zero tails when unaligned."""
    random = np.random.default_rng([seed, count])
    frames = dict.fromkeys(MMSA_WIDTHS, MMSA_TEXT)
    if not aligned:
        frames |= {"audio": MMSA_AUDIO, "vision": MMSA_VISION}
    top = 1.0 if kind == "sims" else 3.0
    labels = np.round(random.uniform(-top, top, count), 1)
    words = random.integers(3, MMSA_TEXT, count)
    text_bert = np.zeros((count, 3, MMSA_TEXT))
    text_bert[:, 0] = random.integers(1, 30000, (count, MMSA_TEXT))
    text_bert[:, 1] = np.arange(MMSA_TEXT) < words[:, None]
    split = {
        "raw_text": np.array([f"sentence {i}" for i in range(count)]),
        "id": [f"{name}video$_${i}" for i in range(count)],
        "text_bert": text_bert,
        "annotations": [("Negative", "Neutral", "Positive")[int(np.sign(x)) + 1] for x in labels],
        "classification_labels": np.sign(labels) + 1,
        "regression_labels": labels,
    }
    for modality, width in MMSA_WIDTHS.items():
        split[modality] = random.normal(size=(count, frames[modality], width)) + 5.0
    if aligned:
        for modality in MMSA_WIDTHS:
            split[modality][np.arange(MMSA_TEXT) >= words[:, None]] = 0.0
    else:
        for modality in ("audio", "vision"):
            lengths = random.integers(1, frames[modality] - 1, count)
            lengths[0] = frames[modality] - 2  # the tail of sample 0 keeps its noise
            split[modality][1:][np.arange(frames[modality]) >= lengths[1:, None]] = 0.0
            split[f"{modality}_lengths"] = lengths.tolist()
    split["audio"][0, 0, 1] = -np.inf
    if kind == "sims":
        for letter in "TAV":
            split[f"regression_labels_{letter}"] = np.clip(labels + 0.1, -1, 1)
    return split
