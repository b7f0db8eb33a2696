"""`train_step` and `test_step` for the TensorFlow backend, under any `tf.distribute` strategy."""

import keras
import tensorflow as tf

from plumkeras.devices import without_graph_rewriting


class TensorFlowTrainer(keras.Model):
    """One step of either stage. What is minimised comes from the subclass: `forward`, `before_step`, `loss_terms`,
    `after_step`.

    Losses see the whole batch: under several replicas, outputs and labels are gathered first. The gradient of the
    gathering sums over replicas, `keras.losses.Loss.__call__` has divided by their number, so the summed gradient is
    that of one device.
    """

    # XLA would compile every batch length anew.
    compiles_by_default = False

    def fit(self, *args, **kwargs):
        with without_graph_rewriting():
            return super().fit(*args, **kwargs)

    def train_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self.before_step(x, y, sample_weight, self._gather)
        with tf.GradientTape() as tape:
            outputs = self.forward(x, training=True)
            whole = self._gather((outputs, y, sample_weight))
            terms = self.loss_terms(*whole)
            loss = self.optimizer.scale_loss(tf.add_n(list(terms.values())))
        variables = self.trainable_variables
        # That of a table of embeddings comes by rows, several for a token that occurs twice: their norms say nothing,
        # and replicas do not sum them.
        gradients = [None if g is None else tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.after_step(*whole)
        return self._log(terms, outputs, y, sample_weight)

    def test_step(self, data):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        outputs = self.forward(x, training=False)
        terms = self.loss_terms(*self._gather((outputs, y, sample_weight)))
        return self._log(terms, outputs, y, sample_weight)

    def embed(self, inputs):
        """Outputs of `embedding_part` for a batch outside of a step, on one replica: the same for any number."""
        if getattr(self, "_embed", None) is None:
            self._embed = tf.function(self.embedding_part, reduce_retracing=True, autograph=False)
        return self._embed(keras.tree.map_structure(tf.convert_to_tensor, inputs))

    def _log(self, terms, outputs, y, sample_weight):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.track({name: value * replicas for name, value in terms.items()}, outputs, y, sample_weight)
        return self.get_metrics_result()

    def _gather(self, structure):
        """Concatenates each tensor of the structure over the replicas, whose parts may differ in size."""
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return structure
        context = tf.distribute.get_replica_context()

        def gather(tensor):
            if tensor is None:
                return None
            if tensor.dtype == tf.bool:  # The collectives know numbers alone.
                return tf.cast(context.all_gather(tf.cast(tensor, tf.int32), axis=0), tf.bool)
            gathered = context.all_gather(tensor, axis=0)
            # The collective forgets the widths, which objectives read.
            gathered.set_shape([None, *tensor.shape[1:]])
            return gathered

        return tf.nest.map_structure(gather, structure)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras would look at a first batch under a strategy, by a mean over replicas that fails where their parts
        # differ in size. A trainer is built from the start; only the optimizer's variables are to be made.
        if self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
