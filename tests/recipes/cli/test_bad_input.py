"""A user's mistake is one clear line on standard error, or tyro's box; status 2, and nothing written or overwritten."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from plumkeras.data_pipelines import make_synthetic, save_npz
from plumkeras.recipes.cli import main


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A good feature file, as a dict of arrays to spoil and a path."""
    path = tmp_path_factory.mktemp("good") / "good.npz"
    save_npz(make_synthetic({"train": 16, "valid": 8, "test": 8})[0], path)
    with np.load(path) as file:
        return path, dict(file)


def _spoiled(folder, arrays, **changes):
    """The file with some arrays changed; `None` removes one. Keys have `__` for `/`."""
    changed = {**arrays, **{key.replace("__", "/"): value for key, value in changes.items()}}
    path = folder / "bad.npz"
    np.savez(path, **{key: value for key, value in changed.items() if value is not None})
    return path


def _refused(capsys, arguments, *told):
    """The command ends with status 2 and one line that says all of `told`."""
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert status == 2, printed.err
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("plumkeras: error: "), printed.err
    for words in told:
        assert str(words) in lines[0]


def _train(data, output):
    return ["train", "mosi_frozen", "--data", data, "--output", output]


def test_missing_file(tmp_path, capsys):
    _refused(capsys, _train(tmp_path / "nothing.npz", tmp_path / "run"), "nothing.npz")
    assert not (tmp_path / "run").exists()


def test_directory_for_a_file(tmp_path, capsys):
    _refused(capsys, _train(tmp_path, tmp_path / "run"), tmp_path, "directory")


@pytest.mark.parametrize("size", [0, 3, 40, 2000])
def test_truncated_npz(good, tmp_path, capsys, size):
    path = tmp_path / "cut.npz"
    path.write_bytes(good[0].read_bytes()[:size])
    _refused(capsys, _train(path, tmp_path / "run"), "cut.npz")


