"""Splits without labels, files without `test` or `valid`, absent modalities, and warnings that remain."""

import csv
import json
import warnings

import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import DataError, Dataset, Split, load, make_synthetic, save_npz, with_validation
from plumkeras.data_pipelines.extraction.extracting import extract
from plumkeras.data_pipelines.extraction.text import TextOptions
from plumkeras.data_pipelines.readers.shared.label_fields import split_labels
from plumkeras.data_pipelines.schema.validation import TokenIdsError
from plumkeras.recipes.cli import main
from plumkeras.recipes.runs.run import DataWarning

# A network that is compiled in no time: the data are the subject here.
TINY = [
    *("--network.hidden-dim=8", "--network.num-heads=2", "--network.modules", "--network.signed-log1p"),
    *("--alignment.epochs=1", "--refinement.epochs=1", "--batch-size=16"),
]


def make_data(path, sizes, change=lambda dataset: dataset):
    save_npz(change(make_synthetic(sizes, seed=3)[0]), path)
    return str(path)


def without_labels(name):
    def change(dataset):
        splits = dict(dataset)
        fields_of = {f: getattr(splits[name], f) for f in ("ids", "features", "lengths")}
        splits[name] = Split(**fields_of, labels=np.full(len(splits[name]), np.nan, "float32"))
        return Dataset(splits, label_range=dataset.label_range)

    return change


def train(data, output, *options):
    return main(["train", "mosi", "--data", data, "--output", str(output), *TINY, *options])


