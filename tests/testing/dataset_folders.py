"""Data sets that are folders, built as FORMATS describes them: .csd, MMSA-FET trees, UR-FUNNY, MUStARD, MISA."""

import csv
import json
import pickle

import h5py
import numpy as np

# What the SDK requires a sequence to say of itself; a comma that its template lacks makes one name of two.
METADATA = (
    "root name", "computational sequence description", "dimension namescomputational sequence version",
    "alignment compatible", "dataset name", "dataset version", "creator", "contact", "featureset bib citation",
    "dataset bib citation", "uuid", "md5",
)  # fmt: skip
# One video of each of CMU-MOSI's standard folds, and a second one of train.
VIDEOS = {"train": "03bSnISJMiM", "valid": "c5xsKMxpXnc", "test": "tStelxIAHjw", "train too": "2iD-tVS8NPw"}


def write_csd(path, root, entries):
    """A .csd as the SDK deploys it: gzip-9 arrays, metadata as JSON text.

    Args:
        path: path.
        root: str.
        entries: dict from entry to (features, intervals).
    """
    with h5py.File(path, "w") as file:
        group = file.create_group(root)
        data = group.create_group("data")
        for name, (features, intervals) in entries.items():
            entry = data.create_group(name)
            times = intervals if isinstance(intervals, np.ndarray) else np.array(intervals, dtype="float64")
            for field, values in (("features", features), ("intervals", times)):
                entry.create_dataset(field, data=np.asarray(values), compression="gzip", compression_opts=9)
        metadata = group.create_group("metadata")
        for name in METADATA:
            text = metadata.create_dataset(name, (1,), dtype=h5py.string_dtype())
            text[0] = json.dumps(root if name == "root name" else f"some {name}")


def csd_video(scale=1.0):
    """One video by role, small enough to be aligned by hand: see `test_csd.py`.

    Returns:
        Dict by role of (features, intervals). `scale` multiplies audio and vision, so that videos differ.
    """
    words = [b"hello", b"uh", b"sp", b"good", b"movie", b"bye"]
    times = [(0.0, 1.0), (1.0, 1.0), (1.0, 1.5), (1.5, 2.5), (2.5, 3.0), (3.0, 4.0)]
    spoken = [0, 3, 4, 5]
    vectors = np.repeat(np.arange(1.0, 5.0)[:, None], 300, axis=1).astype("float32")
    audio = np.repeat(np.arange(6.0)[:, None], 74, axis=1) * scale
    vision = np.repeat(np.array([[10.0], [20.0], [40.0], [80.0]]), 47, axis=1) * scale
    return {
        "words": (np.array(words, dtype="S32")[:, None], times),
        "text": (vectors, [times[k] for k in spoken]),
        "audio": (audio, [(k / 2, k / 2 + 0.5) for k in range(6)]),
        "vision": (vision, [(0.2, 0.4), (0.9, 1.6), (1.55, 1.7), (3.5, 5.0)]),
        "labels": (
            np.array([[2.4], [0.0], [-1.0], [3.0]], dtype="float32"),
            [(0.0, 2.0), (2.0, 2.000001), (2.2, 4.5), (9.0, 10.0)],
        ),
    }


CSD_ROOTS = {
    "words": "words",
    "text": "glove_vectors",
    "audio": "COVAREP",
    "vision": "FACET_4.1",
    "labels": "Opinion Segment Labels",
}


def write_csd_folder(folder, videos=None, roles=tuple(CSD_ROOTS), change=None):
    """A folder of .csd files whose names say nothing.

    Args:
        folder: path of an existing folder.
        videos: iterable of str. Defaults to those of MOSI.
        roles: iterable of str. Which files to write.
        change: callable. Gets the content, dict by role of dict by video, before it is written.
    """
    content = csd_content(videos)
    content = {role: content[role] for role in roles}
    if change is not None:
        change(content)
    return write_csd_files(folder, content)


def write_csd_files(folder, content):
    """One .csd per role of a dict by role of dict by video."""
    for number, (role, entries) in enumerate(content.items()):
        write_csd(folder / f"file{number}.csd", CSD_ROOTS.get(role, role), entries)
    return folder


def csd_content(videos=None):
    """What `write_csd_folder` writes, unchanged."""
    content = {role: {} for role in CSD_ROOTS}
    for number, video in enumerate(videos or VIDEOS.values()):
        for role, values in csd_video(number + 1.0).items():
            content[role][video] = values
    return content


