"""ICCN: the correlation against its formula, its gradients, and batches that are hard on it."""

import keras
import numpy as np
import pytest
from keras import ops

from plumkeras.models.iccn import ICCN
from plumkeras.objectives.canonical_correlation import canonical_correlations
from tests.testing.networks import make_data
from tests.testing.objectives import assert_finite_terms, hard_batches
from tests.testing.parity import Fixture, value_and_gradients
from tests.testing.published import WIDTHS, small_network


def correlate(first, second, rows=None, regularisation=1e-3):
    """Sum, correlations, and the gradients of the sum."""
    views = [keras.Variable(np.asarray(view, "float32")) for view in (first, second)]
    _, values = canonical_correlations(*views, rows, regularisation)
    total, gradients = value_and_gradients(lambda: canonical_correlations(*views, rows, regularisation)[0], views)
    return total, ops.convert_to_numpy(values), gradients


def test_correlation_and_gradients_are_the_fixtures():
    fixture = Fixture("iccn")
    views = [fixture.arrays[f"inputs/text_{m}_view"] for m in ("audio", "vision")]
    total, values, gradients = correlate(*views, regularisation=fixture.config["regularisation"])
    assert -total == pytest.approx(float(fixture.losses["canonical_correlation"]), rel=2e-5)
    np.testing.assert_allclose(values, fixture.outputs["correlations"], rtol=1e-4)
    for m, gradient in zip(("audio", "vision"), gradients, strict=True):
        # The fixture's are those of the loss, the negative sum.
        np.testing.assert_allclose(-gradient, fixture.outputs[f"gradient_text_{m}_view"], rtol=1e-3, atol=1e-5)


def test_rows_that_do_not_count_are_as_good_as_absent():
    random = np.random.default_rng(0)
    views = random.normal(size=(12, 3)), random.normal(size=(12, 2))
    rows = np.array([1] * 9 + [0] * 3, "float32")
    found, expected = correlate(*views, ops.convert_to_tensor(rows)), correlate(*(view[:9] for view in views))
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    for gradient, of_nine in zip(found[2], expected[2], strict=True):
        np.testing.assert_allclose(gradient[:9], of_nine, atol=1e-5)
        assert not gradient[9:].any()


@pytest.mark.parametrize("case", ["equal correlations", "one constant", "all equal", "large", "dependent", "one row"])
def test_gradients_are_finite(case):
    random = np.random.default_rng(1)
    first = random.normal(size=(16, 4))
    second = {
        "equal correlations": first,
        "one constant": np.concatenate([first[:, :3], np.ones((16, 1))], axis=1),
        "all equal": np.ones((16, 4)),
        "large": 1e4 * first + 1e6,
        "dependent": np.repeat(first[:, :1], 4, axis=1),
        "one row": random.normal(size=(16, 4)),
    }[case]
    rows = np.ones(16, "float32")
    rows[1:] = case != "one row"
    total, values, gradients = correlate(first, second, ops.convert_to_tensor(rows))
    assert np.isfinite(total) and all(np.isfinite(gradient).all() for gradient in gradients)
    expected = {"equal correlations": 4, "one constant": 3, "all equal": 0, "dependent": 1, "one row": 0}.get(case, 4)
    assert total == pytest.approx(expected, abs=0.02) and total == pytest.approx(values.sum(), abs=1e-4)


@pytest.mark.parametrize("batch", hard_batches())
def test_terms_of_hard_batches_are_finite(batch):
    network = small_network("iccn")
    terms = assert_finite_terms(network, network.objective(), *hard_batches()[batch])
    assert (terms["correlation_loss"] < -1e-3) == (batch == "one sign")


def test_a_batch_no_larger_than_the_code_has_no_correlation():
    network, (inputs, y) = small_network("iccn"), make_data(8, widths=WIDTHS)
    inputs |= {f"{m}_length": np.full(8, 5, "int32") for m in WIDTHS}
    objective = network.objective(correlation_weight=1.0)

    def correlation(count, **changed):
        part = {name: array[:count] for name, array in (inputs | changed).items()}
        return float(objective.terms(network(part), y[:count])["correlation_loss"])

    # The codes are of 3 numbers.
    assert correlation(3) == 0 > correlation(4)
    lacking = np.array([5, 5, 0, 5, 0, 5, 5, 5], "int32")
    assert correlation(4, audio_length=lacking) == 0
    assert correlation(8, audio_length=lacking) == pytest.approx(
        float(
            objective.terms(network({n: a[lacking > 0] for n, a in inputs.items()}), y[lacking > 0])["correlation_loss"]
        ),
        rel=1e-4,
    )


def test_text_and_one_other_have_nothing_to_correlate():
    network = small_network("iccn", widths={"text": 6, "audio": 4})
    assert network.objective().term_names == ["prediction_loss"]
    assert network.objective().output_names == ["prediction"]
    with pytest.raises(ValueError, match=r"`regularisation` must be positive"):
        ICCN({"text": 4, "audio": 3}).objective(regularisation=0.0)
