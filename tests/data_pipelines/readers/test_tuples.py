"""Lists of samples: MISA, MAG-BERT, HKT."""

import pickle
import re
import struct

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, join_context, load, save_npz
from tests.testing.dataset_pickles import hkt_tree, mag_tree, misa_list
from tests.testing.refusals import check_refused

NO_VECTORS = "text vectors are not in the file, only words, which are kept as raw_text"


def test_the_real_misa_file(real_data):
    """It equals the npz made from it: ids `vid[k]` there are `vid_<k+1>`, features are rounded to float16."""
    dataset = load(real_data / "raw" / "misa_mosi_dev.pkl")
    assert (dataset.format, list(dataset), dataset.task) == ("misa", ["all"], "regression")
    assert dataset.modalities == ("audio", "vision") and dataset.report.warnings == [NO_VECTORS]
    split = dataset["all"]
    assert split.ids[0] == "WKA5OygbEKI[0]"
    renamed = [re.sub(r"\[(\d+)\]$", lambda match: f"_{int(match[1]) + 1}", name) for name in split.ids]
    with np.load(real_data / "mosi_word_aligned_229.npz") as wanted:
        assert renamed == wanted["id"].tolist() and list(split.raw_text) == wanted["raw_text"].tolist()
        np.testing.assert_array_equal(split.labels, wanted["regression_labels"])
        for modality in ("audio", "vision"):
            np.testing.assert_array_equal(split.features[modality].astype("float16"), wanted[modality])
            np.testing.assert_array_equal(split.lengths[modality], wanted["lengths"])


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_misa(write_pickle, protocol):
    samples = misa_list()
    dataset = load(write_pickle(samples, protocol))
    assert (dataset.format, dataset.task, dataset.label_range) == ("misa", "regression", (-3, 3))
    assert dataset.feature_dims == {"audio": 74, "vision": 47} and dataset.report.warnings == [NO_VECTORS]
    split = dataset["all"]
    assert split.ids.tolist() == ["video[0]", "video[1]", "video[2]"]
    assert split.raw_text[0] == "word0 word1 word2 word3"
    np.testing.assert_array_equal(split.labels, np.float32([1.8, -0.4, 0.0]))
    for modality, position in (("vision", 1), ("audio", 2)):
        assert split.lengths[modality].tolist() == [4, 1, 7]
        assert split.features[modality].shape[1] == 7 and split.features[modality].dtype == np.float32
        for row, (inner, _, _) in enumerate(samples):
            length = len(inner[position])
            np.testing.assert_array_equal(split.features[modality][row, :length], inner[position])
            assert not split.features[modality][row, length:].any()


@pytest.mark.parametrize("widths", [{"vision": 47}, {"vision": 35}])
def test_mag(write_pickle, widths):
    tree = mag_tree(**widths)
    tree["dev"][1][0][2][0, :3] = [-np.inf, 1e300, np.nan]
    dataset = load(write_pickle(tree))
    assert dataset.format == "mag" and list(dataset) == ["train", "valid", "test"]
    assert dataset.feature_dims == {"audio": 74, **widths}
    assert dataset.report.cleaned["valid"]["audio"] == {"nan": 1, "inf": 1, "overflow": 1, "padding_frames": 0}
    for name, key in (("train", "train"), ("valid", "dev"), ("test", "test")):
        split = dataset[name]
        assert split.ids.tolist() == [segment for _, _, segment in tree[key]]
        assert list(split.raw_text) == [" ".join(inner[0]) for inner, _, _ in tree[key]]
        np.testing.assert_allclose(split.labels, [label[0, 0] for _, label, _ in tree[key]], rtol=1e-6)
        for row, (inner, _, _) in enumerate(tree[key]):
            np.testing.assert_array_equal(split.features["vision"][row, : len(inner[1])], inner[1].astype("float32"))
    assert dataset["valid"].features["audio"][1, 0, :3].tolist() == [0, 0, 0]


