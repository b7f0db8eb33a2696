"""Exact resume: a run killed anywhere ends with the bytes of one that was left alone. Subprocesses do the training.

Where a process dies is chosen by what it does (`killed_run.py`), so that the machine's speed decides nothing.
"""

import errno
import hashlib
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from plumkeras import locking
from plumkeras.data_pipelines import load, make_synthetic, save_npz
from plumkeras.models.plum_net import PLUMNet
from plumkeras.recipes import find_recipe
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError, TrainingError
from plumkeras.recipes.runs import resuming, run_directory
from plumkeras.recipes.runs.checkpoint import CheckpointFile, Position, variable_paths
from plumkeras.recipes.runs.output_checks import check_output
from plumkeras.trainers import RefinementTrainer
from plumkeras.trainers.backend import AdamW

# All modules, dropout, early stopping; 4 steps an epoch, the last on a partial batch. A process costs 7 to 13 s of CPU,
# nearly all of it for starting and tracing.
SMALL = [
    *("--deterministic", "--network.hidden-dim=8", "--network.num-heads=2", "--network.dropout=0.3"),
    *("--batch-size=12", "--synthetic.train=40", "--synthetic.valid=16", "--synthetic.test=16"),
    *("--alignment.epochs=3", "--alignment.learning-rate=1e-2"),
    *("--refinement.epochs=12", "--refinement.patience=2", "--refinement.learning-rate=1e-2"),
]
OPTIONS = [*SMALL, "--modalities", "text"]
# With what else has a state: a second modality and modality dropout, AdamW, schedules, moving prototypes.
RICH_OPTIONS = [
    *(*SMALL, "--modalities", "text", "audio", "--network.modality-dropout=0.2", "--prototype-policy=ema"),
    *("--refinement.weight-decay=1e-3", "--refinement.schedule=cosine", "--alignment.schedule=cosine"),
]
DRIVER = Path(__file__).parents[2] / "testing" / "killed_run.py"
HISTORIES = ("alignment_history.csv", "refinement_history.csv")
OUTCOME = ("metrics.json", *HISTORIES, "predictions_valid.csv", "predictions_test.csv")


def command(directory, *more, options=OPTIONS):
    return ["train", "synthetic", "--output", str(directory), *options, *more]


def process(arguments, backend=None):
    environment = {**os.environ, "KERAS_BACKEND": backend or keras.backend.backend()}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)


def undisturbed(directory, options=OPTIONS, backend=None):
    done = process(["-m", "plumkeras", *command(directory, options=options)], backend)
    assert done.returncode == 0, done.stderr
    return directory


def resume(directory, point="never", options=OPTIONS, backend=None):
    """Goes on with the directory's run in a process of its own, which dies at the point."""
    return process([str(DRIVER), point, *command(directory, "--resume", options=options)], backend)


def kill(directory, point, options=OPTIONS, backend=None):
    done = resume(directory, point, options, backend)
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached:\n{done.stdout}{done.stderr}"


def finish(directory, options=OPTIONS, backend=None):
    done = resume(directory, options=options, backend=backend)
    assert done.returncode == 0, done.stderr


