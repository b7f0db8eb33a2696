"""Several devices train what one trains."""

import numpy as np
import pytest

from tests.testing.backend_probe import BATCH, MUTATIONS, STEPS_PER_EPOCH, make_data
from tests.testing.probes import CASES, KEY_BIAS_TOLERANCE, STAGES, differences, excess

# Weights and prototypes absolute, the rest relative; gradients by the global norm.
TOLERANCES = {
    "terms": 1e-5,
    "gradients": 1e-5,
    "steps": 1e-5,
    "history": 1e-5,
    "validation": 1e-5,
    "weights": 1e-5,
    "key_biases": KEY_BIAS_TOLERANCE,
    "prototypes": 1e-6,
}
# Behind an epoch's last batch TensorFlow's replicas have seen different numbers of rows, and what `fit` shows there is
# a mean over them. The epoch's own values, in the history, are exact.
FULL = np.arange(4 * STEPS_PER_EPOCH) % STEPS_PER_EPOCH < STEPS_PER_EPOCH - 1
REPLICAS = [2, pytest.param(4, marks=pytest.mark.verify)]
JAX_CASES = [pytest.param(case, marks=pytest.mark.verify) for case in CASES]


@pytest.fixture(scope="module")
def replicas(probed, reference):
    """`replicas(count)`: TensorFlow on that many devices."""

    def replicas(count):
        order = {"cases": CASES, "devices": count, "initial": str(reference.path)}
        return probed(f"tensorflow_{count}", "tensorflow", **order)

    return replicas


@pytest.fixture(scope="module")
def mutated(probed, reference):
    """TensorFlow on two devices with each of the mutations."""
    order = {"cases": [f"classification:{mutation}" for mutation in MUTATIONS], "devices": 2}
    return probed("tensorflow_2_mutated", "tensorflow", initial=str(reference.path), **order)


@pytest.fixture(scope="module")
def shared_by_jax(probed, reference):
    """`shared_by_jax(case)`: JAX on two devices."""

    def shared_by_jax(case):
        return probed(f"jax_2_{case}", "jax", cases=[case], devices=2, initial=str(reference.path))

    return shared_by_jax


def batches(reference, case, stage):
    """Class and lengths of the samples of each batch that was trained on."""
    train = make_data(case)["train"]
    rows = {sample: row for row, sample in enumerate(train.ids)}
    classes = train.labels if train.labels.dtype.kind == "i" else np.sign(train.labels).astype(int) + 1
    for ids in reference.group(case, stage, "fed").values():
        batch = [rows[sample] for sample in ids]
        yield classes[batch], {m: lengths[batch] for m, lengths in train.lengths.items()}


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", CASES)
def test_the_batches_are_hard_to_share(reference, case, stage, count):
    """In some batch a class is absent from a replica's part, and rows that a modality has are unevenly spread."""
    absent, uneven, sizes = 0, 0, set()
    for classes, lengths in batches(reference, case, stage):
        sizes.add(len(classes))
        if len(classes) == BATCH:
            absent += any(len(set(part)) < len(set(classes)) for part in np.split(classes, count))
            present = [[np.count_nonzero(part) for part in np.split(length, count)] for length in lengths.values()]
            uneven += any(len(set(counts)) > 1 for counts in present)
    assert absent and uneven
    # The last batch of an epoch: 2 and 1 rows or 1 and 0 on two replicas, 1 and 0 on four.
    assert sizes == {BATCH, 3 if case == "regression" else 1}
    assert len(make_data(case)["valid"]) % 4


@pytest.mark.parametrize("count", REPLICAS)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", CASES)
def test_replicas_equal_one_device(replicas, reference, case, stage, count):
    found = differences(replicas(count), reference, case, stage, steps=FULL)
    assert set(found) == set(TOLERANCES)
    assert not excess(found, TOLERANCES)


@pytest.mark.parametrize("case", CASES)
def test_there_is_something_to_equal(reference, case):
    """Weights and prototypes go by hundreds of tolerances, and the history has the user's metrics."""
    for stage in STAGES:
        initial = reference.group(case, "initial")
        paths = reference.facts[case]["paths"]
        moved = {
            paths[int(name)]: np.abs(values - initial[name]).max()
            for name, values in reference.group(case, stage, "weights").items()
        }
        trained = [change for path, change in moved.items() if "prototype_labels" not in path]
        assert max(trained) > 50 * TOLERANCES["weights"]
        # The keys' biases have no gradient; what is outside stage 1 keeps still.
        assert np.mean(np.array(trained) > 10 * TOLERANCES["weights"]) > 0.5
        assert all(moved[path] > 100 * TOLERANCES["prototypes"] for path in paths if path.endswith("/prototypes"))
    expected = {"corr", "acc2_non0"} if case == "regression" else {"accuracy"}
    assert expected <= set(reference.group(case, "refinement", "history"))


@pytest.mark.verify
@pytest.mark.parametrize(
    ("mutation", "quantities"),
    [
        ("ungathered", {"terms", "gradients", "steps", "history", "weights", "prototypes"}),
        ("replica_means", {"terms", "gradients", "steps", "history", "weights", "prototypes"}),
    ],
)
def test_what_would_break_equality_is_found(mutated, reference, mutation, quantities):
    named = f"classification:{mutation}"
    found = differences(mutated, reference, "classification", "alignment", named, steps=FULL)
    assert set(excess(found, TOLERANCES)) == quantities


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", JAX_CASES)
def test_devices_of_jax_equal_one(one_device, shared_by_jax, case, stage):
    found = differences(shared_by_jax(case), one_device("jax"), case, stage)
    assert set(found) == set(TOLERANCES)
    assert not excess(found, TOLERANCES)


@pytest.mark.parametrize("case", JAX_CASES)
def test_devices_of_jax_share_the_rows(shared_by_jax, case):
    """Each of the two holds half of an even batch, of the step's input as of what it computes of it."""
    shardings = [tuple(sharding) for sharding in shared_by_jax(case).facts[case]["shardings"]]
    assert {("input", BATCH, BATCH // 2, 2), ("output", BATCH, BATCH // 2, 2)} <= set(shardings)
    last = 3 if case == "regression" else 1
    assert {rows for _, rows, *_ in shardings} == {BATCH, last, len(make_data(case)["valid"])}
    for what, rows, part, devices in shardings:
        assert devices == 2, what
        assert part == (rows if rows % 2 else rows // 2), what


LAYERS = ["dropout", "encoder", "transformer", "head", "modality_dropout"]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_replica_has_its_own_noise(probed, layer):
    """That of replica 0 is what one device has; each call has another, and a restored state gives it again."""
    run = probed("noise", "tensorflow", devices=3, noise=True)
    noise = {call: run.group("noise", layer, call) for call in ("first", "second", "restored", "alone")}
    drawn = [*noise["first"].values(), *noise["second"].values()]
    assert len(drawn) == 6
    for index, one in enumerate(drawn):
        assert not any(np.array_equal(one, other) for other in drawn[:index])
    for replica, values in noise["first"].items():
        np.testing.assert_array_equal(noise["restored"][replica], values)
    np.testing.assert_allclose(noise["alone"]["0"], noise["first"]["0"], rtol=1e-6)
