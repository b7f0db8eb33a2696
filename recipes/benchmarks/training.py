"""Speed and memory of the package, measured on the reader's machine, as ratios within one run."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import keras
import numpy as np

from plumkeras.data_pipelines import Dataset, convert, make_dataset, open_shards
from plumkeras.data_pipelines.batches.order import padding_share
from plumkeras.recipes.benchmarks.step_process import peak_memory
from plumkeras.recipes.config import from_dict, to_dict
from plumkeras.recipes.runs.optimizers import make_optimizer
from plumkeras.recipes.runs.stages import build_network
from plumkeras.trainers import RefinementTrainer


def benchmark_epoch(config, dataset, rounds=5, progress=print):
    """Times an epoch of stage 2 with length-aware batches against one padded to the longest sample of the file.

    One network, one compiled step, epochs taken in turn, so that both see the same machine. The first epoch of each
    kind warms up and does not count.

    Args:
        config: `RecipeConfig`, whose network and batch size are used.
        dataset: `Dataset`; its `train` split is trained on.
        rounds: int. Counted epochs of each kind.
        progress: called with a line of text after each epoch.

    Returns:
        Dict: `length_aware` and `padded`, each with `seconds` (median), `all_seconds`, `padding_share` (share of the
        frames computed on that are padding); `speedup`, the ratio of the medians; `samples`; `batches`.
    """
    keras.utils.set_random_seed(config.seed)
    network = build_network(config, dataset)
    train = dataset.split("train").select(network.modalities)
    network.adapt(make_dataset(train, batch_size=256))
    trainer = RefinementTrainer(network, prototype_policy=config.prototype_policy, **vars(config.objective))
    kinds = {"length_aware": True, "padded": False}
    data = {
        kind: make_dataset(train, batch_size=config.batch_size, training=True, seed=config.seed, length_aware=aware)
        for kind, aware in kinds.items()
    }
    in_order = make_dataset(train, batch_size=256)
    trainer.compile(make_optimizer(config.refinement, len(data["padded"])))
    seconds = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind in kinds:
            start = time.perf_counter()
            trainer.fit(data[kind], prototype_data=in_order, epochs=1, verbose=0)
            elapsed = time.perf_counter() - start
            if number:
                seconds[kind].append(elapsed)
            progress(f"{kind:>12}  epoch {number}  {elapsed:7.2f} s{'' if number else '  (warm-up)'}")
    result = {
        kind: {
            "seconds": statistics.median(seconds[kind]),
            "all_seconds": seconds[kind],
            "padding_share": padding_share(train, batch_size=config.batch_size, seed=config.seed, length_aware=aware),
        }
        for kind, aware in kinds.items()
    }
    result["speedup"] = result["padded"]["seconds"] / result["length_aware"]["seconds"]
    result["samples"], result["batches"] = len(train), len(data["padded"])
    return result


def benchmark_data(config, samples=16_326, folder=None, rounds=3, progress=print):
    """Measures conversion, reading and memory on a generated training split of CMU-MOSEI's size: 50 frames of 768 text,
    74 audio and 35 vision features, all of them valid.

    Everything is made in a temporary folder, which takes two to three times the 175 KB of each sample.

    Args:
        config: `RecipeConfig`, whose network and batch size are used.
        samples: int. Samples of the split. Defaults to MOSEI's 16,326.
        folder: str, path or None. Where to make the temporary folder; by default where the system makes them.
        rounds: int. Epochs that are read.
        progress: called with a line of text after each part.

    Returns:
        Dict: `samples`; `sample_bytes`; `conversion`, `reading` (the median of all rounds, which are in `all_seconds`;
        in the first every sample's checksum is compared) and `training` (steps of stage 2), each with `seconds`,
        `samples` and `samples_per_second`; `reading_over_training`, the ratio of the rates; `peak_memory` in bytes of
        two processes of their own that train an epoch from shards, on the `whole` and on a `tenth` of the samples.
    """
    with tempfile.TemporaryDirectory(prefix="plumkeras-", dir=folder) as work:
        source, whole, tenth = (Path(work) / name for name in ("generated.npz", "whole", "tenth"))
        _generate(source, samples)
        progress(f"generated {samples} samples, {source.stat().st_size / 1e6:.0f} MB")
        result = {"samples": samples, "sample_bytes": FRAMES * sum(WIDTHS.values()) * 4}
        start = time.perf_counter()
        convert(source, whole)
        result["conversion"] = _rate(samples, time.perf_counter() - start)
        source.unlink()
        dataset = open_shards(whole)
        convert(Dataset({"train": dataset["train"].take(np.arange(0, samples, 10))}), tenth)
        progress(f"converted: {result['conversion']['samples_per_second']:.0f} samples/s")
        seconds = _time_reading(dataset["train"], config, rounds)
        result["reading"] = {**_rate(samples, statistics.median(seconds)), "all_seconds": seconds}
        progress(f"read in training order: {result['reading']['samples_per_second']:.0f} samples/s")
        result["training"] = _time_training(config, dataset)
        progress(f"trained: {result['training']['samples_per_second']:.0f} samples/s")
        rates = (result[part]["samples_per_second"] for part in ("reading", "training"))
        result["reading_over_training"] = next(rates) / next(rates)
        result["peak_memory"] = {}
        for name, path in (("tenth", tenth), ("whole", whole)):
            result["peak_memory"][name] = _peak_memory_of_training(config, path)
            progress(f"an epoch from the shards of the {name}: peak {result['peak_memory'][name] / 1e6:.0f} MB")
    return result


FRAMES = 50
WIDTHS = {"text": 768, "audio": 74, "vision": 35}
_TIMED_STEPS = 30


def _generate(path, samples):
    """Writes a native npz of noise, not compressed, a few samples at a time."""
    random = np.random.default_rng(0)
    fields = {
        "id": np.array([f"sample_{i}" for i in range(samples)]),
        "regression_labels": random.uniform(-3, 3, samples).astype("float32"),
        **{f"{m}_lengths": np.full(samples, FRAMES, dtype="int32") for m in WIDTHS},
    }
    with zipfile.ZipFile(path, "w") as archive:
        for field, array in fields.items():
            with archive.open(f"train/{field}.npy", "w") as file:
                np.lib.format.write_array(file, array)
        for m, width in WIDTHS.items():
            with archive.open(f"train/{m}.npy", "w", force_zip64=True) as file:
                header = {"descr": "<f4", "fortran_order": False, "shape": (samples, FRAMES, width)}
                np.lib.format.write_array_header_1_0(file, header)
                for start in range(0, samples, 64):
                    shape = (min(64, samples - start), FRAMES, width)
                    file.write(random.standard_normal(shape, dtype="float32").astype("<f4"))


def _rate(samples, seconds):
    return {"samples": samples, "seconds": seconds, "samples_per_second": samples / seconds}


def _time_reading(split, config, rounds):
    data = make_dataset(split, config.batch_size, training=True, seed=config.seed)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in data:
            pass
        seconds.append(time.perf_counter() - start)
    return seconds


def _stage_2(config, dataset):
    """A compiled trainer of stage 2, and a split's batches as it takes them: `fit(...)`'s arguments."""
    keras.utils.set_random_seed(config.seed)
    network = build_network(config, dataset)
    train = dataset.split("train").select(network.modalities)
    in_order = make_dataset(train, batch_size=256)
    network.adapt(in_order)
    trainer = RefinementTrainer(network, prototype_policy=config.prototype_policy, **vars(config.objective))
    batches = make_dataset(train, config.batch_size, training=True, seed=config.seed)
    trainer.compile(make_optimizer(config.refinement, len(batches)))
    return trainer, {"x": batches, "prototype_data": in_order}


class _Stopwatch(keras.callbacks.Callback):
    """Times the steps of each epoch, without what is done before them."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def _time_training(config, dataset):
    count = min(len(dataset["train"]), _TIMED_STEPS * config.batch_size)
    some = Dataset({"train": dataset["train"].take(np.arange(count))})
    trainer, data = _stage_2(config, some)
    stopwatch = _Stopwatch()
    # The first epoch compiles the step.
    trainer.fit(**data, epochs=2, callbacks=[stopwatch], verbose=0)
    return _rate(count, stopwatch.seconds[-1])


def _peak_memory_of_training(config, folder):
    code = "import sys; from plumkeras.recipes.benchmarks import training; training.print_peak_memory(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(folder), json.dumps(to_dict(config))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"training in a process of its own failed: {done.stderr[-2000:]}")
    return int(done.stdout.split()[-1])


def print_peak_memory(folder, config):
    """Trains one epoch from a folder of shards, and prints the peak of this process's memory in bytes."""
    trainer, data = _stage_2(from_dict(json.loads(config), "config"), open_shards(folder))
    trainer.fit(**data, epochs=1, verbose=0)
    print(peak_memory())
