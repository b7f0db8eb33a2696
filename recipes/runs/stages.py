"""The stages of a recipe: network, trainers, data, callbacks. The only place that calls `fit`."""

from pathlib import Path

import keras
import numpy as np

from plumkeras.callbacks import NonFiniteLossError
from plumkeras.data_pipelines import data_errors
from plumkeras.data_pipelines.batches.feed import feed
from plumkeras.data_pipelines.batches.order import BatchStream
from plumkeras.devices import check_precision, data_parallel, enable_determinism, set_seed
from plumkeras.features import TOKEN_IDS
from plumkeras.recipes import models
from plumkeras.recipes.config import ConfigError, TrainingError
from plumkeras.recipes.models import data_facts, find_model
from plumkeras.recipes.runs import resuming, run_directory
from plumkeras.recipes.runs.checkpoint import CheckpointFile, StageCheckpoint
from plumkeras.recipes.runs.compiled import graph_key
from plumkeras.recipes.runs.earlier_network import take_weights
from plumkeras.recipes.runs.optimizers import encoder_factors, make_optimizer
from plumkeras.recipes.runs.progress import stage_progress
from plumkeras.recipes.runs.recording import Recorder
from plumkeras.recipes.runs.timings import StageTimer
from plumkeras.recipes.runs.user_callbacks import callbacks_by_stage
from plumkeras.tasks import get_task

# Texts in a batch of which nothing is learned.
_TEXTS = 64


def network_shape(config, dataset):
    """What a network takes from the data, a dict: `feature_dims`, `task` and `num_classes`."""
    return {
        "feature_dims": {m: dataset.feature_dims[m] for m in config.modalities or dataset.modalities},
        "task": dataset.task,
        "num_classes": get_task(dataset.task).contrast_classes(dataset.num_classes, config.label_classes),
    }


def build_network(config, dataset):
    """The untrained network of a recipe's model for a data set's modalities, widths and classes."""
    return models.build_network(config, network_shape(config, dataset))


def class_weights(config, network, labels):
    """The weights of a recipe's classes, a tuple, or None: as it says, or by the training labels where it balances."""
    if config.class_weight == "none":
        return None
    classes = network.num_classes
    if config.class_weight == "balanced":
        task = network.task_object
        found = keras.ops.convert_to_numpy(task.classes(labels, config.label_classes))
        if not task.has_classes and len(np.unique(found)) < 2:
            raise ConfigError("class_weight=balanced: by their sign, all training labels are of one class")
        return task.balanced_weights(labels, classes, config.label_classes)
    if len(config.class_weight) != classes:
        received = " ".join(map(str, config.class_weight))
        raise ConfigError(f"class_weight must be {classes} weights, one for each class. Received: {received}")
    return config.class_weight


def build_trainers(config, network, steps_per_epoch, has_signs=True, class_weight=None, data=None):
    """The compiled trainers of a recipe's stages, by name, those without epochs left out.

    Args:
        config: `BaseRecipeConfig`.
        network: what `build_network` returned.
        steps_per_epoch: int, for the learning rate's schedule.
        has_signs: whether the sign of a regression's labels says something, and its accuracy is shown.
        class_weight: what `class_weights` gives.
        data: what `models.data_facts` gives; some models need it.
    """
    trainers = find_model(config.model).build_trainers(config, network, class_weight, data)
    for stage, trainer in trainers.items():
        metrics = network.task_object.progress_metrics(has_signs) if trainer.chooses_epoch else None
        options = getattr(config, stage)
        optimizer = make_optimizer(options, steps_per_epoch)
        if network.text_encoder is not None:
            optimizer.rate_factors = encoder_factors(network.text_encoder, config.text, options)
        trainer.compile(optimizer, metrics=metrics)
    return trainers


