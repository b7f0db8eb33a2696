"""What holds for every published model, whatever is inside."""

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras.models.needs import NEEDS
from plumkeras.tasks import TASKS
from plumkeras.trainers import PredictionTrainer
from tests.testing.networks import assert_close, make_data, make_inputs, to_numpy
from tests.testing.published import SMALL, WIDTHS, network_class, small_network


def within_lengths(outputs, inputs):
    """The outputs, those of frames cut to the valid ones of each sample."""
    found = {}
    for name, array in to_numpy(outputs).items():
        m = next((m for m in WIDTHS if name.startswith(m)), None)
        if array.ndim == 3 and m is not None and array.shape[1] >= inputs[m].shape[1]:
            valid = np.arange(array.shape[1])[None, :] < inputs[f"{m}_length"][:, None]
            array = np.concatenate([row[keep] for row, keep in zip(array, valid, strict=True)])
        found[name] = array
    return found


@pytest.mark.parametrize("name", SMALL)
def test_padding_and_missing_modalities(name):
    """Padding, whatever is in it, changes no output, and a missing modality leaves finite ones."""
    network, inputs = small_network(name), make_inputs(8, WIDTHS)
    expected = within_lengths(network(inputs), inputs)
    assert all(np.isfinite(array).all() for array in expected.values())
    assert np.ptp(expected["prediction"]) > 1e-4
    random, padded = np.random.default_rng(1), {}
    for m in WIDTHS:
        more = np.concatenate([inputs[m], np.zeros((8, 3, WIDTHS[m]), "float32")], axis=1)
        beyond = np.arange(more.shape[1])[None, :] >= inputs[f"{m}_length"][:, None]
        padded[m] = np.where(beyond[:, :, None], random.normal(0, 9, more.shape), more).astype("float32")
        padded[f"{m}_length"] = inputs[f"{m}_length"]
    assert_close(within_lengths(network(padded), inputs), expected, 2e-5)


@pytest.mark.parametrize(("name", "task"), [(n, task) for n in SMALL for task in NEEDS[n].tasks or TASKS])
@pytest.mark.verify
def test_it_learns_and_reads_back(name, task, tmp_path):
    """A few epochs lower every task's loss; the file gives the same outputs."""
    network = small_network(name, task=task, num_classes=3)
    x, y = make_data(24, "classification" if task != "regression" else task, widths=WIDTHS)
    if task == "multilabel":
        y = np.eye(3, dtype="float32")[y]
    network.adapt(x)
    trainer = PredictionTrainer(network)
    trainer.compile(keras.optimizers.Adam(3e-3))
    history = trainer.fit(x, y, batch_size=8, epochs=6, verbose=0).history
    assert history["prediction_loss"][-1] < history["prediction_loss"][0]
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert again.get_config() == network.get_config()
    assert_close(to_numpy(again(x)), to_numpy(network(x)), 1e-6)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.verify
def test_an_epoch_in_16_bits_is_finite(name):
    network = small_network(name, dtype="mixed_bfloat16")
    x, y = make_data(24, widths=WIDTHS)
    network.adapt(x)
    trainer = PredictionTrainer(network)
    trainer.compile(keras.optimizers.Adam(1e-3))
    history = trainer.fit(x, y, batch_size=8, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.verify
def test_an_export_gives_the_numbers_of_the_network(name, tmp_path):
    import tensorflow as tf

    network, inputs = small_network(name), make_inputs(8, WIDTHS)
    version = plumkeras.export_saved_model(network, tmp_path / "model")
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    found = served(**{key: tf.convert_to_tensor(value) for key, value in inputs.items()})
    np.testing.assert_allclose(found["prediction"], to_numpy(network(inputs))["prediction"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_what_the_model_cannot_read_is_refused(name):
    cls, needs = network_class(name), NEEDS[name]
    if needs.modalities > 1:
        with pytest.raises(ValueError, match=f"needs {needs.modalities} modalities or more; used here: text"):
            cls({"text": 4})
    if needs.text:
        with pytest.raises(ValueError, match=f"{name} needs the modality text; used here: audio, vision"):
            cls({"audio": 4, "vision": 3})
    if needs.tasks:
        with pytest.raises(
            ValueError, match=f"{name} supports {needs.tasks[0]} only, and the labels are for multilabel"
        ):
            cls({"text": 4, "audio": 3}, task="multilabel")
    with pytest.raises(ValueError, match=r"text is token ids here; leave out text\.encoder"):
        cls({"text": 0, "audio": 4})