def test_samples_whose_modalities_differ_in_length_lose_nothing(write_pickle):
    tree = mag_tree()
    (said, vision, audio), label, segment = tree["train"][1]
    tree["train"][1] = ((said, vision, np.repeat(audio, 5, axis=0)), label, segment)
    tree["train"][2] = ((said, vision[:0], audio), label, segment)
    split = (dataset := load(write_pickle(tree)))["train"]
    assert split.lengths["audio"].tolist() == [6, 10, 2] and split.lengths["vision"].tolist() == [6, 2, 0]
    np.testing.assert_array_equal(split.features["audio"][1, 5:10], np.repeat(audio[1:], 5, axis=0).astype("float32"))
    assert dataset.report.warnings[0] == (
        "train: 2 samples whose modalities differ in length, for one sample 1: words 2, audio 10, vision 2"
    )


def test_hkt(write_pickle, tmp_path):
    tree = hkt_tree()
    path = write_pickle(tree)
    dataset = load(path)
    assert (dataset.format, dataset.task, dataset.num_classes) == ("hkt", "classification", 2)
    assert dataset.feature_dims == {"audio": 81, "vision": 91, "hcf": 4} and dataset.report.warnings == [NO_VECTORS]
    split = dataset["train"]
    assert split.ids.tolist() == ["0", "1", "2", "3", "4"] and split.labels.tolist() == [0, 1, 0, 1, 0]
    assert split.raw_text[0] == "word0 word1 word2"
    assert split.context_raw_text.tolist()[:3] == ["", "word0 word0", "word0 word1 word0 word1"]
    for modality, position in (("vision", 1), ("audio", 2), ("hcf", 3)):
        assert split.lengths[modality].tolist() == [3, 4, 5, 6, 7]
        assert split.context_lengths[modality].tolist() == [0, 2, 4, 6, 8]
        for row, (punchline, context, _, _) in enumerate(tree["train"]):
            for features, inner in ((split.features, punchline), (split.context_features, context)):
                wanted = inner[position].astype("float32")
                np.testing.assert_array_equal(features[modality][row, : len(wanted)], wanted)
                assert not features[modality][row, len(wanted) :].any()
    joined = join_context(split, 3)
    wanted = np.concatenate([tree["train"][3][1][2][-3:], tree["train"][3][0][2]])
    np.testing.assert_array_equal(joined.features["audio"][3, :9], wanted.astype("float32"))
    assert load(path, modalities=["vision"])["test"].context_features.keys() == {"vision"}
    save_npz(dataset, tmp_path / "hkt.npz")
    np.testing.assert_array_equal(load(tmp_path / "hkt.npz")["test"].features["hcf"], dataset["test"].features["hcf"])


def test_hkt_other_forms(write_pickle):
    """Words as a list, sentences as lists of arrays, labels as arrays of -1 and +1, no context at all."""
    tree = hkt_tree()
    plain = load(write_pickle(tree))
    for samples in tree.values():
        for row, (punchline, context, hid, label) in enumerate(samples):
            split_up = [[part[:1], part[1:]] for part in context[1:]]
            samples[row] = (
                (punchline[0].split(), *punchline[1:]),
                ([sentence.split() for sentence in context[0]], *split_up),
                np.int64(hid),
                np.array([[2.0 * label - 1]]),
            )
    other = load(write_pickle(tree))
    for name, split in plain.items():
        assert list(other[name].raw_text) == list(split.raw_text)
        assert list(other[name].context_raw_text) == list(split.context_raw_text)
        np.testing.assert_array_equal(other[name].labels, split.labels)
        np.testing.assert_array_equal(other[name].ids, split.ids)
        for modality, features in split.context_features.items():
            np.testing.assert_array_equal(other[name].context_features[modality], features)
    for samples in tree.values():
        for row, (punchline, context, hid, label) in enumerate(samples):
            samples[row] = (punchline, ([], *(np.array([]) for _ in context[1:])), hid, label)
    split = load(write_pickle(tree))["train"]
    assert split.context_features is None and split.context_lengths is None and split.context_raw_text is None


def test_word_ids_are_no_words(write_pickle):
    tree = mag_tree()
    for samples in tree.values():
        samples[:] = [((list(range(len(said))), *rest), label, segment) for (said, *rest), label, segment in samples]
    dataset = load(write_pickle(tree))
    assert dataset["train"].raw_text is None
    assert "train/raw_text: word ids, not words, which say nothing without their list" in dataset.report.warnings