class StageData:
    """What `fit` feeds a stage: `train` and `valid` of a data set, with a network's modalities.

    Attributes:
        in_order: batches of the complete training split, never shuffled: for statistics and prototypes.
        validation: batches of `valid`.
        steps_per_epoch: int.
    """

    def __init__(self, config, dataset, modalities):
        self.config = config
        self.train, self.valid = (dataset.split(name).select(modalities) for name in ("train", "valid"))
        self.in_order, self.validation = _without_learning(self.train), _without_learning(self.valid)
        self.steps_per_epoch = len(self._stream(config.STAGES[0]))

    def fit(self, stage, trainer, callbacks=(), initial_epoch=0):
        """Trains one stage from an epoch on; returns the history of the epochs that were trained, a dict."""
        order = self._order(stage) | {"with_index": trainer.needs_sample_index}
        shuffled = feed(self.train, **order, initial_epoch=initial_epoch)
        read = [batches for batches in (shuffled, self.in_order, self.validation) if batches is not None]
        with data_errors(*read):
            history = trainer.fit(
                shuffled,
                prototype_data=self.in_order,
                validation_data=self.validation,
                epochs=getattr(self.config, stage).epochs,
                initial_epoch=initial_epoch,
                callbacks=list(callbacks),
                verbose=0,
                shuffle=False,
            )
        return dict(history.history)

    def sample_ids(self, stage, epoch, step):
        """The ids of the samples that made up a training batch."""
        return self.train.ids[self._stream(stage).order(epoch)[step]]

    def _stream(self, stage):
        return BatchStream(self.train, **self._order(stage))

    def _order(self, stage):
        return {
            "batch_size": self.config.batch_size,
            "training": True,
            # Each stage has an order of its own.
            "seed": self.config.seed + 2**32 * self.config.STAGES.index(stage),
            "drop_remainder": self.config.drop_remainder,
        }


def _without_learning(split):
    """Batches of a whole split, never shuffled. Texts come by their length: an encoder computes on the padding too."""
    tokens = [m for m, features in split.features.items() if features.shape[2] == TOKEN_IDS]
    if not tokens:
        return feed(split)
    return feed(split.take(np.argsort(split.lengths[tokens[0]], kind="stable")), _TEXTS)


def seeded_network(config, dataset, seeds_backend=True):
    """The untrained network that a run of a recipe begins with: on its devices, its weights drawn from its seed.

    Args:
        config, dataset: as `Training` takes them.
        seeds_backend: bool, see `plumkeras.devices.set_seed`.

    Raises:
        ConfigError: the devices that the recipe asks for are not there, or do not compute in its precision.
    """
    if config.deterministic:
        enable_determinism()
    parallel = _devices(config)
    set_seed(config.seed, seeds_backend)
    with parallel.scope():
        return build_network(config, dataset)


def _devices(config):
    try:
        parallel = data_parallel(config.devices)
        check_precision(config.precision)
        return parallel
    except ValueError as error:
        raise ConfigError(str(error)) from None


