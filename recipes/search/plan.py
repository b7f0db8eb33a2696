"""What a search for hyper-parameters is: a recipe, a space around it, the samples it may see, and how it is gone about.

Nothing here imports a backend.
"""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plumkeras.data_pipelines import Dataset
from plumkeras.recipes.config import BaseRecipeConfig, ConfigError, to_dict, with_values
from plumkeras.recipes.runs import provenance, resuming
from plumkeras.recipes.runs.data_checks import check_dataset
from plumkeras.recipes.runs.label_classes import with_label_classes
from plumkeras.recipes.runs.protocol import fold_dataset, fold_numbers
from plumkeras.recipes.search.space import default_space, read_space

# What is searched for: the objective's name in KerasTuner, and in a history of stage 2.
OBJECTIVE = "val_prediction_loss"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How a search is gone about."""

    algorithm: Literal["bayesian", "random", "hyperband"] = "bayesian"
    """Who proposes the trials. Hyperband gives many trials few epochs of stage 2, and the best of them more."""
    trials: int = 30
    """Trials in all, the recipe's own values being the first."""
    seeds_per_trial: int = 1
    """Seeds each trial is trained with: the recipe's, and those that follow it."""
    space: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None
    """The fields to search and their ranges or values; by default a space around the recipe's values."""
    fold: int | None = None
    """Of a file with folds, the one to leave out as the test fold; by default the first."""

    def __post_init__(self):
        for name, low in (("trials", 1), ("seeds_per_trial", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least {low}. Received: {getattr(self, name)}")


@dataclasses.dataclass(frozen=True, eq=False)
class Search:
    """A search that has been checked.

    Attributes:
        config: the recipe's own `RecipeConfig`.
        dataset: `Dataset` of `train` and `valid` alone: what a search does not hold it cannot look at.
        space: dict from field to `Values` or `Range`.
        algorithm, trials, seeds_per_trial: as in `SearchOptions`.
        fold: number of the fold that is left out, or `None`.
        held_out: number of samples that take no part.
    """

    config: BaseRecipeConfig
    dataset: Dataset
    space: dict
    algorithm: str
    trials: int
    seeds_per_trial: int
    fold: int | None
    held_out: int

    @property
    def epochs_field(self):
        """The epochs of the last stage, which the search itself sets under Hyperband."""
        return f"{self.config.STAGES[-1]}.epochs"

    @property
    def seeds(self):
        """The seeds that every trial is trained with."""
        return [(self.config.seed + i) % 2**32 for i in range(self.seeds_per_trial)]

    @property
    def own_values(self):
        """The recipe's own values of the fields of the space."""
        fields = resuming.flat(to_dict(self.config))
        return {field: fields[field] for field in self.space}

    def trial_config(self, values, seed=None):
        """The `RecipeConfig` of a trial.

        Args:
            values: dict from field to value.
            seed: int or None: the recipe's.

        Raises:
            ConfigError: the values do not fit each other.
        """
        config = with_values(self.config, values)
        return config if seed is None else dataclasses.replace(config, seed=seed)

    def facts(self, backend):
        """What must stay the same for a search to be resumed: flat, for JSON."""
        facts = {
            **resuming.flat(to_dict(self.config)),
            **{f"space {field}": kind.to_json() for field, kind in self.space.items()},
            "algorithm": self.algorithm,
            "seeds_per_trial": self.seeds_per_trial,
            "fold": self.fold,
            "backend": backend,
            "data.sha256": provenance.sha256(self.dataset),
        }
        return json.loads(json.dumps(facts))


def plan(config, dataset, options):
    """Checks what is to be searched, and lets go of the samples that a search must not see.

    Args:
        config: `RecipeConfig`.
        dataset: `Dataset` as the recipe uses it; `test` need not be there.
        options: `SearchOptions`.

    Returns:
        `Search`.

    Raises:
        ConfigError: an option or the space file is wrong.
        DataError: the data cannot be trained on by the recipe.
    """
    before = sum(map(len, dataset.values()))
    fold = _fold(dataset, options.fold)
    dataset = seen_data(dataset, fold)
    check_dataset(config, dataset)
    config = with_label_classes(config, dataset)
    modalities = config.modalities or dataset.modalities
    space = default_space(config, modalities) if options.space is None else read_space(options.space, config)
    epochs = f"{config.STAGES[-1]}.epochs"
    if options.algorithm == "hyperband" and epochs in space:
        raise ConfigError(f"{options.space}: {epochs} is what hyperband itself sets, up to the recipe's; leave it out")
    for field in space.keys() & {"modalities", "network.signed_log1p", "network.strided"}:
        for value in space[field].values:
            check_dataset(with_values(config, {field: value}, str(options.space)), dataset)
    held_out = before - sum(map(len, dataset.values()))
    return Search(config, dataset, space, options.algorithm, options.trials, options.seeds_per_trial, fold, held_out)


def seen_data(dataset, fold):
    """The samples that a search sees: those of `train` and `valid`, of data with folds as the fold's run has them.

    Args:
        dataset: `Dataset` as the recipe uses it.
        fold: number of the fold that is left out, or None.
    """
    if fold is not None:
        dataset = fold_dataset(dataset, fold)
    seen = {name: split for name, split in dataset.items() if name != "test"}
    return dataset.replace(seen or dict(dataset))


def _fold(dataset, number):
    numbers = fold_numbers(dataset)
    if not numbers and number is not None:
        raise ConfigError(f"--fold {number}: {dataset.path or 'the data set'} has splits, not folds")
    if number is not None and number not in numbers:
        raise ConfigError(f"--fold {number}: {dataset.path or 'the data set'} has the folds {numbers}")
    return numbers[0] if numbers and number is None else number
