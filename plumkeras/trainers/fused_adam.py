"""Adam and AdamW for TensorFlow with one kernel a variable, where Keras's make some forty operations.

The values are those of `keras.optimizers.Adam` and `AdamW` up to rounding, and so are the variables. The smaller graph
is compiled in half the time.
"""

import keras
import tensorflow as tf

from plumkeras.trainers.layer_rates import LayerRates


class _OneKernel:
    """What both share. `update_step` of Keras's class remains for sparse gradients and `amsgrad`."""

    def _clip_gradients(self, grads):
        return grads if self._clips_here(grads) else super()._clip_gradients(grads)

    def _clips_here(self, grads):
        return bool(self.clipnorm) and all(isinstance(g, tf.Tensor) for g in grads)

    def _apply_weight_decay(self, variables):
        """Done in the update of each variable, before its step."""

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        variables = [getattr(v, "value", v) for v in trainable_variables]
        pairs = list(zip(grads, variables, strict=True))
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            # TensorFlow registers the gradient of a reduction for good, and with it the graph.
            pairs = self._all_reduce_sum_gradients(pairs)
        pairs = [(gradient, variable) for gradient, variable in pairs if gradient is not None]
        if self._clips_here(grads):
            # The gradient of the whole batch: Keras would clip each replica's part of it, and then add.
            reduced = [gradient for gradient, _ in pairs]
            norms = tf.sqrt(2.0 * tf.stack([tf.cast(tf.nn.l2_loss(g), "float32") for g in reduced]))
            scales = tf.unstack(self.clipnorm / tf.maximum(norms, self.clipnorm), num=len(reduced))
            reduced = [g * tf.cast(scale, g.dtype) for g, scale in zip(reduced, scales, strict=True)]
            pairs = list(zip(reduced, variables, strict=True))
        tf.__internal__.distribute.interim.maybe_merge_call(
            self._distributed_tf_update_step, self._distribution_strategy, pairs, learning_rate
        )

    def _distributed_tf_update_step(self, distribution, grads_and_vars, learning_rate):
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, "float32")
        numbers = [tf.constant(x, "float32") for x in (self.beta_1, self.beta_2, self.epsilon)]
        numbers += [tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)]

        def update(variable, gradient, learning_rate, *numbers):
            rate = tf.cast(learning_rate, variable.dtype)
            if self.weight_decay is not None and self._use_weight_decay(variable):
                variable.assign_sub(variable * (rate * self.weight_decay))
            if self.amsgrad or not isinstance(gradient, tf.Tensor):
                return self.update_step(gradient, variable, learning_rate)
            index = self._get_variable_index(variable)
            beta_1, beta_2, epsilon, *powers = (tf.cast(number, variable.dtype) for number in numbers)
            return tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=epsilon,
                grad=tf.cast(gradient, variable.dtype),
            )

        for gradient, variable in grads_and_vars:
            distribution.extended.update(variable, update, args=(gradient, learning_rate, *numbers), group=False)


class FusedAdam(LayerRates, _OneKernel, keras.optimizers.Adam):
    """`keras.optimizers.Adam`, compiled sooner, with learning rates of some variables apart from the rest."""


class FusedAdamW(LayerRates, _OneKernel, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, likewise."""