COLUMNS = ("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode")


def write_label_csv(folder, rows):
    """`label.csv` of MMSA-FET from dicts by column; a column that a row lacks is empty."""
    with open(folder / "label.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def rows_of(tree):
    """The rows of a `label.csv` for the tree of an MMSA pickle (`mmsa_tree` in conftest)."""
    rows = []
    for mode, part in tree.items():
        for position, name in enumerate(part["id"]):
            video, clip = name.split("$_$")
            row = {"video_id": video, "clip_id": clip, "text": f"said, {part['raw_text'][position]}", "mode": mode}
            row["label"] = part["regression_labels"][position]
            for letter in "TAV":
                if f"regression_labels_{letter}" in part:
                    row[f"label_{letter}"] = part[f"regression_labels_{letter}"][position]
            rows.append(row)
    return rows


def write_fet_tree(folder, tree, name="feature.pkl"):
    """An MMSA-FET folder: `label.csv` and one feature pickle."""
    write_label_csv(folder, rows_of(tree))
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(tree, protocol=5))
    return folder


def npy_arrays(rows, widths=(("audio", 3), ("vision", 2))):
    """Dict by modality, video and clip of features; the clip of row `k` has `k + 1` frames of the value k + 1."""
    arrays = {modality: {row["video_id"]: {} for row in rows} for modality, _ in widths}
    for modality, width in widths:
        for number, row in enumerate(rows):
            arrays[modality][row["video_id"]][row["clip_id"]] = np.full((number + 1, width), number + 1.0)
    return arrays


def write_npy_tree(folder, rows, arrays=None):
    """`label.csv` and `<modality>/<video_id>/<clip_id>.npy`."""
    write_label_csv(folder, rows)
    for modality, videos in (npy_arrays(rows) if arrays is None else arrays).items():
        for video, clips in videos.items():
            for clip, values in clips.items():
                path = folder / modality / video / f"{clip}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, values)
    return folder


def write_tuple_folder(folder, tree, protocol=4):
    """A folder as MISA leaves it: a pickle for each split, and the embedding of the words that torch wrote."""
    for name, samples in tree.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(samples, protocol=protocol))
    (folder / "embedding_and_mapping.pt").write_bytes(b"PK\x03\x04 of torch")
    return folder


# Segment ids of the builder by fold; numbers, as the published files have them.
SEGMENTS = {"train": [1, 2, 30], "dev": [4, 5], "test": [6, 70]}


def ur_funny_tree(version="v2", kind=int):
    """The six pickles by name. Of segment `s`, word `w` of the punchline has index s + w, and audio and vision
    frames of the value s + w / 10; sentence `c` of the context has c + 1 words. Segment 4 has no context, and the
    vision of segment 5 is a frame short."""
    width = {"v1": 75, "v2": 371}[version]
    segments = [kind(s) for ids in SEGMENTS.values() for s in ids]
    language, covarep, openface = {}, {}, {}
    for segment in segments:
        number = int(segment)
        words = number % 5 + 1
        sentences = 0 if number == 4 else number % 3 + 1
        language[segment] = {
            "punchline_embedding_indexes": [number + w for w in range(words)],
            "context_embedding_indexes": [[10 * c + w for w in range(c + 1)] for c in range(sentences)],
        }
        if version == "v2":
            language[segment] |= {
                "punchline_sentence": f"punchline of {number}",
                "context_sentences": [f"sentence {c}" for c in range(sentences)],
                "punchline_intervals": [(w / 2, w / 2 + 0.4) for w in range(words)],
                "context_intervals": [[(0.0, 0.4)] * (c + 1) for c in range(sentences)],
            }
        for found, frames, columns in ((covarep, words, 81), (openface, words - (number == 5), width)):
            context = [np.full((c + 1, columns), 100.0 + c) for c in range(sentences)]
            punchline = np.repeat(number + np.arange(frames)[:, None] / 10, columns, axis=1)
            if version == "v1":  # nested lists in place of arrays
                punchline, context = punchline.tolist(), [sentence.tolist() for sentence in context]
            found[segment] = {"punchline_features": punchline, "context_features": context}
    names = {"v1": "word_embedding_indexes_sdk.pkl", "v2": "language_sdk.pkl"}
    return {
        "data_folds.pkl": {name: [kind(s) for s in ids] for name, ids in SEGMENTS.items()},
        names[version]: language,
        "word_embedding_list.pkl": [np.full(300, float(index)) for index in range(80)],
        "covarep_features_sdk.pkl": covarep,
        "openface_features_sdk.pkl": openface,
        "humor_label_sdk.pkl": {segment: int(segment) % 2 for segment in segments},
    }