def test_file_of_another_kind(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("no features here\n")
    _refused(capsys, _train(path, tmp_path / "run"), "notes.txt")


def test_pickle_that_calls_code(tmp_path, capsys):
    marker = tmp_path / "ran"
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")
    _refused(capsys, _train(path, tmp_path / "run"), "evil.pkl", "os.system")
    assert not marker.exists()


def test_missing_split(good, tmp_path, capsys):
    arrays = {key: value for key, value in good[1].items() if not key.startswith("valid/")}
    _refused(capsys, _train(_spoiled(tmp_path, arrays), tmp_path / "run"), "bad.npz", "valid")


def test_widths_that_differ_between_splits(good, tmp_path, capsys):
    path = _spoiled(tmp_path, good[1], valid__audio=good[1]["valid/audio"][:, :, :5])
    _refused(capsys, _train(path, tmp_path / "run"), "bad.npz", "audio", "5", "12")


def test_features_and_labels_of_different_number(good, tmp_path, capsys):
    path = _spoiled(tmp_path, good[1], train__regression_labels=good[1]["train/regression_labels"][:15])
    _refused(capsys, _train(path, tmp_path / "run"), "bad.npz", "train", "15", "16")


def test_nan_label(good, tmp_path, capsys):
    labels = good[1]["test/regression_labels"].copy()
    labels[3] = np.nan
    path = _spoiled(tmp_path, good[1], test__regression_labels=labels)
    _refused(capsys, _train(path, tmp_path / "run"), "bad.npz", "test", "nan", good[1]["test/id"][3])


def test_label_out_of_range(good, tmp_path, capsys):
    labels = good[1]["train/regression_labels"].copy()
    labels[5] = 4.5
    path = _spoiled(tmp_path, good[1], train__regression_labels=labels)
    _refused(capsys, _train(path, tmp_path / "run"), "bad.npz", "4.5", good[1]["train/id"][5])


@pytest.mark.parametrize("keep", [0.5, 0.97])
def test_truncated_pickle(tmp_path, capsys, keep):
    whole = pickle.dumps({"train": {"text": np.zeros((4, 3, 2)), "regression_labels": np.zeros(4), "id": list("abcd")}})
    path = tmp_path / "cut.pkl"
    path.write_bytes(whole[: int(keep * len(whole))])
    _refused(capsys, _train(path, tmp_path / "run"), "cut.pkl", "corrupt")


def test_modality_missing_everywhere_in_train(good, tiny_run, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    path = _spoiled(tmp_path, good[1], train__audio_lengths=np.zeros(16, "int32"))
    _refused(capsys, [*_train(path, tiny_run), "--overwrite"], "bad.npz", "train/audio", "length is 0")
    assert before == {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}


@pytest.mark.parametrize(
    ("split", "classes", "told"),
    [
        ("train", np.zeros(16), ["train/classification_labels", "[0]"]),
        ("train", np.arange(16) % 2 * 2_000_000_000, ["train/classification_labels", "2000000000"]),
        ("test", np.full(8, 7), ["test/classification_labels", "7"]),
    ],
)
def test_classes(good, tmp_path, capsys, split, classes, told):
    arrays = {key: value for key, value in good[1].items() if not key.endswith("regression_labels")}
    for name, count in (("train", 16), ("valid", 8), ("test", 8)):
        arrays[f"{name}/classification_labels"] = np.arange(count) % 2
    arrays[f"{split}/classification_labels"] = classes.astype("int64")
    _refused(capsys, _train(_spoiled(tmp_path, arrays), tmp_path / "run"), "bad.npz", *told)
    assert not (tmp_path / "run").exists()


def test_evaluate_on_labels_of_another_kind(good, tiny_run, tmp_path, capsys):
    arrays = {key: value for key, value in good[1].items() if not key.endswith("regression_labels")}
    for name, count in (("train", 16), ("valid", 8), ("test", 8)):
        arrays[f"{name}/classification_labels"] = np.arange(count) % 3
    path = _spoiled(tmp_path, arrays)
    _refused(capsys, ["evaluate", tiny_run, "--data", path], "bad.npz", "classification", "regression")


def test_length_beyond_the_frames(good, tmp_path, capsys):
    lengths = good[1]["train/text_lengths"].copy()
    lengths[0] = 99
    path = _spoiled(tmp_path, good[1], train__text_lengths=lengths)
    _refused(capsys, _train(path, tmp_path / "run"), "bad.npz", "text", "99")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "synthetic"], ["--output"]),
        (["train", "synthetic", "--output", "run", "--network.hidden-dim", "wide"], ["--network.hidden-dim", "wide"]),
        (["train", "synthetic", "--output", "run", "--objective.private-target", "soggy"], ["private-target", "soggy"]),
        (["train", "mosi", "--data", "x", "--output", "run", "--label-range", "3"], ["--label-range"]),
        (["evaluate"], ["RUN"]),
    ],
)
def test_a_wrong_value_is_told_by_tyro(capsys, arguments, told):
    """Status 2 and tyro's box, which names argument and value."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    said = " ".join(printed.err.replace("│", " ").split())
    assert not printed.out and "Traceback" not in said and f"plumkeras {' '.join(arguments[:2])} --help" in said
    for words in told:
        assert words in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], ["trian"]),
        (["train"], ["recipe"]),
        (["train", "mosey", "--output", "run"], ["mosey", "mosi"]),
        (["train", "absent.py", "--output", "run"], ["absent.py"]),
        (["train", "synthetic", "--output", "run", "--network.hiden-dim", "8"], ["--network.hiden-dim", "hidden-dim"]),
        (["train", "synthetic", "--output", "run", "--network.signed-log1p", "adio"], ["signed_log1p", "adio"]),
        (["train", "synthetic", "--output", "run", "--network.strided", "vison"], ["network.strided", "vison"]),
        (["train", "synthetic", "--output", "run", "--network.stride", "0"], ["network.stride", "0"]),
        (["train", "synthetic", "--output", "run", "--network.hidden-dim", "30"], ["hidden_dim", "30"]),
        (["train", "synthetic", "--output", "run", "--network.dropout", "1.5"], ["network.dropout", "1.5"]),
        (["train", "synthetic", "--output", "run", "--network.modules", "prm"], ["network.modules", "prm"]),
        (["train", "synthetic", "--output", "run", "--refinement.epochs", "0"], ["refinement.epochs", "0"]),
        (["train", "synthetic", "--output", "run", "--refinement.learning-rate", "inf"], ["learning_rate", "inf"]),
        (["train", "synthetic", "--output", "run", "--objective.label-classes", "nan"], ["label_classes", "nan"]),
        (["train", "mosi", "--data", "x", "--output", "run", "--label-range", "3", "-3"], ["label_range", "3 -3"]),
        (["inspect", "x.npz", "--label-range", "1", "1"], ["--label-range", "1 1"]),
        (["convert", "x.npz", "shards", "--label-range", "-inf", "inf"], ["--label-range", "-inf inf"]),
        (["extract", "clips", "--output", "x.npz", "--label-range", "0", "nan"], ["--label-range", "0 nan"]),
        (["train", "mosi_frozen", "--output", "run"], ["--data"]),
        (["train", "--config", "absent.json", "--output", "run"], ["absent.json"]),
        (["evaluate", "absent", "--data", "x.npz"], ["absent"]),
        (["predict", "absent", "--data", "x.npz", "--output", "p.csv"], ["absent"]),
        (["inspect", "absent.npz"], ["absent.npz"]),
        (["inspect", "absent.npz", "--plot", "absent/picture.png"], ["--plot", "absent"]),
        (["inspect", "absent.npz", "--plot", "picture.pdf"], ["--plot", ".png"]),
        (["benchmark", "memory", "--data", "x.npz"], ["memory"]),
    ],
)
def test_words_on_the_line(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _refused(capsys, arguments, *told)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", ["not valid JSON"]),
        ('{"name": "x", "colour": 1}', ["colour"]),
        ('{"name": "x", "network": {"hidden_dim": "wide"}}', ["network.hidden_dim", "wide"]),
        ('{"batch_size": 4}', ["name"]),
        ('{"name": "x", "label_range": [1]}', ["label_range", "two finite numbers"]),
        ('{"name": "x", "label_range": "wide"}', ["label_range must be a list of floats", "wide"]),
        ('{"name": "x", "label_range": [0, "high"]}', ["label_range must be float", "high"]),
    ],
)
def test_config_file(text, told, capsys, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(text)
    _refused(capsys, ["train", "--config", path, "--output", tmp_path / "run"], "config.json", *told)


def test_recipe_file_that_fails(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("recipe = 3\n")
    _refused(capsys, ["train", path, "--output", tmp_path / "run"], "mine.py", "RecipeConfig")
    path.write_text("import a_module_that_is_not_there\n")
    _refused(capsys, ["train", path, "--output", tmp_path / "run"], "mine.py", "a_module_that_is_not_there")


def test_recipe_file_with_a_value_of_another_type(capsys, tmp_path):
    path = tmp_path / "mine.py"
    for value, told in (("batch_size=3.5", "batch_size"), ("modalities='text'", "modalities")):
        path.write_text(f"from plumkeras.recipes import RecipeConfig\nrecipe = RecipeConfig(name='mine', {value})\n")
        _refused(capsys, ["train", path, "--data", "x.npz", "--output", tmp_path / "run"], "mine.py", told)


def test_a_run_is_not_overwritten_without_being_asked(tiny_run, capsys):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    _refused(capsys, ["train", "synthetic", "--output", tiny_run], "already holds a run", "--overwrite")
    assert before == {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}


def test_a_strangers_directory_is_never_overwritten(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("precious")
    _refused(capsys, ["train", "synthetic", "--output", tmp_path, "--overwrite"], "holds no run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_config_of_other_software_is_no_run(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    _refused(capsys, ["train", "synthetic", "--output", tmp_path, "--overwrite"], "holds no run")
    assert (tmp_path / "config.json").read_text() == '{"model_type": "bert"}'


def test_overwriting_leaves_files_that_are_not_ours(tmp_path):
    from plumkeras.recipes.runs import run_directory
    from plumkeras.recipes.synthetic import generate, synthetic

    class Network:
        feature_dims, task, num_classes = {"text": 2}, "regression", 3

    (tmp_path / "predictions_mine.csv").write_text("precious")
    (tmp_path / "predictions_test.csv").write_text("of the run before")
    run_directory.start(tmp_path, synthetic, generate(synthetic.synthetic)[0], Network)
    assert {path.name for path in tmp_path.iterdir()} == {"predictions_mine.csv", "config.json"}


def test_a_bad_file_leaves_an_earlier_run_alone(tiny_run, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}
    _refused(capsys, [*_train(tmp_path / "absent.npz", tiny_run), "--overwrite"], "absent.npz")
    assert before == {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*")}


def test_predict_on_other_widths(good, tiny_run, tmp_path, capsys):
    arrays = dict(good[1])
    for split in ("train", "valid", "test"):
        arrays[f"{split}/audio"] = arrays[f"{split}/audio"][:, :, :5]
    out = tmp_path / "p.csv"
    path = _spoiled(tmp_path, arrays)
    _refused(capsys, ["predict", tiny_run, "--data", path, "--output", out], "bad.npz", "audio", "5", "12")
    assert not out.exists()


def test_predict_without_a_modality_and_of_an_unknown_split(good, tiny_run, tmp_path, capsys):
    path, arrays = good
    out = tmp_path / "p.csv"
    without = _spoiled(tmp_path, {key: value for key, value in arrays.items() if "vision" not in key})
    _refused(capsys, ["predict", tiny_run, "--data", path, "--output", out, "--split", "tset"], "tset", "test")
    assert not out.exists()
    assert main(["predict", str(tiny_run), "--data", str(without), "--output", str(out)]) == 0
    assert "no vision, which the network reads: missing for every sample" in capsys.readouterr().err


def test_predictions_are_not_overwritten(good, tiny_run, tmp_path, capsys):
    out = tmp_path / "p.csv"
    out.write_text("precious")
    _refused(capsys, ["predict", tiny_run, "--data", good[0], "--output", out], "p.csv", "--overwrite")
    assert out.read_text() == "precious"


def test_run_with_a_broken_network(tiny_run, tmp_path, capsys):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "network.keras").write_bytes(b"not a network")
    _refused(capsys, ["evaluate", run], "network.keras")
    (run / "network.keras").unlink()
    _refused(capsys, ["evaluate", run], "network.keras")


def test_mistakes_are_told_before_a_backend_starts(tmp_path):
    """In a process where importing Keras or TensorFlow fails, the same lines come."""
    code = (
        "import sys\n"
        "sys.modules['keras'] = sys.modules['tensorflow'] = None\n"
        "from plumkeras.recipes.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    for arguments, told in (
        (["train", "mosi", "--data", str(tmp_path / "absent.npz"), "--output", str(tmp_path / "run")], "absent.npz"),
        (["train", "synthetic", "--output", str(tmp_path / "run"), "--sede", "3"], "--sede"),
        (["predict", str(tmp_path / "absent"), "--output", str(tmp_path / "p.csv")], "absent"),
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
