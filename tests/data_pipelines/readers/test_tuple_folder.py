"""MISA's folder of train.pkl, dev.pkl and test.pkl."""

import importlib
import json
import shutil

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, convert, load
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import TrainingError
from tests.testing.dataset_folders import write_csd_folder, write_tuple_folder
from tests.testing.dataset_pickles import mag_tree, misa_list

LENGTHS = {"train": (4, 1, 7), "dev": (3, 2), "test": (9, 9, 2, 5)}


def misa_tree(labels=(1.8, -0.4, 0.0), valid="dev", **widths):
    """The lists by file; each split has a longest sample of its own."""
    return {
        valid if name == "dev" else name: [
            (inner, label, f"{name}vid[{row}]")
            for row, (inner, label, _) in enumerate(misa_list(lengths, labels=labels, seed=seed, **widths))
        ]
        for seed, (name, lengths) in enumerate(LENGTHS.items())
    }


@pytest.mark.parametrize("valid", ["dev", "valid", "val"])
def test_the_three_files_are_the_splits(tmp_path, valid):
    dataset = load(write_tuple_folder(tmp_path, misa_tree(valid=valid)))
    assert (dataset.format, list(dataset), dataset.task) == ("misa-folder", ["train", "valid", "test"], "regression")
    assert dataset.label_range == (-3, 3) and dataset.modalities == ("audio", "vision")
    assert dataset.report.warnings == ["text vectors are not in the file, only words, which are kept as raw_text"]
    for name, split in dataset.items():
        alone = load(tmp_path / f"{valid if name == 'valid' else name}.pkl")["all"]
        assert split.ids.tolist() == alone.ids.tolist() and list(split.raw_text) == list(alone.raw_text)
        np.testing.assert_array_equal(split.labels, alone.labels)
        lengths = LENGTHS["dev" if name == "valid" else name]
        for modality in ("audio", "vision"):
            assert split.lengths[modality].tolist() == list(lengths)
            np.testing.assert_array_equal(split.features[modality], alone.features[modality])
            # A split is padded to its own longest sample.
            assert split.features[modality].shape[1] == max(lengths)


def test_the_hash_is_of_the_three_files(tmp_path):
    whole = load(write_tuple_folder(tmp_path, misa_tree())).sha256
    (tmp_path / "embedding_and_mapping.pt").unlink()
    assert load(tmp_path).sha256 == whole
    write_tuple_folder(tmp_path, {"dev": misa_tree()["dev"][:1]})
    assert load(tmp_path).sha256 != whole


def test_one_task_for_all_splits(tmp_path):
    """Labels of one split that alone would be taken for classes."""
    tree = misa_tree() | {"dev": misa_tree(labels=(1, 0))["dev"]}
    dataset = load(write_tuple_folder(tmp_path, tree))
    assert dataset.task == "regression" and dataset["valid"].labels.tolist() == [1, 0]
    tree["train"][0] = (tree["train"][0][0], np.array([[4.5]]), "high")
    write_tuple_folder(tmp_path, tree)
    with pytest.raises(DataError, match=r"train/regression_labels holds 4.5 .* outside the label range \[-3, 3\]"):
        load(tmp_path)
    assert load(tmp_path, label_range=(-5, 5)).label_range == (-5, 5)


def test_humor_is_two_classes(tmp_path):
    dataset = load(write_tuple_folder(tmp_path, misa_tree(labels=(1, 0), vision=371, audio=81)))
    assert dataset.task == "classification" and dataset["test"].labels.tolist() == [1, 0, 1, 0]


def test_a_file_that_lacks_is_a_split_that_lacks(tmp_path):
    write_tuple_folder(tmp_path, misa_tree())
    (tmp_path / "test.pkl").unlink()
    dataset = load(tmp_path)
    with pytest.raises(DataError, match="no split 'test'; it has train, valid"):
        dataset.split("test")
    (tmp_path / "dev.pkl").unlink()
    with pytest.raises(
        DataError,
        match=r"no known layout; it holds .*train\.pkl; to read one .*train\.pkl; known folders: .*MISA: train\.pkl",
    ):
        load(tmp_path)


def test_the_files_that_misa_began_with_come_first(tmp_path):
    assert load(write_csd_folder(write_tuple_folder(tmp_path, misa_tree()))).format == "csd"


def _changed(name, value):
    return lambda tree: tree.update({name: value(tree[name])})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda tree: tree.update(valid=tree["dev"]), r"has the split 'valid' under two names"),
        (_changed("dev", lambda samples: []), r"dev\.pkl: is empty: 0 samples"),
        (_changed("dev", lambda samples: {"train": samples}), r"dev\.pkl: is a dict; a list of samples as MISA's"),
        (_changed("dev", lambda samples: samples[0][0][3]), r"dev\.pkl: is a list of strs; a list of samples"),
        (_changed("dev", lambda samples: mag_tree()["dev"]), r"valid: sample 0 isn't built like a sample of misa"),
        (_changed("dev", lambda samples: misa_list(vision=46)), r"valid/vision: sample 0 is 46 wide, others 47"),
    ],
)
def test_contradictions(tmp_path, damage, said):
    tree = misa_tree()
    damage(tree)
    with pytest.raises(DataError, match=said) as caught:
        load(write_tuple_folder(tmp_path, tree))
    assert str(tmp_path) in str(caught.value)


def test_a_damaged_file_is_named(tmp_path):
    write_tuple_folder(tmp_path, misa_tree())
    (tmp_path / "test.pkl").write_bytes((tmp_path / "test.pkl").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"test\.pkl: truncated or corrupt pickle"):
        load(tmp_path)


def test_the_commands_take_the_folder(tmp_path, capsys, monkeypatch):
    (tmp_path / "MOSI").mkdir()
    folder = write_tuple_folder(tmp_path / "MOSI", misa_tree())
    assert main(["inspect", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "misa-folder" and found["splits"]["valid"]["samples"] == 2

    def stop(recipe, dataset, *arguments, **options):
        raise TrainingError(f"far enough: {dataset.format}, {len(dataset['test'])}")

    monkeypatch.setattr(importlib.import_module("plumkeras.recipes.runs.training"), "train_run", stop)
    assert main(["train", "mosi", "--data", str(folder), "--output", str(tmp_path / "run")]) == 2
    assert "far enough: misa-folder, 4" in capsys.readouterr().err


def test_its_shards_are_the_same_data(tmp_path):
    (tmp_path / "MOSI").mkdir()
    dataset = load(write_tuple_folder(tmp_path / "MOSI", misa_tree()))
    schema = convert(tmp_path / "MOSI", tmp_path / "shards")
    assert schema["source"] == {"format": "misa-folder", "sha256": dataset.sha256}
    shutil.rmtree(tmp_path / "MOSI")
    stored = load(tmp_path / "shards")
    for name, split in dataset.items():
        np.testing.assert_array_equal(stored[name].labels, split.labels)
        for modality, features in split.features.items():
            np.testing.assert_array_equal(stored[name].features[modality], features)
