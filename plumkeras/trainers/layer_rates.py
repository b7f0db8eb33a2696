"""Learning rates of some variables apart from the rest, which Keras's optimizers do not have."""

from collections import defaultdict


class LayerRates:
    """What is put in front of an optimizer: each variable's learning rate, and so its weight decay, times a factor.

    Keras has no groups of parameters: an optimizer updates all variables by one rate, and a `MultiOptimizer` is several
    optimizers, each with its own schedule and count. Here the update is called once for each factor, with the variables
    that have it: moments, schedule and saved state are those of one optimizer.

    Attributes:
        rate_factors: dict from the `id` of a variable to its factor; of a variable that is absent it is 1.
    """

    rate_factors: dict = {}  # noqa: RUF012 -- replaced, never written to

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        groups = defaultdict(list)
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            groups[self.rate_factors.get(id(variable), 1.0)].append((gradient, variable))
        for factor, pairs in groups.items():
            rate = learning_rate if factor == 1.0 else learning_rate * factor
            super()._backend_update_step(*map(list, zip(*pairs, strict=True)), rate)


class DecayedLayerRates(LayerRates):
    """The same for Keras's own optimizers, whose weight decay is a step of its own."""

    def _apply_weight_decay(self, variables):
        if not self.rate_factors or self.weight_decay is None:
            super()._apply_weight_decay(variables)
            return
        for variable in filter(self._use_weight_decay, variables):
            rate = self.learning_rate * self.rate_factors.get(id(variable), 1.0)
            variable.assign(variable - variable * self.weight_decay * rate)
