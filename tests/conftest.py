"""Shared by all tests: where the real data are, and a small run made once."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# A run of the synthetic recipe that takes seconds: small network, small data, one epoch a stage.
TINY = [
    "--network.hidden-dim=8",
    "--network.num-heads=2",
    "--alignment.epochs=1",
    "--refinement.epochs=2",
    "--synthetic.train=64",
    "--synthetic.valid=32",
    "--synthetic.test=32",
]


@pytest.fixture(scope="session", autouse=True)
def _compiled_stages_are_shared():
    """Most tests train one of a few tiny networks, whose compiled steps a process keeps for the next."""
    from plumkeras.recipes.runs import compiled

    compiled.MOST_HELD = 3


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real CMU-MOSI features; skips where there is none."""
    folder = Path(os.environ.get("PLUMKERAS_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "mosi_text_audio.npz").is_file():
        pytest.skip(f"no real data: neither $PLUMKERAS_DATA nor {folder} holds mosi_text_audio.npz")
    return folder


_HOLDER = """
import sys
from plumkeras.locking import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock_holder():
    """Starts processes that lock a directory until they are killed or their standard input is closed."""
    started = []

    def start(directory):
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "locked\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def tiny_options():
    return list(TINY)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """Directory of a finished run of `synthetic`. Tests must not change it."""
    from plumkeras.recipes.cli import main

    directory = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", "synthetic", "--output", str(directory), *TINY]) == 0
    return directory