def test_an_unlabelled_test_split_is_predicted_and_valid_measured(tmp_path, capsys):
    sizes = {"train": 32, "valid": 16, "test": 8}
    data = make_data(tmp_path / "data.npz", sizes, without_labels("test"))
    assert load(data)["test"].labels is None
    assert train(data, tmp_path / "run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "test has no labels: valid alone is measured, and test is predicted" in said
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"] is None and metrics["valid"]["n"] == 16
    assert any("test has no labels" in sentence for sentence in metrics["warnings"])
    with (tmp_path / "run" / "predictions_test.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    # What needs labels says so, and what needs none works.
    run = str(tmp_path / "run")
    assert main(["evaluate", run, "--data", data]) == 2
    assert "test has no labels to measure against" in capsys.readouterr().err
    assert main(["predict", run, "--data", data, "--output", str(tmp_path / "p.csv")]) == 0
    assert main(["inspect", data]) == 0
    assert main(["export", run, str(tmp_path / "served")]) == 0
    card = (tmp_path / "served" / "1" / "model_card.md").read_text()
    assert "test has no labels: valid alone is measured" in card


def test_a_file_without_test_is_trained_on(tmp_path, capsys):
    data = make_data(tmp_path / "data.npz", {"train": 32, "valid": 16})
    assert train(data, tmp_path / "run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the data have no test split: valid alone is measured" in said and "valid, baseline" in said
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"] is None and not (tmp_path / "run" / "predictions_test.csv").exists()


def grouped(dataset):
    """Ids of eight videos."""
    splits = {
        name: Split([f"{name}video{i % 8}_{i}" for i in range(len(split))], split.features, split.lengths, split.labels)
        for name, split in dataset.items()
    }
    return Dataset(splits, label_range=dataset.label_range)


def test_a_file_without_valid_names_the_option_that_carves_it(tmp_path, capsys):
    data = make_data(tmp_path / "data.npz", {"train": 64, "test": 16}, grouped)
    assert train(data, tmp_path / "run") == 2
    assert "--validation-fraction" in capsys.readouterr().err and not (tmp_path / "run").exists()
    assert train(data, tmp_path / "run", "--validation-fraction=0.25") == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["valid"]["n"] == 16 and metrics["test"]["n"] == 16
    assert any(
        "carved from train, which had 64 samples: 16 samples of 2 videos" in sentence
        for sentence in metrics["warnings"]
    )
    # The same part is measured again.
    assert main(["evaluate", str(tmp_path / "run"), "--data", data, "--split", "valid"]) == 0


def test_carving_shares_no_video_and_needs_to_know_them(tmp_path):
    dataset = with_validation(grouped(make_synthetic({"train": 64}, seed=3)[0]), 0.25)
    videos = [{i.split("_")[0] for i in dataset[name].ids.tolist()} for name in ("train", "valid")]
    assert len(videos[1]) == 2 and not videos[0] & videos[1]
    train = dataset["train"]
    numbered = Dataset({"train": Split(range(48), train.features, train.lengths)})
    with pytest.raises(DataError, match="not made of a video and a clip"):
        with_validation(numbered, 0.25)
    with pytest.raises(DataError, match="labelled valid split already"):
        with_validation(grouped(make_synthetic({"train": 16, "valid": 8}, seed=3)[0]), 0.25)


def test_some_labels_missing_among_others_names_the_samples():
    labels = np.array([1.0, np.nan, 0.5, np.nan], "float32")
    with pytest.raises(DataError, match=r"2 of 4 samples have no label .nan or blank.: b, d; give them labels"):
        Dataset({"train": Split(list("abcd"), {"text": np.ones((4, 1, 2))}, {"text": np.ones(4, int)}, labels)})


@pytest.mark.parametrize("blank", [np.nan, None, " "])
def test_blank_classes_are_no_labels(blank):
    ids = np.array(["a", "b", "c"])
    found = split_labels({"classification_labels": [blank] * 3}, "file: test", ids, None, "test")
    assert found == (None, None)
    with pytest.raises(DataError, match=r"1 of 3 samples have no label .*: b"):
        split_labels({"classification_labels": [1, blank, 0]}, "file: test", ids, None, "test")


def test_train_without_labels_is_refused(tmp_path, capsys):
    data = make_data(tmp_path / "data.npz", {"train": 32, "valid": 16}, without_labels("train"))
    assert train(data, tmp_path / "run") == 2
    assert "train has no labels to train on" in capsys.readouterr().err


def text_only(dataset):
    return Dataset({name: split.select(["text"]) for name, split in dataset.items()}, label_range=dataset.label_range)


def test_an_absent_modality_is_missing_for_every_sample(tiny_run, tmp_path, capsys):
    data = make_data(tmp_path / "data.npz", {"test": 8}, text_only)
    sentence = "no audio and no vision, which the network reads: missing for every sample"
    assert main(["predict", str(tiny_run), "--data", data, "--output", str(tmp_path / "p.csv")]) == 0
    assert sentence in capsys.readouterr().err
    assert main(["evaluate", str(tiny_run), "--data", data]) == 0
    assert sentence in capsys.readouterr().err
    run, dataset = plumkeras.load_run(tiny_run), load(data)
    split = dataset["test"]
    arrays = {"text": split.features["text"], "text_length": split.lengths["text"]}
    expected = np.genfromtxt(tmp_path / "p.csv", delimiter=",", names=True)["prediction"]
    for given in (data, dataset, arrays):
        with pytest.warns(UserWarning, match="missing for every sample"):
            outputs = run.predict(given)
        np.testing.assert_allclose(outputs["prediction"], expected, atol=1e-6)
        assert not outputs["audio_present"].any() and (outputs["audio_hard_label"] == -1).all()


def test_a_file_of_none_of_the_modalities_is_refused(tiny_run):
    run = plumkeras.load_run(tiny_run)
    with pytest.raises(DataError, match="has no 'text', which the network reads; it has pose"):
        run.predict({"pose": np.ones((2, 3, 4))})


def test_samples_that_lack_every_modality_are_counted(tiny_run):
    run = plumkeras.load_run(tiny_run)
    dims = run.network.feature_dims
    arrays = {m: np.zeros((3, 2, width), "float32") for m, width in dims.items()}
    arrays |= {f"{m}_length": np.array([2, 0, 0]) for m in dims}
    with pytest.warns(DataWarning, match="2 of 3 samples lack every modality, for one 1"):
        run.predict(arrays)


@pytest.mark.parametrize(
    "text",
    [
        np.array([[101, 2023, 102, 0], [101, 1996, 3185, 102]]),
        np.stack([[[101, 2023, 102, 0], [1, 1, 1, 0], [0, 0, 0, 0]]] * 2),
    ],
)
def test_token_ids_are_no_vectors(tmp_path, text):
    text = text[:, None] if text.ndim == 2 else text
    with pytest.raises(DataError, match=r"train/text holds token ids, not feature vectors.*plumkeras extract"):
        Dataset({"train": Split(["a", "b"], {"text": text}, {"text": np.full(2, text.shape[1])})})
    np.savez(tmp_path / "data.npz", **{"train/id": ["a", "b"], "train/text": text.squeeze()})
    with pytest.raises(DataError, match="holds token ids"):
        load(tmp_path / "data.npz")


def test_extract_puts_vectors_in_the_place_of_token_ids(tmp_path):
    ids = np.array([[101, 2023, 102, 0], [101, 1996, 3185, 102]])
    np.savez(tmp_path / "data.npz", **{"train/id": ["a", "b"], "train/text": ids, "train/audio": np.ones((2, 5))})
    with pytest.raises(TokenIdsError) as caught:
        load(tmp_path / "data.npz")
    assert caught.value.others == ("audio",)
    # Read without them, the file lacks nothing but texts.
    with pytest.raises(DataError, match="train has no raw_text"):
        extract(tmp_path / "data.npz", text_options=TextOptions(text_encoder=tmp_path / "nowhere"))


@pytest.mark.parametrize("values", [np.eye(4), np.zeros((4, 4)), np.arange(16).reshape(4, 4), 2000.5 * np.ones((4, 4))])
def test_vectors_of_whole_numbers_are_vectors(values):
    Dataset({"train": Split(range(4), {"text": values[:, None]}, {"text": np.ones(4, int)})})
    frames = 1000 * np.arange(4 * 5 * 3).reshape(4, 5, 3)
    Dataset({"train": Split(range(4), {"text": frames}, {"text": np.full(4, 5)})})


def test_what_loading_cleaned_is_said_by_every_command_and_kept(tmp_path, capsys):
    data = make_data(tmp_path / "clean.npz", {"train": 32, "valid": 16, "test": 8})
    with np.load(data) as file:
        arrays = dict(file)
    arrays["test/audio"][0, 0] = np.nan
    np.savez(tmp_path / "data.npz", **arrays)
    data = str(tmp_path / "data.npz")
    assert train(data, tmp_path / "run") == 0
    sentence = "test/audio: values set to 0:"
    assert sentence in " ".join(capsys.readouterr().out.split())
    for name in ("config.json", "metrics.json"):
        found = json.loads((tmp_path / "run" / name).read_text())["warnings"]
        assert sum(sentence in warning for warning in found) == 1
    run = str(tmp_path / "run")
    assert main(["evaluate", run, "--data", data]) == 0
    assert sentence in capsys.readouterr().err
    assert main(["predict", run, "--data", data, "--output", str(tmp_path / "p.csv")]) == 0
    assert sentence in capsys.readouterr().err
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plumkeras.load_run(run).predict(data)
    assert any(sentence in str(warning.message) for warning in caught)
