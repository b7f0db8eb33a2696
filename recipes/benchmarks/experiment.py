"""How long an experiment takes beside the same runs, trained one after the other by the command line."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from plumkeras.recipes.experiments.ablation import TABLE3


def benchmark_experiment(seeds: int = 5, jobs: int | None = None) -> dict:
    """Times `experiment ablation synthetic`, and then as many `train` commands as it has runs.

    Args:
        seeds: of each of the four rows.
        jobs: runs at a time of the experiment, or None: as many as the machine carries.

    Returns:
        Dict of `runs`, `experiment_seconds`, `train_seconds` and `ratio`, of the first to the second.

    Raises:
        subprocess.CalledProcessError: a command failed.
    """
    numbers = [str(seed) for seed in range(seeds)]
    with tempfile.TemporaryDirectory(prefix="plumkeras-") as scratch:
        how = [] if jobs is None else ["--jobs", str(jobs)]
        began = time.perf_counter()
        _run(["experiment", "ablation", "synthetic", "--output", Path(scratch, "all"), "--seeds", *numbers, *how])
        middle = time.perf_counter()
        for row, (_, modules) in TABLE3.items():
            for seed in numbers:
                fields = ["--network.modules", *modules, "--deterministic", "--seed", seed]
                _run(["train", "synthetic", "--output", Path(scratch, row, seed), *fields])
        end = time.perf_counter()
    experiment, train = middle - began, end - middle
    return {
        "runs": len(TABLE3) * seeds,
        "experiment_seconds": experiment,
        "train_seconds": train,
        "ratio": experiment / train,
    }


def _run(words):
    command = [sys.executable, "-m", "plumkeras", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