def outcome(directory):
    """SHA-256 of what a finished run leaves of its own: weights, metrics, histories, predictions."""
    content = {name: (directory / name).read_bytes() for name in OUTCOME}
    # The archive around the weights holds the time of saving; the file inside it does not.
    with zipfile.ZipFile(directory / "network.keras") as archive:
        content["weights"] = archive.read("model.weights.h5")
    return {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


def tree(directory):
    """Every file of a directory with its bytes, but for the lock, which a killed process leaves."""
    files = [p for p in sorted(directory.rglob("*")) if p.is_file() and p.name != locking.NAME]
    return {str(p.relative_to(directory)): p.read_bytes() for p in files}


def column(directory, stage, name):
    names, *rows = [row.split(",") for row in (directory / f"{stage}_history.csv").read_text().splitlines()]
    return [float(row[names.index(name)]) for row in rows]


def one_line(printed):
    lines = printed.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("plumkeras: error: "), printed
    return lines[0]


def refused(capsys, arguments, *told):
    """The command, in this process, ends with status 2 and one line that says all of `told`."""
    assert main([str(argument) for argument in arguments]) == 2
    line = one_line(capsys.readouterr().err)
    for words in told:
        assert str(words) in line


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The run that nobody disturbs. Tests must not change it."""
    return undisturbed(tmp_path_factory.mktemp("resume") / "reference")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Three kills: amid an epoch of stage 1, between the stages, and while a checkpoint of stage 2 is written. Then the
    disk is full (`full`: how that process ended; `after_full`: what it left), and then the run ends in `directory`.

    `first` is what the first kill left, `unfinished` a copy of what the third did. Tests must not change them.
    """
    folder = tmp_path_factory.mktemp("resume")
    directory = folder / "run"
    directory.mkdir()  # Empty: --resume starts from the beginning.
    kill(directory, "step:alignment:1:1")
    first = tree(directory)
    kill(directory, "end:alignment")
    kill(directory, "half:checkpoint.npz:refinement:3")
    unfinished = shutil.copytree(directory, folder / "unfinished")
    full = resume(directory, "full:checkpoint.npz:refinement:3") if Path("/dev/full").exists() else None
    after_full = tree(directory)
    finish(directory)
    return types.SimpleNamespace(
        directory=directory, first=first, unfinished=unfinished, full=full, after_full=after_full
    )


@pytest.fixture
def unfinished(chain, tmp_path):
    """A copy of a killed run, to be changed."""
    return shutil.copytree(chain.unfinished, tmp_path / "run")


def test_the_run_is_one_that_needs_its_state(reference):
    """The premise: early stopping ends stage 2, which then goes back to an epoch before the last."""
    losses = column(reference, "refinement", "val_prediction_loss")
    assert 4 < len(losses) < 12
    assert len(losses) - 1 - int(np.argmin(losses)) == 2


def test_three_kills_and_a_full_disk_change_no_byte(reference, chain):
    assert outcome(chain.directory) == outcome(reference)
    assert {p.name for p in chain.directory.iterdir()} == {p.name for p in reference.iterdir()}
    assert (chain.directory / "losses.png").stat().st_size


@pytest.mark.verify
def test_a_checkpoint_by_position_changes_no_byte(reference, unfinished):
    number_arrays(unfinished / "checkpoint.npz")
    finish(unfinished)
    assert outcome(unfinished) == outcome(reference)


def test_paths_of_variables_are_the_same_whatever_the_process_made_before():
    def paths():
        network = PLUMNet({"text": 4, "audio": 3}, hidden_dim=8, num_layers=1, num_heads=2, dropout=0.3)
        trainer = RefinementTrainer(network)
        trainer.compile(AdamW(1e-3))
        trainer.optimizer.build(trainer.trainable_variables)
        return variable_paths(trainer.variables), variable_paths(trainer.optimizer.variables)

    model, optimizer = paths()
    keras.layers.Dropout(0.5), AdamW(), keras.layers.Dense(1)
    assert (model, optimizer) == paths()
    assert len(set(model)) == len(model) and len(set(optimizer)) == len(optimizer)
    assert {"common_branch/pool/query/kernel", "seed_generator/seed_generator_state"} < {*model}
    assert {path.split("/")[0] for path in optimizer} <= {"fused_adam_w", "adamw"}
    named = [keras.Variable(0.0, name=name) for name in ("x", "y_10", "x_3", "y_9", "x_2", "z2")]
    assert variable_paths(named) == ["x", "y_1", "x_2", "y", "x_1", "z2"]


def test_the_kills_came_where_they_were_wanted(chain):
    """What each left: one checkpoint of stage 1, then half of one of stage 2 beside the one before it."""
    assert "checkpoint.npz" in chain.first and "refinement_history.csv" not in chain.first
    position = CheckpointFile(chain.unfinished).read()
    assert (position.stage, position.epochs, position.stopped) == ("refinement", 3, False)
    size = (chain.unfinished / "checkpoint.npz").stat().st_size
    assert 0 < (chain.unfinished / "checkpoint.npz.partial").stat().st_size < 0.6 * size


def test_histories_and_logs_of_a_resumed_run_are_complete(chain):
    for stage in ("alignment", "refinement"):
        epochs = column(chain.directory, stage, "epoch")
        assert epochs == list(range(1, len(epochs) + 1)) and len(epochs) >= 3
    # The row of the epoch whose checkpoint was never written was there, and has been written again, once.
    assert column(chain.unfinished, "refinement", "epoch") == [1, 2, 3, 4]
    kept = tree(chain.directory)
    if keras.backend.backend() == "tensorflow":
        logs = {name for name in chain.first if name.startswith("logs")}
        assert logs and all(kept[name] == chain.first[name] for name in logs)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, by which a full disk is played")
def test_a_full_disk_is_one_line_and_costs_nothing(chain):
    assert chain.full.returncode == 2
    line = one_line(chain.full.stderr)
    for words in ("checkpoint.npz", "epoch 4 of refinement", "No space left on device", "untouched", "--resume"):
        assert words in line
    assert chain.after_full["checkpoint.npz"] == (chain.unfinished / "checkpoint.npz").read_bytes()
    assert not any(name.endswith(".partial") for name in chain.after_full)


def test_a_finished_run_is_said_to_be_finished(reference, capsys):
    before = tree(reference)
    assert main(command(reference, "--resume")) == 0
    printed = capsys.readouterr().out
    metrics = json.loads(before["metrics.json"])
    assert "this run is finished" in printed
    assert f"{metrics['valid']['mae']:.3f}" in printed and f"{metrics['test']['mae']:.3f}" in printed
    assert tree(reference) == before


@pytest.mark.verify
def test_more_epochs_of_a_finished_run_equal_a_run_that_had_them_from_the_start(tmp_path, capsys):
    # The head alone, which is soon compiled; dropout, Adam and the best epoch have a state.
    def options(epochs):
        rest = [o for o in SMALL if not o.startswith("--refinement")]
        stage = [f"--refinement.epochs={epochs}", "--refinement.learning-rate=1e-2"]
        return ["--modalities", "text", "--network.modules", *rest, *stage]

    whole = undisturbed(tmp_path / "whole", options(4))
    raised = undisturbed(tmp_path / "raised", options(2))
    before = tree(raised)
    # Fewer are refused, and with the checkpoint gone so are more.
    refused(capsys, command(raised, "--resume", options=options(1)), "refinement.epochs", "--init-from")
    kept = (raised / "checkpoint.npz").rename(tmp_path / "kept.npz")
    refused(capsys, command(raised, "--resume", options=options(4)), "holds no checkpoint.npz", "--init-from")
    kept.rename(raised / "checkpoint.npz")
    assert tree(raised) == before
    finish(raised, options(4))
    for name in ("metrics.json", "refinement_history.csv", "predictions_valid.csv", "predictions_test.csv"):
        assert (raised / name).read_bytes() == (whole / name).read_bytes()
    assert run_directory.read_config(raised / "config.json") == run_directory.read_config(whole / "config.json")
    assert len(json.loads((raised / "timings.json").read_text())["epoch_seconds"]["refinement"]) == 4


def test_a_history_of_version_0_1_0_goes_on_from_1(tmp_path):
    path = tmp_path / "refinement_history.csv"
    path.write_bytes(b"epoch,loss\r\n0,1.5\r\n1,1.25\r\n2,1")
    resuming.cut_history(path, 2)
    assert path.read_bytes() == b"epoch,loss\r\n1,1.5\r\n2,1.25\r\n"
    resuming.cut_history(path, 1)
    assert path.read_bytes() == b"epoch,loss\r\n1,1.5\r\n"


def test_resume_and_overwrite_exclude_each_other(unfinished, capsys):
    before = tree(unfinished)
    refused(capsys, command(unfinished, "--resume", "--overwrite"), "--resume", "--overwrite")
    assert tree(unfinished) == before


def test_an_unfinished_run_is_told_from_a_finished_one(unfinished, capsys, tmp_path):
    before = tree(unfinished)
    refused(capsys, command(unfinished), "not finished", "--resume", "--overwrite")
    refused(capsys, ["evaluate", unfinished], "no finished run", "network.keras", "--resume")
    refused(capsys, ["predict", unfinished, "--output", tmp_path / "p.csv"], "no finished run", "--resume")
    assert tree(unfinished) == before and not (tmp_path / "p.csv").exists()
    # Killed before there was any checkpoint.
    (unfinished / "checkpoint.npz").unlink()
    refused(capsys, ["evaluate", unfinished], "no finished run", "network.keras", "--resume")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (["--network.dropout=0.4"], ["network.dropout", "0.3", "0.4"]),
        (["--seed=1"], ["seed", "0", "1"]),
        (["--refinement.epochs=11"], ["refinement.epochs", "12", "11", "--init-from"]),
        (["--refinement.epochs=13", "--refinement.schedule=cosine"], ["refinement.epochs", "12", "13", "--init-from"]),
        (["--objective.label-classes", "-1.0", "1.0"], ["objective.label_classes", "sign3", "[-1.0, 1.0]"]),
        (["--no-deterministic"], ["deterministic", "True", "False"]),
        (["--synthetic.data-seed=7"], ["synthetic.data_seed", "0", "7"]),
    ],
)
def test_a_changed_configuration_is_refused(unfinished, capsys, changed, told):
    before = tree(unfinished)
    refused(capsys, command(unfinished, "--resume", *changed), "--resume", "has changed", *told)
    assert tree(unfinished) == before


