"""Speed and memory of the package, measured on the reader's machine, as ratios within one run."""

import statistics
import time

import keras

from plumkeras.data_pipelines import make_dataset
from plumkeras.data_pipelines.batching import padding_share
from plumkeras.recipes.train import build_network, make_optimizer
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
