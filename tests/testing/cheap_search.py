"""A script: a search by the command's own functions, whose trials train nothing, so that many take no time.

    python cheap_search.py POINT DIRECTORY OPTIONS

POINT is `never`; or `trial:N`, and the process kills itself (SIGKILL) in the N-th trial that it runs, counted from 0.
OPTIONS is a JSON object of `SearchOptions`; `"resume": true` among them goes on with the directory's search.
"""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

from plumkeras.data_pipelines import make_synthetic
from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RecipeConfig, RefinementConfig
from plumkeras.recipes.search.plan import SearchOptions, plan

CONFIG = RecipeConfig(
    name="cheap",
    modalities=("text",),
    network=NetworkConfig(hidden_dim=8, num_layers=1, num_heads=2, signed_log1p=()),
    alignment=AlignmentConfig(epochs=1),
    refinement=RefinementConfig(epochs=9),
)
SPLITS = {"train": 24, "valid": 8, "test": 8}


def cheap_plan(config=CONFIG, **options):
    return plan(config, make_synthetic(SPLITS)[0], SearchOptions(**options))


def objective(config):
    """Some function of the values; the lowest where dropout is 0.2."""
    return abs(config.network.dropout - 0.2) + config.refinement.learning_rate + 0.01 * (config.seed % 7)


def make_cheap(patch, before=None):
    """Puts `objective` in the place of training; `patch(owner, name, value)` sets an attribute."""
    from plumkeras.recipes.search import trials, tuning

    def fit(self, hp, network, seed=None):
        config = self.trial_config(hp, seed)
        if before is not None:
            before(config)
        return {"val_prediction_loss": objective(config), "best_epoch": 0}

    patch(trials.RecipeHyperModel, "build", lambda self, hp, seed=None: None)
    patch(trials.RecipeHyperModel, "fit", fit)
    patch(tuning.keras.utils, "clear_session", lambda: None)


def main(point, directory, options):
    resume = options.pop("resume", False)
    search = cheap_plan(**options)
    from plumkeras.recipes.search import tuning

    begun = []

    def before(config):
        begun.append(config)
        if point == f"trial:{len(begun) - 1}":
            os.kill(os.getpid(), signal.SIGKILL)

    make_cheap(setattr, before)
    tuning.run_search(search, directory, resume)
    assert tuning.keras.backend.backend() == "tensorflow" or "tensorflow" not in sys.modules
    # What was trained here, for the test.
    print("trained", json.dumps([dataclasses.asdict(config) for config in begun]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