@pytest.mark.parametrize(("field", "told"), [("backend", "backend"), ("sha256", "data.sha256")])
def test_another_backend_and_other_generated_data_are_refused(unfinished, capsys, field, told):
    path = unfinished / "config.json"
    values = json.loads(path.read_text())
    section = values if field == "backend" else values["data"]
    now, section[field] = section[field], "another"
    path.write_text(json.dumps(values))
    before = tree(unfinished)
    refused(capsys, command(unfinished, "--resume"), f"{told} has changed", "'another'", repr(now))
    assert tree(unfinished) == before


def test_another_data_file_is_refused_and_a_moved_one_is_not(tmp_path, capsys):
    recipe, run = find_recipe("mosi_frozen"), tmp_path / "run"
    paths = [tmp_path / f"{seed}.npz" for seed in (0, 1)]
    for seed, path in enumerate(paths):
        save_npz(make_synthetic({"train": 16, "valid": 8, "test": 8}, seed=seed)[0], path)
    dataset = load(paths[0])
    network = types.SimpleNamespace(feature_dims=dataset.feature_dims, task="regression", num_classes=3)
    run_directory.start(run, recipe, dataset, network)
    before = tree(run)
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    refused(capsys, ["train", "mosi_frozen", "--data", paths[1], "--output", run, "--resume"], "data.sha256", *hashes)
    assert tree(run) == before
    resuming.check_same(run, recipe, load(shutil.copy(paths[0], tmp_path / "moved.npz")))


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def hold_no_facts(path):
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files if key != "facts"}
    np.savez(path, **arrays)


