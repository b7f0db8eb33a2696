"""Trains a recipe: the only place that calls `fit`."""

from pathlib import Path

import keras

from plumkeras import visualization
from plumkeras.data_pipelines import make_dataset
from plumkeras.metrics import PearsonCorrelation, SentimentAccuracy
from plumkeras.plum_net import PLUMNet
from plumkeras.recipes import predictions, run_directory
from plumkeras.recipes.checks import check_dataset
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.progress import StageProgress
from plumkeras.trainers import AlignmentTrainer, RefinementTrainer

# Batches of validation, prototypes and prediction; nothing is learned from them, so they are large.
_EVALUATION_BATCH = 256


def build_network(config, dataset):
    """The untrained `PLUMNet` of a recipe for a data set's modalities, widths and classes."""
    from plumkeras.class_labels import scheme_classes

    modalities = config.modalities or dataset.modalities
    network = config.network
    regression = dataset.task == "regression"
    return PLUMNet(
        {m: dataset.feature_dims[m] for m in modalities},
        hidden_dim=network.hidden_dim,
        num_classes=scheme_classes(config.objective.label_classes) if regression else dataset.num_classes,
        task=dataset.task,
        num_layers=network.num_layers,
        num_heads=network.num_heads,
        dropout=network.dropout,
        modules=network.modules,
        compression={m: "signed_log1p" for m in modalities if m in network.signed_log1p},
        label_temperature=network.label_temperature,
        normalize_labels=network.normalize_labels,
        fusion=network.fusion,
        share_common_encoder=network.share_common_encoder,
        modality_dropout=network.modality_dropout,
    )


def build_trainers(config, network, steps_per_epoch):
    """The compiled trainers of a recipe's stages: dict with `alignment` (unless there is no stage 1) and `refinement`.

    Args:
        config: `RecipeConfig`.
        network: `PLUMNet`.
        steps_per_epoch: int, for the learning rate's schedule.
    """
    shared = {
        "prototype_policy": config.prototype_policy,
        "prototype_momentum": config.prototype_momentum,
        **vars(config.objective),
    }
    trainers = {}
    if network.modules and config.alignment.epochs:
        trainers["alignment"] = AlignmentTrainer(
            network, label_warmup_epochs=config.alignment.label_warmup_epochs, **shared
        )
    trainers["refinement"] = RefinementTrainer(
        network,
        objective=config.refinement.objective,
        freeze_alignment=config.refinement.freeze_alignment,
        **shared,
    )
    for stage, trainer in trainers.items():
        metrics = _shown_metrics(network) if stage == "refinement" else None
        trainer.compile(make_optimizer(getattr(config, stage), steps_per_epoch), metrics=metrics)
    return trainers


class StageData:
    """What `fit` feeds a stage: `train` and `valid` of a data set, with a network's modalities.

    Attributes:
        in_order: batches of the complete training split, unshuffled: for statistics and prototypes.
        validation: batches of `valid`.
        steps_per_epoch: int.
    """

    def __init__(self, config, dataset, modalities):
        self.config = config
        self.train = dataset.split("train").select(modalities)
        self.in_order = make_dataset(self.train, batch_size=_EVALUATION_BATCH)
        self.validation = make_dataset(dataset.split("valid").select(modalities), batch_size=_EVALUATION_BATCH)
        whole, rest = divmod(len(self.train), config.batch_size)
        self.steps_per_epoch = whole + bool(rest and not config.drop_remainder)

    def fit(self, stage, trainer, callbacks=()):
        """Trains one stage; returns its history, a dict."""
        # Each stage has an order of its own.
        seed = self.config.seed + (2**32 if stage == "refinement" else 0)
        history = trainer.fit(
            make_dataset(
                self.train,
                batch_size=self.config.batch_size,
                training=True,
                seed=seed,
                drop_remainder=self.config.drop_remainder,
            ),
            prototype_data=self.in_order,
            validation_data=self.validation,
            epochs=getattr(self.config, stage).epochs,
            callbacks=list(callbacks),
            verbose=0,
            shuffle=False,
        )
        return dict(history.history)