def write_ur_funny(folder, tree=None, protocol=4):
    """A UR-FUNNY folder of the pickles of `ur_funny_tree`."""
    for name, content in (tree or ur_funny_tree()).items():
        (folder / name).write_bytes(pickle.dumps(content, protocol=protocol))
    return folder


# Show, speaker, and how many utterances the speaker has in the builder.
SPEAKERS = (
    ("FRIENDS", "CHANDLER", 5), ("FRIENDS", "PERSON", 3),
    ("BBT", "SHELDON", 6), ("BBT", "LEONARD", 3), ("BBT", "PERSON", 1),
    ("GOLDENGIRLS", "DOROTHY", 2), ("SARCASMOHOLICS", "SCOTT", 1),
)  # fmt: skip


def mustard_table():
    """`sarcasm_data.json`: 21 utterances; number `k` has k % 4 sentences of context and is sarcastic where k is odd."""
    table = {}
    for show, speaker, count in SPEAKERS:
        for _ in range(count):
            number = len(table)
            table[f"{1 + number % 2}_{number}"] = {
                "utterance": f"utterance {number}",
                "speaker": speaker,
                "context": [f"sentence {number}.{c}" for c in range(number % 4)],
                "context_speakers": ["SOMEONE"] * (number % 4),
                "show": show,
                "sarcasm": number % 2 == 1,
            }
    return table


def mustard_folds(count=21):
    """`split_indices.p`: five pairs of arrays of positions; utterance `k` is tested in fold k % 5."""
    positions = np.arange(count)
    return [(positions[positions % 5 != k], positions[positions % 5 == k]) for k in range(5)]


def write_bert(path, vectors):
    """A file of BERT's extract_features: per line tokens with four layers, whose mean is the vector for [CLS]."""
    with open(path, "w", encoding="utf-8") as file:
        for number, vector in enumerate(vectors):
            tokens = [
                {
                    "token": token,
                    "layers": [{"index": -1 - k, "values": (vector * scale + k - 1.5).tolist()} for k in range(4)],
                }
                for token, scale in (("[CLS]", 1.0), ("word", 5.0), ("[SEP]", 7.0))
            ]
            file.write(json.dumps({"linex_index": number, "features": tokens}) + "\n")


def clips(names, shape=(2048,), frames=lambda number: number % 3 + 1):
    """Dict by id of visual features: frame `f` of the clip `k` has the value k + f / 4."""
    return {
        name: np.zeros((1, *shape), "float32")
        + (number + np.arange(frames(number), dtype="float32") / 4).reshape(-1, *[1] * len(shape))
        for number, name in enumerate(names)
    }


def write_clips(path, content):
    """An HDF5 file with one data set per id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, data in content.items():
            file.create_dataset(name, data=np.asarray(data))


def mustard_tree(table=None, width=2048, bert=768):
    """What each file of a MUStARD folder holds."""
    table = mustard_table() if table is None else table
    sentences = sum(len(item["context"]) for item in table.values())
    return {
        "sarcasm_data.json": table,
        "split_indices.p": mustard_folds(len(table)),
        "audio_features.p": {name: np.arange(10 + k % 2) + k + np.zeros((283, 1)) for k, name in enumerate(table)},
        "features/utterances_final/resnet_pool5.hdf5": clips(table, (width,)),
        "features/context_final/resnet_pool5.hdf5": clips(table, (width,), frames=lambda number: 4),
        "bert-output.jsonl": [np.full(bert, float(k)) for k in range(len(table))],
        "bert-output-context.jsonl": [np.full(bert, 100.0 + k) for k in range(sentences)],
    }


def write_mustard(folder, tree=None, without=()):
    """A MUStARD folder, but for the files whose names begin with one of `without`."""
    for name, content in (mustard_tree() if tree is None else tree).items():
        path = folder / name
        if name.startswith(tuple(without)):
            continue
        if name.endswith(".json"):
            path.write_text(json.dumps(content), encoding="utf-8")
        elif name.endswith(".p"):
            # Written by Python 2, whose strings a reader takes for latin-1.
            path.write_bytes(pickle.dumps(content, protocol=2))
        elif name.endswith(".jsonl"):
            write_bert(path, content)
        else:
            write_clips(path, content)
    return folder