def hold_other_shapes(path):
    file = CheckpointFile(path.parent)
    position = file.read()
    position.arrays["variables"]["text_encoder/projection/bias"] = np.zeros(3, "float32")
    file.write(position)


def hold_one_more_and_one_less(path):
    file = CheckpointFile(path.parent)
    position = file.read()
    position.arrays["best"]["pulse_encoder/bias"] = position.arrays["best"].pop("prediction/out/bias")
    file.write(position)


def hold_fewer_by_position(path):
    number_arrays(path)
    file = CheckpointFile(path.parent)
    position = file.read()
    position.arrays["optimizer"].popitem()
    file.write(position)


def number_arrays(path):
    """Rewrites a checkpoint in the layout before arrays had paths."""
    with np.load(path) as file:
        facts = json.loads(file["facts"].tobytes())
        arrays = {
            f"{kind}/{i}": file[f"{kind}/{n}"] for kind, names in facts["arrays"].items() for i, n in enumerate(names)
        }
    facts["arrays"] = {kind: len(names) for kind, names in facts["arrays"].items()}
    np.savez(path, facts=np.frombuffer(json.dumps(facts).encode(), "uint8"), **arrays)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (truncate, "is damaged"),
        (flip, "is damaged"),
        (lambda path: path.write_bytes(b"not a checkpoint"), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (hold_no_facts, "is damaged"),
        (hold_other_shapes, "text_encoder/projection/bias has shape (3,), not (8,); start anew"),
        (
            hold_one_more_and_one_less,
            "of best than this version of plumkeras and Keras makes: prediction/out/bias is "
            "missing, and 1 more differ; start anew",
        ),
        (hold_fewer_by_position, "iteration is missing"),
    ],
)
def test_a_damaged_checkpoint_is_one_line_and_nothing_is_lost(unfinished, capsys, monkeypatch, damage, told):
    # It would hold for the rest of this process.
    monkeypatch.setattr("plumkeras.recipes.runs.stages.enable_determinism", lambda: None)
    path = unfinished / "checkpoint.npz"
    damage(path)
    before = tree(unfinished)
    refused(capsys, command(unfinished, "--resume"), path, told, "--overwrite")
    after = tree(unfinished)
    # What else the killed process left is its lock.
    others = before.keys() - {*HISTORIES, locking.NAME}
    assert {name: after[name] for name in others} == {name: before[name] for name in others}
    for name in HISTORIES:  # At most cut to the epochs of the checkpoint.
        assert before[name].startswith(after[name]) and after[name].count(b"\n") >= 4