class Training:
    """Everything of a run that can fail before the first step: network, statistics, trainers. Then `fit`.

    Args:
        config: `RecipeConfig`.
        dataset: `Dataset` with `train` and `valid`; `test` is not read.
    """

    def __init__(self, config, dataset):
        keras.utils.set_random_seed(config.seed)
        self.config = config
        self.network = build_network(config, dataset)
        self.data = StageData(config, dataset, self.network.modalities)
        self.network.adapt(self.data.in_order)
        self.trainers = build_trainers(config, self.network, self.data.steps_per_epoch)

    def fit(self, directory=None, verbose=1):
        """Trains both stages.

        Args:
            directory: where TensorBoard logs and histories go; `None`: nowhere.
            verbose: 0 or 1, progress bars.

        Returns:
            Dict of histories by stage (`alignment`, `refinement`); the number of the best epoch, from 0, stands in
            `histories["refinement"]["best_epoch"]`.

        Raises:
            ConfigError: training diverged: no epoch of stage 2 has a finite validation loss.
        """
        histories = {
            stage: self.data.fit(stage, trainer, _callbacks(getattr(self.config, stage), stage, directory, verbose))
            for stage, trainer in self.trainers.items()
        }
        best = self.trainers["refinement"].best_epoch
        if best is None:
            raise ConfigError(
                "training diverged: no epoch of stage 2 has a finite validation loss; try a refinement.learning_rate "
                f"below {self.config.refinement.learning_rate:g}"
            )
        histories["refinement"]["best_epoch"] = best
        return histories


def make_optimizer(options, steps_per_epoch):
    """The optimizer of a stage: Adam, or AdamW with weight decay."""
    rate = options.learning_rate
    if options.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, max(options.epochs * steps_per_epoch, 1), alpha=0.05)
    shared = {"learning_rate": rate, "clipnorm": options.clipnorm or None}
    if options.weight_decay:
        return keras.optimizers.AdamW(weight_decay=options.weight_decay, **shared)
    return keras.optimizers.Adam(**shared)


def _shown_metrics(network):
    if network.task == "regression":
        return [PearsonCorrelation(), SentimentAccuracy(convention="non0")]
    return ["accuracy"]


def _callbacks(options, stage, directory, verbose):
    callbacks = []
    if options.patience and stage == "refinement":
        callbacks.append(keras.callbacks.EarlyStopping("val_prediction_loss", mode="min", patience=options.patience))
    if directory is not None:
        callbacks.append(keras.callbacks.CSVLogger(str(Path(directory) / f"{stage}_history.csv")))
        callbacks.append(keras.callbacks.TensorBoard(str(Path(directory) / run_directory.LOGS / stage)))
    if verbose:
        callbacks.append(StageProgress(stage))
    return callbacks


def train(config, dataset, directory, verbose=1):
    """A whole run: trains both stages, measures `valid` and `test` once, and writes the run directory.

    Returns:
        Dict of what `metrics.json` holds, `valid` and `test`, and `baseline`, the same metrics of the training labels'
        median or most frequent class.
    """
    directory = Path(directory)
    check_dataset(config, dataset)
    training = Training(config, dataset)
    network = training.network
    # Only now, when nothing of the user's can be wrong any more, does an earlier run make place.
    run_directory.start(directory, config, dataset, network)
    histories = training.fit(directory, verbose)
    partial = directory / f"partial.{run_directory.NETWORK}"
    network.save(partial)
    partial.replace(directory / run_directory.NETWORK)
    visualization.plot_losses(histories, directory / run_directory.PICTURE)

    metrics = {}
    for name in ("valid", "test"):
        split = dataset.split(name)
        outputs = predictions.predict_split(network, split)
        metrics[name] = predictions.report(network, split.labels, outputs)
        predictions.write_csv(directory / f"predictions_{name}.csv", split.ids, network, outputs)
    run_directory.write_json(directory / run_directory.METRICS, metrics)
    baseline = predictions.baseline_report(network, dataset["train"].labels, dataset["test"].labels)
    return {**metrics, "baseline": baseline}
