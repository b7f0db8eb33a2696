"""What every stage of training shares, whatever the network: tracked terms, user metrics, checks of its inputs."""

import keras
import numpy as np
from keras import ops

from plumkeras import features
from plumkeras.callbacks import BestEpoch, StageSchedule, StopOnNonFiniteLoss
from plumkeras.trainers.backend import BackendTrainer


class StageTrainer(BackendTrainer):
    """One stage of training a `MultimodalNetwork`: tracked terms, checked inputs, user metrics.

    The backend's base class calls `forward`, `before_step`, `loss_terms`, `after_step` and `track`. A subclass calls
    `_start` last in its constructor and defines `loss_terms`, whose terms add up to the loss.

    Args:
        network: `MultimodalNetwork`.
        name: str.
    """

    # Whether `fit` ends on the weights of the epoch with the best `val_prediction_loss`.
    chooses_epoch = False
    # Whether the batches of `fit` have to hold `sample_index` `[B]`, each sample's place in the training split.
    needs_sample_index = False

    def __init__(self, network, name):
        # The network's precision, by which Keras decides whether the loss is to be scaled. The inputs stay as they are:
        # raw features can exceed the range of float16.
        super().__init__(name=name, dtype=network.policy, autocast=False)
        self.network = network
        # Not on the class, which would hide a model that torch puts among the modules of the instance.
        self.embedding_part = None
        self.entropy_trackers = {}
        self.keep_best = BestEpoch()

    def _start(self, part, term_names):
        """Called last by a subclass: which part of the network runs, which terms are tracked."""
        self.part = part
        self.term_trackers = {name: keras.metrics.Mean(name=name) for name in term_names}
        self.built = True

    def add_state(self, name, shape):
        """A variable of what the stage remembers, zeros, that is saved and resumed with it.

        Every replica has to assign the same value to it.
        """
        return self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name=name, aggregation="only_first_replica"
        )

    def call(self, x, training=False):
        return self.forward(x, training)

    def compile(self, optimizer="adam", metrics=None, weighted_metrics=None, jit_compile=None, **kwargs):
        """As `keras.Model.compile`, without losses: the objective is the trainer's.

        Args:
            optimizer: as in Keras.
            metrics, weighted_metrics: as in Keras, of the prediction (stage 2).
            jit_compile: bool. By default `True` on JAX alone: XLA compiles every batch length anew.
            **kwargs: `run_eagerly`, `steps_per_execution`, `auto_scale_loss`.

        Raises:
            ValueError: for `loss` or `loss_weights`, or for metrics in a stage that has no prediction.
        """
        if given := sorted({"loss", "loss_weights"} & set(kwargs)):
            raise ValueError(f"{type(self).__name__}.compile takes no `{given[0]}`: the objective is the trainer's own")
        if (metrics or weighted_metrics) and "prediction" not in self.part.output:
            raise ValueError(f"{type(self).__name__}.compile takes no metrics: the stage makes no prediction")
        if jit_compile is None:
            jit_compile = self.compiles_by_default
        super().compile(
            optimizer=optimizer, metrics=metrics, weighted_metrics=weighted_metrics, jit_compile=jit_compile, **kwargs
        )
        if self._compile_metrics is not None:
            # Here and not in the first step, where TensorFlow's strategies make no variables.
            task, classes = self.network.task_object, self.network.num_classes
            y = keras.KerasTensor((None,) if task.label_axes == 1 else (None, classes), dtype=task.label_dtype)
            prediction = keras.KerasTensor(task.prediction_shape(None, classes), dtype="float32")
            self._compile_metrics.build(*_with_last_axis(y, prediction))

    @property
    def metrics(self):
        # Listed, so that a second `compile` leaves nothing of the first one behind.
        own = [*self.term_trackers.values(), *self.entropy_trackers.values()]
        loss = [self._loss_tracker] if self.compiled else []
        users = [self._compile_metrics] if self.compiled and self._compile_metrics is not None else []
        return [*loss, *own, *users]

    def save(self, filepath, **kwargs):
        """Saves the network: a trainer is nothing that outlives its `fit`. Arguments as in `keras.Model.save`."""
        return self.network.save(filepath, **kwargs)

    def fit(self, x=None, y=None, batch_size=None, *, prototype_data=None, callbacks=None, **kwargs):
        """As `keras.Model.fit`, with the stage's own schedule in front of the callbacks.

        A sample weight multiplies the sample's own loss values. A sample of weight 0 takes no part in prototypes,
        contrast and branches; one of any other weight is a whole member of its class there.

        Args:
            x, y, batch_size, callbacks, **kwargs: as in Keras. A dict of arrays is checked first, see
                `plumkeras.features.complete_inputs`.
            prototype_data: an iterable of `(inputs, labels)` or `(inputs, labels, sample_weight)` batches: the
                complete, unshuffled training split, which `prototype_policy="epoch"` goes through before each epoch.
                When `x` is a dict of arrays it defaults to `x`, `y` and `sample_weight` themselves. Not read where the
                network has no prototypes.

        Raises:
            ValueError: when the policy needs `prototype_data` and there is none, for `validation_split`, or for inputs
                or labels that the network cannot learn from.
            NonFiniteLossError: the loss of a step is NaN or infinite; it names the step and the terms.

        Warns:
            UserWarning: the network was never adapted, or values of the arrays were set to 0.
        """
        if kwargs.get("validation_split"):
            raise ValueError(
                f"{type(self).__name__}.fit takes no `validation_split`, whose rows would enter the prototypes: "
                f"give `validation_data`. Received: validation_split={kwargs['validation_split']}"
            )
        if not self.network.is_adapted:
            features.warn(
                f"{type(self).__name__}.fit: the network was never adapted, so its inputs are not standardised; call "
                "`network.adapt(...)` with the training split before"
            )
        x, y = self._checked(x, y, "fit")
        validation = kwargs.get("validation_data")
        if isinstance(validation, (tuple, list)) and validation and isinstance(validation[0], dict):
            val_y = validation[1] if len(validation) > 1 else None
            kwargs["validation_data"] = (*self._checked(validation[0], val_y, "validation_data"), *validation[2:])
        schedule = self._schedule(x, y, prototype_data, kwargs.get("sample_weight"))
        callbacks = [] if callbacks is None else callbacks
        callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        for callback in callbacks:
            # Keras takes the direction from its own metrics, among which the terms of a loss are not.
            monitored = str(getattr(callback, "monitor", "")).removeprefix("val_")
            if monitored in self.term_trackers and getattr(callback, "mode", None) == "auto":
                callback.mode = "min"
        own = [StopOnNonFiniteLoss(), schedule]
        if self.chooses_epoch and validation is not None:
            own.append(self.keep_best)
        else:
            self.keep_best.reset()
        return super().fit(x, y, batch_size, callbacks=[*own, *callbacks], **kwargs)

    def _schedule(self, x, y, prototype_data, sample_weight):
        """The callback between the epochs."""
        return StageSchedule()

    @property
    def best_epoch(self):
        """Number, from 0, of the epoch whose weights the last `fit` ended on; `None` when no epoch was measured."""
        return self.keep_best.best_epoch

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """As `keras.Model.evaluate`. Of a dict of arrays a modality may be absent: it is missing for every sample."""
        x, y = self._checked(x, y, "evaluate", may_be_absent=True)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`. Of a dict of arrays a modality may be absent: it is missing for every sample."""
        if isinstance(x, dict):
            x = self.network.complete_arrays(x, may_be_absent=True)
            features.warn_of_lacking_all(x[f"{m}_length"] > 0 for m in self.network.modalities)
        return super().predict(x, *args, **kwargs)

    def _checked(self, x, y, method, **options):
        """Inputs and labels, known to be fit for the network where they can be looked at: in arrays."""
        where = f"{type(self).__name__}.{method}"
        if isinstance(x, dict):
            x = self.network.complete_arrays(x, where, **options)
            if y is None:
                raise features.DataError(f"{where}: y is None; the labels of the dict of arrays are expected there")
            y = self._checked_labels(y, len(next(iter(x.values()))), where)
        elif isinstance(specs := getattr(x, "element_spec", None), tuple) and isinstance(specs[0], dict):
            # What `tf.data` says of its batches, in place of a long error out of the graph.
            widths = self.network.feature_dims
            absent = features.check_names(specs[0], widths, where, options.get("may_be_absent", False))
            for m in widths.keys() - set(absent):
                if widths[m] == features.TOKEN_IDS:
                    continue
                if (shape := specs[0][m].shape).rank is not None and shape[-1] is not None:
                    features.check_width(shape[-1], widths[m], m, where)
        return x, y

    def _checked_labels(self, y, count, where):
        y = ops.convert_to_numpy(y)
        return self.network.task_object.network_labels(y, count, self.network.num_classes, f"{where}: y")

    def begin_epoch(self, epoch):
        """Sets what depends on the epoch (counted from 0)."""

    def before_step(self, x, y, sample_weight, gather):
        """Called before each step of training."""

    def loss_terms(self, outputs, y, sample_weight):
        """Named scalar terms of the loss over the whole batch."""
        raise NotImplementedError

    def after_step(self, outputs, y, sample_weight):
        """Called after each step of training, where state is updated.

        Args:
            outputs: dict of what `forward` returned, before the step, over the whole batch.
            y, sample_weight: of the whole batch.
        """

    def forward(self, x, training):
        return self.part(self.network.named_inputs(x, may_be_absent=not training), training=training)

    def track(self, terms, outputs, y, sample_weight):
        """Updates the history's metrics. `terms`: unscaled values over the global batch; the rest is this replica's."""
        rows = ops.shape(next(iter(outputs.values())))[0]
        self._loss_tracker.update_state(sum(terms.values()), sample_weight=rows)
        for name, tracker in self.term_trackers.items():
            tracker.update_state(terms[name], sample_weight=rows)
        if self._compile_metrics is None:
            return
        y, prediction = _with_last_axis(y, outputs["prediction"])
        self._compile_metrics.update_state(y, prediction, sample_weight=sample_weight)

    @property
    def trainable_variables(self):
        return self.part.trainable_variables

    @property
    def trainable_weights(self):
        return self.trainable_variables

    @property
    def non_trainable_variables(self):
        # What this stage leaves as it is counts among them: a JAX step is handed every variable that it reads.
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trained]

    @property
    def non_trainable_weights(self):
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.weights if id(v) not in trained]


def _with_last_axis(y, prediction):
    """Values `[B]` as `[B, 1]`, which Keras's means would take for a single sample; probabilities as they are."""
    return (ops.reshape(y, (-1, 1)), prediction[:, None]) if len(prediction.shape) == 1 else (y, prediction)


def array_batches(x, y, sample_weight=None, batch_size=256):
    """`(inputs, labels)` batches of a dict of arrays, in order; with weights, `(inputs, labels, sample_weight)`."""
    arrays = (x, y) if sample_weight is None else (x, y, np.asarray(sample_weight))
    return [
        keras.tree.map_structure(lambda array, start=start: array[start : start + batch_size], arrays)
        for start in range(0, len(y), batch_size)
    ]