@pytest.fixture
def checkpoint(tmp_path):
    """A small checkpoint file, and the position in it."""
    random_numbers = np.random.default_rng(0)
    position = Position(
        stage="refinement",
        epochs=2,
        stopped=False,
        histories={"alignment": {"loss": [1.5]}, "refinement": {"loss": [1.25, float("nan")]}},
        facts={"best": {"best": 1.0, "best_epoch": 0}},
        arrays={
            "variables": {
                "a/kernel": random_numbers.normal(size=(49, 49)).astype("float32"),
                "seed_generator/seed_generator_state": np.arange(2, dtype="uint32"),
            },
            "optimizer": {"adam/iteration": np.array(3, "int64")},
            "best": {"a/kernel": random_numbers.normal(size=16).astype("float32")},
        },
    )
    file = CheckpointFile(tmp_path)
    file.write(position)
    return file, position


def equal(one, other):
    if repr((one.stage, one.epochs, one.stopped, one.histories, one.facts)) != repr(
        (other.stage, other.epochs, other.stopped, other.histories, other.facts)
    ):
        return False
    return one.arrays.keys() == other.arrays.keys() and all(
        list(one.arrays[kind]) == list(values)
        and all(
            one.arrays[kind][n].dtype == a.dtype and np.array_equal(one.arrays[kind][n], a) for n, a in values.items()
        )
        for kind, values in other.arrays.items()
    )


def test_a_checkpoint_reads_back_as_it_was(checkpoint):
    file, position = checkpoint
    assert equal(file.read(), position)
    file.remove()
    assert file.read() is None


def test_no_damaged_byte_goes_unnoticed(checkpoint):
    """One byte changed, or the end cut off: refused, or (a time stamp, say) without any effect.

    Every byte, but for the inside of the one large array, larger than what zipfile reads at once, which is sampled.
    """
    file, position = checkpoint
    whole = file.path.read_bytes()
    inside = whole.index(position.arrays["variables"]["a/kernel"].tobytes())
    for place in [*range(inside), *range(inside, inside + 9600, 97), *range(inside + 9600, len(whole))]:
        for change in (whole[place] ^ 1, whole[place] ^ 0xFF):
            file.path.write_bytes(whole[:place] + bytes([change]) + whole[place + 1 :])
            try:
                assert equal(file.read(), position), place
            except TrainingError as error:
                assert "is damaged" in str(error) or "cannot be read" in str(error)
    for length in range(0, len(whole), 31):
        file.path.write_bytes(whole[:length])
        with pytest.raises(TrainingError, match="is damaged"):
            file.read()