def test_misa_ur_funny_is_classes_and_other_two_values_a_guess(write_pickle):
    dataset = load(write_pickle(misa_list(vision=371, audio=81, labels=(1, 0, 1))))
    assert dataset.task == "classification" and dataset["all"].labels.tolist() == [1, 0, 1]
    assert dataset.report.warnings == [NO_VECTORS]
    path = write_pickle(misa_list(labels=(1, -1, 1)))
    dataset = load(path)
    assert dataset.task == "classification" and "is a guess" in dataset.report.warnings[1]
    assert load(path, label_range=(-3, 3))["all"].labels.tolist() == [1, -1, 1]


def test_bytes_and_numbers(write_pickle):
    """What Python 2 wrote; labels as plain numbers; frames as lists of numbers; seven labels."""
    (_, vision, audio, said), _, _ = misa_list()[0]
    said = [word.encode() for word in said]
    plain = (([], vision.tolist(), list(audio), said), 0.5, b"a[0]")
    samples = [plain, (([], vision, audio, said), [[1.5, 2.0]], 7)]
    with pytest.raises(DataError, match="labels holds 1 labels for sample 0, and 2 for another"):
        load(write_pickle(samples, 2))
    samples[0] = (*plain[:1], [0.5, -1.0], *plain[2:])
    with pytest.raises(DataError, match=r"the labels have 2 columns; choose one by --label-column"):
        load(write_pickle(samples, 2))
    dataset = load(write_pickle(samples, 2), label_column=0)
    split = dataset["all"]
    assert split.ids.tolist() == ["a[0]", "7"] and split.labels.tolist() == [0.5, 1.5]
    assert split.raw_text[0] == "word0 word1 word2 word3"
    np.testing.assert_array_equal(split.features["vision"][0], split.features["vision"][1])
    np.testing.assert_array_equal(split.features["audio"][0], split.features["audio"][1])


def test_text_cannot_be_had(write_pickle):
    path = write_pickle(mag_tree())
    with pytest.raises(DataError, match=r"has words but no text vectors.*\('audio', 'vision'\)"):
        load(path, modalities=["text", "audio"])
    with pytest.raises(DataError, match=r"has no modality 'video'; it has audio, vision"):
        load(path, modalities=["video"])
    assert load(path, modalities=["vision"]).modalities == ("vision",)


def _sample(position, value):
    """Changes part `position` of the second training sample's features."""

    def damage(tree):
        inner, *rest = tree["train"][1]
        changed = [value(part) if at == position else part for at, part in enumerate(inner)]
        tree["train"][1] = (tuple(changed), *rest)

    return damage


def _whole(value):
    def damage(tree):
        tree["train"][1] = value(tree["train"][1])

    return damage


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (_whole(lambda s: s[:2]), ("train: sample 1", "isn't built like a sample of mag", "a tuple of 2: tuple, nd")),
        (_whole(lambda s: None), ("train: sample 1", "a NoneType")),
        (_whole(lambda s: (s[0][:2], *s[1:])), ("train: sample 1",)),
        (_whole(lambda s: (s[0], None, s[2])), ("1 of 3 samples have no label", "trainvid[1]")),
        (_whole(lambda s: (s[0], 3.5, s[2])), ("train/regression_labels holds 3.5", "trainvid[1]")),
        (_whole(lambda s: (s[0], np.nan, s[2])), ("1 of 3 samples have no label", "trainvid[1]")),
        (_whole(lambda s: (s[0], s[1], None)), ("train/id holds a NoneType at position 1",)),
        (_whole(lambda s: (s[0], s[1], [b"x"] * 9)), ("train/id holds 9 parts at position 1",)),
        (_sample(1, lambda a: a[:, :46]), ("train/vision: sample 1 is 46 wide, others 47",)),
        (_sample(2, lambda a: a[:, :0]), ("train/audio: sample 1 has shape (2, 0)",)),
        (_sample(2, lambda a: a[None]), ("train/audio: sample 1 has shape (1, 2, 74)",)),
        (_sample(2, lambda a: a.astype("U5")), ("train/audio: sample 1 is of type <U5",)),
        (_sample(2, lambda a: "abc"), ("train/audio: sample 1 is a str",)),
        (_sample(2, lambda a: [[1.0, "x"]]), ("train/audio: sample 1 holds a str among numbers",)),
        (_sample(2, lambda a: [[10**400]]), ("train/audio: sample 1 holds a number that no float",)),
        (_sample(2, lambda a: [a, a[:, :3]]), ("train/audio: sample 1 has frames of 2 different widths: [3, 74]",)),
        (_sample(0, lambda a: [None]), ("train/words: sample 1 is a NoneType",)),
        (lambda tree: tree.update(test=[]), ("test is empty: 0 samples",)),
        (lambda tree: tree.update(val=tree["dev"]), ("has the split 'valid' under two names",)),
    ],
)
def test_bad_files(write_pickle, damage, parts):
    tree = mag_tree()
    damage(tree)
    check_refused(write_pickle(tree), *parts)


