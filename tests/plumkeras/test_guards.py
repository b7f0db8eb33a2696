"""A loss that is not finite stops `fit` at its step and names it, the epoch and the terms. Both stages, plain Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from plumkeras import AlignmentTrainer, RefinementTrainer
from plumkeras.callbacks import NonFiniteLossError, StopOnNonFiniteLoss
from plumkeras.trainers.stage import array_batches
from tests.testing.networks import make_data, make_network

X, Y = make_data(20)
VALIDATION = make_data(10, seed=1)


class Counter(keras.callbacks.Callback):
    """A user's callback: the steps that it was told of, and the epochs that came to their end."""

    def __init__(self):
        super().__init__()
        self.steps, self.epochs = [], 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


class Poison(keras.callbacks.Callback):
    """Makes a weight NaN before a step of an epoch."""

    def __init__(self, variable, epoch, step):
        super().__init__()
        self.variable, self.wanted, self.epoch = variable, (epoch, step), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.wanted:
            self.variable.assign(np.full(self.variable.shape, np.nan))


def diverging_fit(trainer, x=X, y=Y, callbacks=(), prototype_data=None, **options):
    """Runs a `fit` in batches of 4, in order, that must diverge; the error, and what a user's callback saw before.

    In a `tf.data.Dataset`: what is wrong with arrays is seen before the first step.
    """
    trainer.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    counter = Counter()
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.fit(
            tf.data.Dataset.from_tensor_slices((x, y)).batch(4),
            epochs=3,
            shuffle=False,
            verbose=0,
            prototype_data=array_batches(x, Y) if prototype_data is None else prototype_data,
            validation_data=VALIDATION,
            callbacks=[*callbacks, counter],
            **options,
        )
    return caught.value, counter


def test_stage_1_names_the_step_and_the_terms_of_a_spoiled_sample():
    """Text of sample 13 is too large for float32: its step diverges, in the terms that text takes part in."""
    x = {name: values.copy() for name, values in X.items()}
    x["text"][13], x["text_length"][13] = 3e38, 5
    error, counter = diverging_fit(AlignmentTrainer(make_network()), x, prototype_data=array_batches(X, Y))
    assert (error.epoch, error.step) == (0, 3)
    assert set(error.terms) == {"inter_loss", "text_intra_loss", "text_common_loss", "text_private_loss"}
    assert counter.steps == [0, 1, 2] and counter.epochs == 0
    for words in ("inter_loss", "text_private_loss", "step 4 of epoch 1"):
        assert words in str(error)
    assert "audio" not in str(error)


def test_stage_2_names_the_prediction_for_an_infinite_label():
    y = Y.copy()
    y[6] = np.inf
    error, counter = diverging_fit(RefinementTrainer(make_network()), y=y)
    assert (error.epoch, error.step, error.terms) == (0, 1, ("prediction_loss",))
    assert counter.steps == [0]


@pytest.mark.parametrize("initial_epoch", [0, 1])
@pytest.mark.parametrize("trainer_class", [AlignmentTrainer, RefinementTrainer])
def test_the_epoch_is_that_of_the_whole_training(trainer_class, initial_epoch):
    """In a later epoch, also where `fit` begins at one: the numbers are those of the data's order."""
    network = make_network({"text": 4})
    poison = Poison(network.get_layer("text_encoder").trainable_variables[0], epoch=1, step=2)
    x = {name: X[name] for name in ("text", "text_length")}
    trainer = trainer_class(network)
    error, counter = diverging_fit(trainer, x, callbacks=[poison], initial_epoch=initial_epoch)
    assert (error.epoch, error.step) == (1, 2)
    assert counter.epochs == 1 - initial_epoch and counter.steps[-2:] == [0, 1]


def test_terms_that_are_finite_alone_and_not_together():
    """No term to blame: the loss itself is named."""
    trainer = keras.Model()
    trainer.term_trackers = {"prediction_loss": None, "inter_loss": None}
    guard = StopOnNonFiniteLoss()
    guard.set_model(trainer)
    guard.on_epoch_begin(4)
    guard.on_train_batch_end(0, {"loss": 3e38, "prediction_loss": 2e38, "inter_loss": 1e38})
    for loss in (np.float32("inf"), float("nan"), -np.inf):
        with pytest.raises(NonFiniteLossError, match="loss not finite at step 2 of epoch 5") as caught:
            guard.on_train_batch_end(1, {"loss": loss, "prediction_loss": 2e38, "inter_loss": 2e38})
        assert caught.value.terms == ("loss",)
