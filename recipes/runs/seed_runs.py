"""Finished runs of one recipe with several seeds, as one thing."""

from pathlib import Path

from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import predictions, run_directory
from plumkeras.recipes.runs.run_directory import METRICS, SEEDS
from plumkeras.recipes.runs.seed_tables import seed_directory, seeds_table
from plumkeras.recipes.views.terminal.metrics import short_metrics


def holds_seeds(directory) -> bool:
    """Whether a directory holds the runs of several seeds."""
    return (Path(directory) / SEEDS).is_file()


class SeedRuns:
    """What `train` with `seeds` and `load_run` return of the runs of several seeds.

    Args:
        directory: path.
        load_seed: callable from the path of a seed's run or cross-validation to what `load_run` gives of it.

    Attributes:
        config: `RecipeConfig`, of all seeds but for the seed.
        seeds: tuple of the seeds.

    Raises:
        ConfigError: not all of the runs are finished.
    """

    scratch = None
    data = None

    def __init__(self, directory, load_seed):
        self.directory = Path(directory)
        if not run_directory.is_finished(self.directory):
            raise ConfigError(
                f"{directory}: the runs of its seeds are not all finished; resume them with plumkeras train --resume"
            )
        described = run_directory.read_description(self.directory / SEEDS)
        self.config = run_directory.read_config(self.directory / SEEDS)
        self.seeds = tuple(described["seeds"])
        self._task, self._load_seed, self._runs = described["data"]["task"], load_seed, {}

    @property
    def metrics(self) -> dict:
        """What `metrics.json` holds: means over the seeds, `valid` and `test`; `std`; and `seeds`, those of each."""
        return run_directory.read_metrics(self.directory / METRICS)

    def run(self, seed: int):
        """The `Run`, or `CrossValidation`, of a seed. Raises `KeyError` for a seed that there is not."""
        if seed not in self.seeds:
            raise KeyError(f"seed {seed}; there are {self.seeds}")
        if seed not in self._runs:
            self._runs[seed] = self._load_seed(seed_directory(self.directory, seed))
            self._runs[seed].data = self.data
        return self._runs[seed]

    def table(self):
        """The table of means, deviations and seeds, a `ResultTable`."""
        return seeds_table(self.metrics, self._task, self.config.name)

    def predict(self, data, split=None, batch_size=256) -> dict:
        """The mean over the seeds' networks of what they predict; as `CrossValidation.predict`."""
        return predictions.mean_outputs([self.run(seed).predict(data, split, batch_size) for seed in self.seeds])

    def __repr__(self):
        metrics = self.metrics
        split = "test" if metrics["test"] else "valid"
        return f"<SeedRuns {self.config.name}, {len(self.seeds)} seeds: mean {split} {short_metrics(metrics[split])}>"

    def summary(self):
        """Prints the table."""
        from plumkeras.recipes.views import terminal

        terminal.print_result(self.table())