class Training:
    """Everything of a run that can fail before the first step: devices, network, statistics, trainers. Then `fit`.

    Args:
        config: `RecipeConfig`.
        dataset: `Dataset` with `train` and `valid`; `test` is not read.
        network: what `seeded_network` has just returned for both. By default it is called here.
        init_from: path of an earlier run, whose weights and standardisation the network takes; or None.
        compiled: `CompiledStages` of the process's earlier runs, which this one shares if its graphs are the same, and
            leaves its own in; or None. Those runs must be done with their networks.

    Raises:
        ConfigError: the devices that the recipe asks for are not there.
    """

    def __init__(self, config, dataset, network=None, init_from=None, compiled=None):
        # Several devices have their copies of each variable.
        shares = compiled is not None and config.devices == 1
        key = graph_key(config, dataset, network_shape(config, dataset)) if shares else None
        if shares:
            compiled.release_other(key)
        takes_over = shares and not compiled.is_empty
        fresh = seeded_network(config, dataset, not takes_over) if network is None else network
        self.parallel = _devices(config)
        self.config = config
        self.stopped_early = False
        with self.parallel.scope():
            self.network = compiled.begin(fresh) if takes_over else fresh
            self.data = StageData(config, dataset, self.network.modalities)
            if init_from is None:
                with data_errors(self.data.in_order):
                    self.network.adapt(self.data.in_order)
            else:
                take_weights(self.network, init_from)
            if takes_over:
                self.trainers = compiled.trainers
                compiled.set_learning_rates(config)
                return
            weights = class_weights(config, self.network, self.data.train.labels)
            has_signs = dataset.metric_report != "scale"
            steps = self.data.steps_per_epoch
            self.trainers = build_trainers(config, self.network, steps, has_signs, weights, data_facts(dataset))
            if shares:
                compiled.hold(key, self.network, self.trainers)

    def fit(self, directory=None, verbose=1, callbacks=None):
        """Trains both stages, from the checkpoint in the directory on if there is one.

        Args:
            directory: where checkpoints, TensorBoard logs and histories go; `None`: nowhere.
            verbose: 0 or 1, progress bars.
            callbacks: as in `plumkeras.train`.

        Returns:
            Dict of histories by stage; the number of the best epoch, from 0, is `best_epoch` in that of the last stage.

        Raises:
            TrainingError: training diverged, or a checkpoint cannot be written or read.
        """
        callbacks = callbacks_by_stage(callbacks, self.config.STAGES)
        file = None if directory is None else CheckpointFile(directory)
        position = file and file.read()
        histories = {}
        if position:
            histories = {s: h for s, h in position.histories.items() if s != position.stage}
        for stage, trainer in self.trainers.items():
            if stage in histories:
                continue
            here = position if position and position.stage == stage else None
            with self.parallel.scope():
                histories[stage] = self._fit_stage(
                    stage, trainer, directory, verbose, file, histories, here, callbacks.get(stage, ())
                )
        last = self.config.STAGES[-1]
        best = self.trainers[last].best_epoch
        if best is None:
            raise TrainingError(
                f"training diverged: no epoch of stage {last} has a finite validation loss; try a {last}.learning_rate "
                f"below {self.config.last_stage.learning_rate:g}"
            )
        histories[last]["best_epoch"] = best
        return histories

    def _fit_stage(self, stage, trainer, directory, verbose, file, histories, position, more):
        options = getattr(self.config, stage)
        done = 0
        if position:
            done = options.epochs if position.stopped else position.epochs
        callbacks = _callbacks(options, stage, directory, verbose, done, trainer.chooses_epoch)
        if kinds := getattr(self.config, "record", ()):
            # First, so that the others see what it adds.
            callbacks.insert(0, Recorder(kinds, self.network, self.data.train, self.data.valid))
        early_stopping = next((c for c in callbacks if isinstance(c, keras.callbacks.EarlyStopping)), None)
        checkpoint = StageCheckpoint(file, stage, histories, position, early_stopping)
        try:
            self.data.fit(stage, trainer, [*callbacks, *more, checkpoint], done)
        except NonFiniteLossError as error:
            ids = ", ".join(map(str, self.data.sample_ids(stage, error.epoch, error.step)))
            kept = "" if file is None or not file.path.exists() else "; the checkpoint before it is untouched"
            raise TrainingError(
                f"training diverged in stage {stage}: {error}, on the samples {ids}{kept}; try a "
                f"{stage}.learning_rate below {options.learning_rate:g}"
            ) from error
        self.stopped_early = trainer.stop_training or bool(position and position.stopped)
        return checkpoint.history


def _callbacks(options, stage, directory, verbose, done, chooses_epoch):
    callbacks = []
    if options.average:
        callbacks.append(keras.callbacks.SwapEMAWeights())
    if options.patience and chooses_epoch:
        callbacks.append(keras.callbacks.EarlyStopping("val_prediction_loss", mode="min", patience=options.patience))
    if directory is not None:
        path = Path(directory) / f"{stage}_history.csv"
        resuming.cut_history(path, done)
        callbacks += [HistoryFile(str(path), append=bool(done)), StageTimer(directory, stage, done)]
        if keras.backend.backend() == "tensorflow":  # Keras writes TensorBoard logs by TensorFlow alone.
            callbacks.append(keras.callbacks.TensorBoard(str(Path(directory) / run_directory.LOGS / stage)))
    if verbose:
        callbacks.append(stage_progress(stage, done))
    return callbacks


class HistoryFile(keras.callbacks.CSVLogger):
    """A csv file with a row an epoch, counted from 1."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch + 1, logs)