def test_hkt_labels_have_to_be_two_classes(write_pickle):
    tree = hkt_tree()
    tree["dev"][1] = (*tree["dev"][1][:3], 2)
    with pytest.raises(DataError, match="labels of humor or sarcasm are expected, 0 and 1 or -1 and 1"):
        load(write_pickle(tree))


def test_a_modality_without_a_frame_is_none_of_the_file(write_pickle):
    samples = [((ids, vision[:0], audio, said), *rest) for (ids, vision, audio, said), *rest in misa_list()]
    dataset = load(write_pickle(samples))
    assert dataset.modalities == ("audio",)
    assert "vision: no sample has a frame, so it is no modality of this file" in dataset.report.warnings


def _raw(value):
    """The opcodes that make a value, without protocol and STOP."""
    return pickle.dumps(value, protocol=2)[2:-1]


def _put(number):
    return b"r" + struct.pack("<I", number)


def _get(number):
    return b"j" + struct.pack("<I", number)


def test_a_sample_named_many_times_does_not_unfold(tmp_path):
    path = tmp_path / "features.pkl"
    sample = (([], np.ones((300, 47), "float32"), np.ones((300, 74), "float32"), ["a"]), 0.5, "a")
    for times, is_refused in ((20, False), (30_000, True)):
        path.write_bytes(b"\x80\x02(" + _raw(sample) + _put(9999) + _get(9999) * times + b"l.")
        if is_refused:
            with pytest.raises(DataError, match="unfolds to more than 1000000000 bytes"):
                load(path)
        else:
            assert len(load(path)["all"]) == 1 + times


def test_a_context_named_many_times_does_not_unfold(tmp_path):
    """One list of many names of one piece, and that list in every sample."""
    path = tmp_path / "features.pkl"
    for times, is_refused in ((3, False), (100_000, True)):
        pieces = b"(" + _raw(np.ones((1, 91))) + _put(9998) + _get(9998) * times + b"l" + _put(9999)
        rest = _raw(np.ones((2, 81))) + _raw(np.ones((2, 4)))
        samples = b"".join(
            b"((" + _raw("a") + _raw(np.ones((2, 91))) + rest + b"t"
            b"(]" + (_get(9999) if row else pieces) + rest + b"t" + _raw(row) + _raw(1) + b"t"
            for row in range(60)
        )
        path.write_bytes(b"\x80\x02(" + samples + b"l.")
        if is_refused:
            with pytest.raises(DataError, match="unfolds to more than"):
                load(path)
        else:
            assert load(path)["all"].context_lengths["vision"].tolist() == [1 + times] * 60


def test_a_long_sequence_does_not_pad_all_others_without_end(write_pickle):
    (ids, vision, audio, said), label, _ = misa_list()[0]
    samples = [((ids, vision[:1], audio[:1], said), label, f"a[{row}]") for row in range(3000)]
    samples.append(((ids, np.ones((20_000, 47), "int8"), audio, said), label, "long"))
    with pytest.raises(DataError, match=r"all/vision unfolds to more than 1000000000 bytes"):
        load(write_pickle(samples))


def test_a_list_that_holds_itself_has_an_end(write_pickle):
    loop = []
    loop.append(loop)
    for position in range(4):
        inner, label, segment = misa_list()[0]
        samples = [((*inner[:position], loop, *inner[position + 1 :]), label, segment)]
        path = write_pickle(samples)
        if position == 0:  # word ids are never looked at
            assert len(load(path)["all"]) == 1
        else:
            with pytest.raises(DataError):
                load(path)
    for samples in ([(inner, loop, segment)], [(inner, label, loop)], [loop], loop):
        with pytest.raises(DataError):
            load(write_pickle(samples))
