"""A finished cross-validation: its pooled metrics, the runs of its folds, and the mean of their predictions."""

import functools
import re
import warnings
from pathlib import Path

from plumkeras.data_pipelines import Dataset, Split, load
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import predictions, run_directory
from plumkeras.recipes.runs.fold_evaluation import evaluate_folds
from plumkeras.recipes.runs.fold_runs import FoldWarning
from plumkeras.recipes.runs.own_data import own_data, read_to_measure
from plumkeras.recipes.runs.texts import as_texts
from plumkeras.recipes.views.terminal import short_metrics

_FOLD = re.compile(r"fold_(-?\d+)")


def is_cross_validation(directory) -> bool:
    """Whether a directory holds a cross-validation: folds, and no network of its own."""
    directory = Path(directory)
    has_folds = directory.is_dir() and any(_FOLD.fullmatch(path.name) for path in directory.iterdir())
    return has_folds and run_directory.holds_run(directory) and not (directory / run_directory.NETWORK).exists()


class CrossValidation:
    """What `train` and `load_run` return of data with folds.

    Args:
        directory: path of the cross-validation.
        load_fold: callable from the path of a fold's run to its `Run`.

    Attributes:
        config: `RecipeConfig`, of all folds.
        folds: tuple of the numbers of the folds.

    Raises:
        ConfigError: the cross-validation is not finished.
    """

    scratch = None
    data = None

    def __init__(self, directory, load_fold):
        self.directory = Path(directory)
        if not run_directory.is_finished(self.directory):
            raise ConfigError(
                f"{directory}: the cross-validation is not finished; resume it with plumkeras train --resume"
            )
        self.config = run_directory.read_config(self.directory / run_directory.CONFIG)
        found = (_FOLD.fullmatch(path.name) for path in self.directory.iterdir())
        self.folds = tuple(sorted(int(match[1]) for match in found if match))
        self._load_fold, self._runs = load_fold, {}

    @property
    def metrics(self) -> dict:
        """What `metrics.json` holds: the metrics of the pooled predictions, `valid` and `test`, and of each fold."""
        return run_directory.read_metrics(self.directory / run_directory.METRICS)

    def __repr__(self):
        told = f"pooled test {short_metrics(self.metrics['test'])}"
        return f"<CrossValidation {self.config.name}, {len(self.folds)} folds, seed {self.config.seed}: {told}>"

    def run(self, fold: int):
        """The `Run` of a fold. Raises `KeyError` for a number that there is not."""
        if fold not in self.folds:
            raise KeyError(f"fold {fold}; there are {self.folds}")
        if fold not in self._runs:
            self._runs[fold] = self._load_fold(self.directory / f"fold_{fold}")
        return self._runs[fold]

    def evaluate(self, data=None, split=None) -> dict:
        """Measures the folds' networks, on the cross-validation's own data or on others.

        Args:
            data: the path of a feature file or a `Dataset`, with labels. None: what the networks were trained on.
            split: name of the split. Of its own data `test`, the default, or `valid`; of others as in `predict`.

        Returns:
            Dict as of `fold_evaluation.evaluate_folds`: `split`, `folds`, and `pooled` or `mean`.

        Raises:
            DataError: as `Run.evaluate`.
            ConfigError: as `Run.evaluate`.
        """
        if data is None:
            data = self.data
        if data is None:
            data = own_data(self.directory / run_directory.CONFIG, self.config)
        elif not isinstance(data, Dataset):
            path = self.directory / run_directory.CONFIG
            data = read_to_measure(path, self.config, functools.partial(load, data))
        return evaluate_folds(self, data, split)

    def predict(self, data, split=None, batch_size=256) -> dict:
        """The mean over the folds' networks of what they predict for new samples.

        Args:
            data, split, batch_size: as in `Run.predict`.

        Returns:
            Dict of arrays: `prediction`, and per modality `present`, `soft_label` and `hard_label` (the most probable
            class of the mean; -1 where the modality is missing). Embeddings of different networks have no mean.

        Warns:
            FoldWarning: the data have folds, so some networks were trained on some of the samples.
        """
        path = self.directory / run_directory.CONFIG
        texts = as_texts(data, run_directory.read_network(path)["feature_dims"])
        if texts is None and not isinstance(data, (dict, Dataset, Split)):
            data = load(data, **self.config.label_options)
        if isinstance(data, Dataset) and split is None and has_folds(data):
            warnings.warn(mean_of_seen(self, data), FoldWarning, stacklevel=2)
            split = "all"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FoldWarning)
            outputs = [self.run(fold).predict(data, split, batch_size) for fold in self.folds]
        return predictions.mean_outputs(outputs)


def has_folds(dataset) -> bool:
    """Whether a data set has folds in place of splits."""
    return "all" in dataset and dataset["all"].folds is not None


def mean_of_seen(cross, dataset) -> str:
    """The warning about a mean over networks of data with folds, which most of them may have been trained on."""
    return (
        f"{dataset.path or 'the data'}: the mean over {len(cross.folds)} networks, most of which were trained on these "
        "samples; predictions of unseen samples are in predictions_test.csv"
    )
