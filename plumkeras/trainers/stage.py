"""What every stage of training shares: tracked terms, prototypes, checks of its inputs."""

import keras
import numpy as np
from keras import ops

from plumkeras import features
from plumkeras.callbacks import StageSchedule, StopOnNonFiniteLoss
from plumkeras.metrics import ClassCentroids
from plumkeras.objectives.alignment import AlignmentObjective, membership, takes_part
from plumkeras.trainers.backend import BackendTrainer

PROTOTYPE_POLICIES = ("epoch", "ema", "batch")


class StageTrainer(BackendTrainer):
    """What both stages share: tracked terms, prototypes, label warm-up, user metrics.

    The backend's base class calls `forward`, `before_step`, `loss_terms` and `track`, and gives `embed`.
    """

    refreshes_at_end = False

    def __init__(self, network, prototype_policy, prototype_momentum, objective_options, name):
        # The network's precision, by which Keras decides whether the loss is to be scaled. The inputs stay as they are:
        # raw features can exceed the range of float16.
        super().__init__(name=name, dtype=network.policy, autocast=False)
        if prototype_policy not in PROTOTYPE_POLICIES:
            raise ValueError(f"`prototype_policy` must be one of {PROTOTYPE_POLICIES}. Received: {prototype_policy!r}")
        if not 0 <= prototype_momentum < 1:
            raise ValueError(f"`prototype_momentum` must lie in [0, 1). Received: {prototype_momentum}")
        self.network = network
        self.prototype_policy = prototype_policy
        self.prototype_momentum = prototype_momentum
        self.alignment = AlignmentObjective(network, **objective_options)
        self.label_warmup = self.add_weight(shape=(), initializer="zeros", trainable=False, name="label_warmup")
        self.embedding_part = None
        if network.prototype_generators:
            names = [f"{m}_{name}" for m in network.modalities for name in ("aligned_embedding", "present")]
            self.embedding_part = network.select(*names)
        self.term_trackers, self.entropy_trackers = {}, {}

    def _start(self, part, term_names):
        """Called last by a subclass: which part of the network runs, which terms are tracked."""
        self.part = part
        self.term_trackers = {name: keras.metrics.Mean(name=name) for name in term_names}
        self.entropy_trackers = {
            m: keras.metrics.Mean(name=f"{m}_label_entropy")
            for m in self.network.modalities
            if f"{m}_soft_label" in part.output
        }
        self.built = True

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
            raise ValueError(f"{type(self).__name__}.compile takes no metrics: stage 1 makes no prediction")
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
                When `x` is a dict of arrays it defaults to `x`, `y` and `sample_weight` themselves.

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
        if self._refreshes and prototype_data is None:
            if not isinstance(x, dict) or y is None:
                raise ValueError(
                    '`prototype_policy="epoch"` needs `prototype_data`: the complete, unshuffled training split as '
                    "batches of (inputs, labels). Received: prototype_data=None"
                )
            prototype_data = array_batches(x, y, kwargs.get("sample_weight"))
        callbacks = [] if callbacks is None else callbacks
        callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        for callback in callbacks:
            # Keras takes the direction from its own metrics, among which the terms of a loss are not.
            monitored = str(getattr(callback, "monitor", "")).removeprefix("val_")
            if monitored in self.term_trackers and getattr(callback, "mode", None) == "auto":
                callback.mode = "min"
        own = [StopOnNonFiniteLoss(), StageSchedule(prototype_data if self._refreshes else None)]
        return super().fit(x, y, batch_size, callbacks=[*own, *self._own_callbacks(kwargs), *callbacks], **kwargs)

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
            absent = features.check_names(specs[0], self.network.modalities, where, options.get("may_be_absent", False))
            for m, width in self.network.feature_dims.items():
                if m not in absent and (shape := specs[0][m].shape).rank is not None and shape[-1] is not None:
                    features.check_width(shape[-1], width, m, where)
        return x, y

    def _checked_labels(self, y, count, where):
        y = ops.convert_to_numpy(y)
        return self.network.task_object.network_labels(y, count, self.network.num_classes, f"{where}: y")

    def _own_callbacks(self, fit_arguments):
        return []

    @property
    def _refreshes(self):
        return bool(self.embedding_part) and self.prototype_policy == "epoch"

    def begin_epoch(self, epoch):
        """Sets what depends on the epoch (counted from 0)."""

    def refresh_prototypes(self, data):
        """Exact eq. 4: prototypes from every sample of `data`, dropout off.

        Args:
            data: batches of `(inputs, labels)`; can be gone through again and again.

        Raises:
            ValueError: there is no batch, as in an iterator that is used up.
        """
        centroids = {
            m: ClassCentroids(self.network.num_classes, self.network.hidden_dim) for m in self.network.modalities
        }
        number = -1
        for number, batch in enumerate(data):
            inputs, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
            # The batches that reach the host: here every sample of a data set passes before it is learned from.
            where = f"batch {number} of `prototype_data`"
            inputs = self.network.complete_arrays(inputs, where, clean=False)
            y = self._checked_labels(y, len(next(iter(inputs.values()))), where)
            outputs = self.embed(inputs)
            for m, labels in self._members(outputs, y, sample_weight).items():
                centroids[m].update_state(labels, outputs[f"{m}_aligned_embedding"])
        if number < 0:
            raise ValueError("`prototype_data` holds no batch; an iterator is used up after one epoch, give a dataset")
        for m, generator in self.network.prototype_generators.items():
            generator.assign_prototypes(centroids[m].result(), centroids[m].counts)

    def _members(self, outputs, y, sample_weight):
        """By modality the classes `[N]` or label sets `[N, C]`, -1 for a row that is a member of none."""
        used = {m: takes_part(outputs[f"{m}_present"], sample_weight) for m in self.network.modalities}
        return {m: self.alignment.members(y, used[m]) for m in used}

    def before_step(self, x, y, sample_weight, gather):
        """Policies `"ema"` and `"batch"`: the batch's own class means, dropout off, become (part of) the prototypes."""
        if not self.embedding_part or self.prototype_policy == "epoch":
            return
        outputs = self.embedding_part(self.network.named_inputs(x), training=False)
        outputs, y, sample_weight = gather((outputs, y, sample_weight))
        members = self._members(outputs, y, sample_weight)
        momentum = self.prototype_momentum if self.prototype_policy == "ema" else 0.0
        for m, generator in self.network.prototype_generators.items():
            one_hot = membership(members[m], self.network.num_classes)
            counts = ops.sum(one_hot, axis=0)
            embeddings = ops.cast(outputs[f"{m}_aligned_embedding"], "float32")
            sums = ops.matmul(ops.transpose(one_hot), embeddings)
            generator.assign_prototypes(sums / ops.maximum(counts, 1)[:, None], counts, momentum)

    def forward(self, x, training):
        return self.part(self.network.named_inputs(x, may_be_absent=not training), training=training)

    def track(self, terms, outputs, y, sample_weight):
        """Updates the history's metrics. `terms`: unscaled values over the global batch; the rest is this replica's."""
        rows = ops.shape(next(iter(outputs.values())))[0]
        self._loss_tracker.update_state(sum(terms.values()), sample_weight=rows)
        for name, tracker in self.term_trackers.items():
            tracker.update_state(terms[name], sample_weight=rows)
        for m, tracker in self.entropy_trackers.items():
            soft = outputs[f"{m}_soft_label"]
            entropy = -ops.sum(soft * ops.log(ops.maximum(soft, 1e-12)), axis=-1)
            tracker.update_state(entropy, sample_weight=ops.cast(outputs[f"{m}_present"], "float32"))
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
