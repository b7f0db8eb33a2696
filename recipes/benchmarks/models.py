"""How long an epoch of each model takes, beside one of the recipe's own model."""

import gc
import statistics

import keras

from plumkeras.recipes.benchmarks.step_process import Clock
from plumkeras.recipes.config import with_values
from plumkeras.recipes.execution.machine import gpus
from plumkeras.recipes.frozen import preset_values
from plumkeras.recipes.models import find_model, with_model
from plumkeras.recipes.runs.stages import Training


class _Epochs(keras.callbacks.Callback):
    """Wall and CPU seconds of each epoch, with its validation."""

    def on_train_begin(self, logs=None):
        self.clock, self.seconds = Clock(), []

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(self.clock.ask())


def benchmark_models(config, dataset, models, rounds=3, progress=print):
    """Trains each model for a few epochs of its last stage, one after the other in this process.

    The recipe's own model is trained as the recipe says, the others with their presets for frozen features. The first
    epoch of the last stage compiles and is not counted; earlier stages are trained for one epoch and not timed.

    Args:
        config: the recipe.
        dataset: `Dataset` with `train` and `valid`.
        models: names of the models; the recipe's own comes first, named or not.
        rounds: int. Counted epochs.
        progress: called with a line of text after each model.

    Returns:
        Dict by model of `title`, `parameters`, `seconds` and `cpu_seconds` (medians of the counted epochs), and
        `ratio`, of the CPU seconds to those of the recipe's own model; on a GPU, of the seconds.
    """
    found = {}
    for model in dict.fromkeys([config.model, *models]):
        made = config if model == config.model else with_values(with_model(config, model), preset_values(model))
        *earlier, last = made.STAGES
        changed = {f"{stage}.epochs": 1 for stage in earlier if getattr(made, stage).epochs}
        made = with_values(made, {**changed, f"{last}.epochs": rounds + 1, f"{last}.patience": 0})
        training, epochs = Training(made, dataset), _Epochs()
        training.fit(verbose=0, callbacks={last: epochs})
        seconds = epochs.seconds
        wall, cpu = (statistics.median(epoch[i] for epoch in seconds[1:]) for i in (0, 1))
        title, parameters = find_model(model).TITLE, training.network.count_params()
        found[model] = {"title": title, "parameters": parameters, "seconds": wall, "cpu_seconds": cpu}
        progress(f"{found[model]['title']}: {wall:.2f} s, {cpu:.2f} CPU s")
        # The callback holds its model.
        del training, epochs
        keras.utils.clear_session()
        gc.collect()
    clock = "seconds" if gpus() else "cpu_seconds"
    for measured in found.values():
        measured["ratio"] = measured[clock] / found[config.model][clock]
    return found