def test_a_failed_write_leaves_the_checkpoint_before(checkpoint, monkeypatch):
    file, position = checkpoint
    before = file.path.read_bytes()

    def fail(member, array, **options):
        member.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz.*No space left.*untouched.*--resume"):
        file.write(position)
    assert [path.name for path in file.path.parent.iterdir()] == ["checkpoint.npz"]
    assert file.path.read_bytes() == before
    file.remove()
    with pytest.raises(TrainingError) as caught:
        file.write(position)
    assert "untouched" not in str(caught.value)


def test_a_full_disk_elsewhere_is_one_line_too(tmp_path):
    from plumkeras.recipes.runs.training import _writing

    full = os.strerror(errno.ENOSPC)
    # The second is as TensorFlow says it.
    for error in (OSError(errno.ENOSPC, full), RuntimeError(f"{{{{node}}}} events.out; {full}\n\tFailed to flush")):
        with pytest.raises(TrainingError, match=f"{tmp_path}: cannot be written: {full}.*--resume"), _writing(tmp_path):
            raise error
    for error in (RuntimeError("something else"), TrainingError(f"of its own: {full}"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, _writing(tmp_path):
            raise error
        assert caught.value is error


def test_a_history_is_cut_to_whole_rows_byte_for_byte(tmp_path):
    path = tmp_path / "alignment_history.csv"
    whole = b"epoch,loss\r\n" + b"".join(b"%d,0.%d\r\n" % (epoch, epoch) for epoch in range(1, 13))
    # The row of epoch 13, of which a full disk took one byte: it would pass for another row of epoch 1.
    path.write_bytes(whole + b"1")
    resuming.cut_history(path, 12)
    assert path.read_bytes() == whole
    resuming.cut_history(path, 2)
    assert path.read_bytes() == b"epoch,loss\r\n1,0.1\r\n2,0.2\r\n"
    resuming.cut_history(tmp_path / "refinement_history.csv", 2)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_clearing_an_earlier_run_can_be_interrupted_anywhere(tmp_path, monkeypatch):
    """What is left is a run that can be overwritten, and neither a finished one nor one with an old network."""
    dataset, _ = make_synthetic({"train": 4, "valid": 4, "test": 4})
    network = types.SimpleNamespace(feature_dims=dataset.feature_dims, task="regression", num_classes=3)
    recipe, unlink, left = find_recipe("synthetic"), Path.unlink, 0

    def earlier(directory):
        run_directory.start(directory, recipe, dataset, network)
        for name in (*OUTCOME, "network.keras", "losses.png", "checkpoint.npz.partial", "partial.network.keras"):
            (directory / name).write_text("of an earlier run")
        return directory

    def unlink_some(path, missing_ok=False):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        unlink(path, missing_ok)

    interrupted = 0
    while True:
        directory, left = earlier(tmp_path / str(interrupted)), interrupted
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink_some)
            try:
                run_directory.start(directory, recipe, dataset, network)
                break
            except KeyboardInterrupt:
                interrupted += 1
        check_output(directory, overwrite=True)
        if interrupted > 1:
            assert not run_directory.is_finished(directory)
            with pytest.raises(ConfigError, match="not finished"):
                check_output(directory, overwrite=False)
        run_directory.start(directory, recipe, dataset, network)
        assert [path.name for path in directory.iterdir()] == ["config.json"]
    assert interrupted > 8
    assert [path.name for path in directory.iterdir()] == ["config.json"]


def test_a_run_killed_before_its_configuration_was_written_is_as_good_as_none(tmp_path):
    (tmp_path / "config.json.partial").write_text('{"recipe": {')
    check_output(tmp_path, overwrite=False)
    check_output(tmp_path, overwrite=False, resume=True)
    assert not run_directory.holds_run(tmp_path)


def points_of(directory):
    """Every point of a finished run where `killed_run.py` can kill, in the order in which they come."""
    points = ["half:config.json", "whole:config.json"]
    for stage in ("alignment", "refinement"):
        points.append(f"begin:{stage}")
        for epoch in range(len(column(directory, stage, "epoch"))):
            points += [f"step:{stage}:{epoch}:{step}" for step in range(4)]
            points += [f"valid:{stage}:{epoch}", f"half:checkpoint.npz:{stage}:{epoch}"]
            points += [f"whole:checkpoint.npz:{stage}:{epoch}", f"epoch:{stage}:{epoch}"]
        points.append(f"end:{stage}")
    for name in ("network.keras", "predictions_valid.csv", "predictions_test.csv", "metrics.json"):
        points += [f"half:{name}", f"whole:{name}", *(["picture"] if name == "network.keras" else [])]
    return [*points, "remove:checkpoint.npz"]


def draw(points, count, seed):
    """`count` of the points, each kind among them, in order."""
    chosen = random.Random(seed)
    kinds = sorted({point.split(":")[0] for point in points})
    drawn = {chosen.choice([p for p in points if p.split(":")[0] == kind]) for kind in kinds}
    rest = [p for p in points if p not in drawn]
    return sorted([*drawn, *chosen.sample(rest, count - len(drawn))], key=points.index)


@pytest.mark.verify
def test_twenty_kills_change_no_byte(tmp_path):
    whole = undisturbed(tmp_path / "whole", RICH_OPTIONS)
    run = tmp_path / "run"
    points = draw(points_of(whole), 19, seed=0)
    # On top of them, a kill while a resumed run cuts a history to the checkpoint's epochs.
    second = next(i for i, point in enumerate(points) if ":refinement" in point)
    points.insert(second + 1, "half:refinement_history.csv")
    assert len(points) == 20
    for point in points:
        kill(run, point, RICH_OPTIONS)
    finish(run, RICH_OPTIONS)
    assert outcome(run) == outcome(whole)
    # The last kill came before the checkpoint of the finished run was removed; going on with it removed it.
    assert {p.name for p in run.iterdir()} == {p.name for p in whole.iterdir()}


@pytest.mark.verify
def test_kills_by_the_clock_change_no_byte(reference, tmp_path):
    """At moments that nobody chose; wherever they come, and even after the end, the outcome is the same."""
    run, moments = tmp_path / "run", random.Random(1)
    for _ in range(5):
        running = subprocess.Popen(
            [sys.executable, "-m", "plumkeras", *command(run, "--resume")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            running.wait(moments.uniform(2, 20))
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
    finish(run)
    assert outcome(run) == outcome(reference)


@pytest.mark.verify
@pytest.mark.parametrize("what", ["seeds", "optimizer", "order", "best", "stopping"])
def test_each_part_of_the_state_is_needed(reference, unfinished, what):
    """The proof that the kills above would show it if a part were not restored."""
    done = resume(unfinished, f"forget:{what}")
    assert done.returncode == 0, done.stderr
    assert outcome(unfinished) != outcome(reference)


@pytest.mark.verify
def test_replicas_go_on_with_their_own_dropout(tmp_path):
    """Their sums are of no fixed order, so that it is not the bytes that are equal."""
    options = [*RICH_OPTIONS, "--alignment.epochs=2", "--refinement.epochs=1", "--devices=2"]
    expected = undisturbed(tmp_path / "undisturbed", options)
    kill(tmp_path / "run", "epoch:alignment:0", options)
    finish(tmp_path / "run", options)
    for stage in ("alignment", "refinement"):
        np.testing.assert_allclose(
            column(tmp_path / "run", stage, "loss"), column(expected, stage, "loss"), rtol=1e-5, err_msg=stage
        )


@pytest.mark.verify
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_kills_change_no_byte_on_the_other_backends(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    whole, run = undisturbed(tmp_path / "whole", backend=backend), tmp_path / "run"
    for point in ("step:alignment:1:1", "end:alignment", "half:checkpoint.npz:refinement:3"):
        kill(run, point, backend=backend)
    finish(run, backend=backend)
    assert outcome(run) == outcome(whole)
