"""PLUMNet as a functional model: names, shapes, modules, modalities, equations 5-9 through the whole network."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from plumkeras.data_pipelines import make_dataset, make_synthetic
from plumkeras.layers.transformer import TransformerEncoder
from plumkeras.models.plum_net import PLUMNet
from tests.testing import oracles
from tests.testing.networks import (
    MODULE_ROWS,
    WIDTHS,
    assert_close,
    dtypes,
    gradients,
    make_inputs,
    make_network,
    shapes,
    to_numpy,
)

VECTORS = ["aligned_embedding", "aligned_common", "common_embedding", "private_embedding", "refined_embedding"]
NAMES = {
    (): ["present"],
    ("msa",): ["present", *VECTORS[:2]],
    ("msa", "psl_tfb"): ["present", *VECTORS[:4], "common_logits", "private_logits", "soft_label", "hard_label"],
    ("msa", "psl_tfb", "prm"): ["present", *VECTORS, "common_logits", "private_logits", "soft_label", "hard_label"],
}


def expected_shape(name, batch, classes):
    if name in ("present", "hard_label"):
        return (batch,)
    return (batch, 8) if name in VECTORS else (batch, classes)


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("modules", MODULE_ROWS)
def test_outputs_have_the_names_and_shapes_of_the_specification(modules, task):
    network = make_network(modules=modules, task=task, num_classes=4)
    outputs = network(make_inputs())
    expected = {f"{m}_{n}": expected_shape(n, 6, 4) for m in ("text", "audio") for n in NAMES[modules]}
    expected["prediction"] = (6,) if task == "regression" else (6, 4)
    assert shapes(outputs) == expected
    assert shapes(network.output) == {name: (None, *shape[1:]) for name, shape in expected.items()}
    assert dtypes(network.output) == dtypes(outputs)
    assert set(network.input) == {"text", "text_length", "audio", "audio_length"}
    if task == "classification":
        np.testing.assert_allclose(np.sum(outputs["prediction"], axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(outputs["text_present"], make_inputs()["text_length"] > 0)


@pytest.mark.parametrize(
    "modalities", [("audio",), ("vision", "text"), ("a", "b", "c"), ("eeg", "text_2", "gaze", "length")]
)
def test_any_modalities_by_any_names(modalities):
    widths = {m: 2 + i for i, m in enumerate(modalities)}
    network = make_network(widths)
    assert network.modalities == modalities
    inputs = make_inputs(widths=widths)
    outputs = to_numpy(network(inputs))
    assert len(outputs) == 1 + 10 * len(modalities)
    assert all(np.isfinite(v).all() for v in outputs.values())
    # A modality reaches its own outputs and the prediction, and no other modality's outputs.
    for m in modalities:
        other = to_numpy(network({**inputs, m: inputs[m] + 1.0}))
        changed = {name for name in outputs if not np.allclose(outputs[name], other[name], atol=1e-6)}
        assert "prediction" in changed and f"{m}_refined_embedding" in changed
        assert all(name == "prediction" or name.startswith(f"{m}_") for name in changed)


def test_fewer_modalities_run_on_a_richer_dict():
    """Named inputs are taken by name, also where the surplus ones would fit by their position."""
    inputs = make_inputs(widths={"text": 4, "audio": 4, "vision": 2})
    network = make_network({"text": 4})
    reference = to_numpy(network({name: inputs[name] for name in ("text", "text_length")}))
    assert_close(to_numpy(network(inputs)), reference)
    assert_close(network.predict(inputs, verbose=0), reference)
    assert_close(network.predict_on_batch(inputs), reference)


def test_the_order_of_the_dict_does_not_matter():
    network, inputs = make_network(), make_inputs()
    turned = dict(reversed(inputs.items()))
    assert_close(to_numpy(network(turned)), to_numpy(network(inputs)), 0)


def test_sequences_of_length_one():
    network = make_network()
    inputs = make_inputs(frames=1, lengths=[1] * 6)
    outputs = to_numpy(network(inputs))
    assert all(np.isfinite(v).all() for v in outputs.values())
    # An utterance-level modality beside a sequence.
    mixed = {**make_inputs(), "audio": inputs["audio"], "audio_length": inputs["audio_length"]}
    beside = to_numpy(network(mixed))
    assert_close({"x": beside["audio_refined_embedding"]}, {"x": outputs["audio_refined_embedding"]})


def branches_of(network, modality):
    """Encoder, pool, classifier and task embedding of a modality's common and private branch."""
    if network.common_branch == "shared":
        layers = {
            "common": network.get_layer("common_branch"),
            "private": network.get_layer(f"{modality}_private_branch"),
        }
        return {k: (layer.encoder, layer.pool, layer.classifier, layer.task_embedding) for k, layer in layers.items()}
    both = network.get_layer(f"{modality}_bifurcator")
    return {k: (both.encoders[k], both.pools[k], both.classifiers[k], both.task_embedding) for k in both.encoders}


@pytest.mark.parametrize("common_branch", ["shared", "per_modality"])
@pytest.mark.parametrize("fusion", ["sequence", "vector"])
def test_branches_and_refinement_equal_their_equations(fusion, common_branch):
    """Eq. 5-9 from `f_single` to the prediction, sample by sample on the valid frames alone."""
    options = {"label_temperature": 0.7, "normalize_labels": False}
    network = make_network(fusion=fusion, common_branch=common_branch, **options)
    inputs = make_inputs()
    outputs = to_numpy(network(inputs))
    represented = []
    for m in ("text", "audio"):
        stem, refinement, generator = (
            network.get_layer(f"{m}_{name}") for name in ("encoder", "refinement", "prototype_labels")
        )
        branches = branches_of(network, m)
        single = to_numpy(stem(inputs[m], inputs[f"{m}_length"])).astype("float64")
        alignment = network.get_layer("alignment")
        classes = np.asarray(refinement.class_embedding, "float64")
        rows = []
        for row, length in enumerate(inputs[f"{m}_length"]):
            if length == 0:
                rows.append(np.asarray(network.get_layer(f"{m}_absent").absent))
                assert np.all(outputs[f"{m}_refined_embedding"][row] == 0)
                continue
            f = single[row, :length]
            own = oracles.dense(alignment.projections[m], f)
            expected = {"aligned_embedding": own.mean(axis=0)}
            sequences = {"common": oracles.dense(alignment.shared_projection, own), "private": f}
            for branch in sequences:
                encoder, pool, classifier, task = branches[branch]
                sequences[branch] = oracles.encode(encoder, sequences[branch])
                pooled = oracles.attend(pool, np.asarray(task, "float64"), sequences[branch])[0]
                expected[f"{branch}_embedding"] = pooled
                expected[f"{branch}_logits"] = oracles.dense(classifier, pooled)
            soft, _ = oracles.prototype_labels([own.mean(axis=0)], np.array(generator.prototypes), [1] * 3, [True], 0.7)
            expected["soft_label"] = soft[0]
            if fusion == "vector":
                sequences = {b: expected[f"{b}_embedding"][None] for b in sequences}
            both = [
                oracles.attend(refinement.common_to_private, sequences["common"], sequences["private"]),
                oracles.attend(refinement.private_to_common, sequences["private"], sequences["common"]),
            ]
            fused = oracles.layer_norm(refinement.merge_norm, oracles.dense(refinement.merge, np.concatenate(both, -1)))
            tokens = soft[0][:, None] * classes
            enhanced = oracles.attend(refinement.label_attention, oracles.dense(refinement.label_query, fused), tokens)
            expected["refined_embedding"] = (fused + enhanced).mean(axis=0)
            for name, value in expected.items():
                np.testing.assert_allclose(outputs[f"{m}_{name}"][row], value, rtol=1e-3, atol=1e-4, err_msg=name)
            rows.append(expected["refined_embedding"])
        represented.append(rows)
    head = network.get_layer("prediction")
    expected = to_numpy(head(np.concatenate(represented, axis=1).astype("float32")))
    np.testing.assert_allclose(outputs["prediction"], expected, rtol=1e-3, atol=1e-4)


def test_vector_fusion_ignores_the_query_as_the_docstring_says():
    network = make_network(fusion="vector")
    inputs = make_inputs()
    before = to_numpy(network(inputs))["text_refined_embedding"]
    layer = network.get_layer("text_refinement")
    for mha in (layer.common_to_private, layer.private_to_common):
        mha.query_dense.kernel.assign(mha.query_dense.kernel * 5.0 + 1.0)
    np.testing.assert_allclose(to_numpy(network(inputs))["text_refined_embedding"], before, rtol=1e-5, atol=1e-6)


def test_refinement_reads_soft_labels_without_passing_a_gradient():
    network = make_network()
    layer = network.get_layer("text_refinement")
    x = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
    soft = keras.Variable(np.full((2, 3), 1 / 3, "float32"))
    value, found = gradients(lambda: ops.sum(layer(x, x, soft, np.array([3, 2]))), [soft.value])
    assert found == [None]
    changed = keras.ops.convert_to_tensor([[0.8, 0.1, 0.1]] * 2)
    assert abs(float(ops.sum(layer(x, x, changed, np.array([3, 2])))) - float(value)) > 1e-4


def test_head_reads_what_each_row_of_table_3_says():
    """The prediction is the head's on the concatenation over modalities, in their order."""
    sources = {
        ("msa",): ["aligned_embedding", "aligned_common"],
        ("msa", "psl_tfb"): ["common_embedding", "private_embedding"],
        ("msa", "psl_tfb", "prm"): ["refined_embedding"],
    }
    inputs = make_inputs(lengths=[5, 4, 3, 2, 1, 1])
    for modules, names in sources.items():
        network = make_network(modules=modules)
        outputs = to_numpy(network(inputs))
        joint = np.concatenate([outputs[f"{m}_{n}"] for m in ("text", "audio") for n in names], axis=1)
        expected = to_numpy(network.get_layer("prediction")(joint))
        np.testing.assert_allclose(outputs["prediction"], expected, rtol=1e-4, atol=1e-5)
    network = make_network(modules=())
    means = [
        np.stack([x[:n].mean(axis=0) for x, n in zip(stem, inputs[f"{m}_length"], strict=True)])
        for m in ("text", "audio")
        for stem in [to_numpy(network.get_layer(f"{m}_encoder")(inputs[m], inputs[f"{m}_length"]))]
    ]
    expected = to_numpy(network.get_layer("prediction")(np.concatenate(means, axis=1)))
    np.testing.assert_allclose(to_numpy(network(inputs))["prediction"], expected, rtol=1e-4, atol=1e-5)


def test_the_common_branch_is_one_or_each_modality_has_its_own():
    own, encoder, shared = (make_network(common_branch=kind) for kind in ("per_modality", "shared_encoder", "shared"))
    assert make_network().get_config()["common_branch"] == "shared"
    for network, count in ((own, 2), (encoder, 1)):
        layers = [network.get_layer(f"{m}_bifurcator") for m in network.modalities]
        assert len({id(layer.encoders["common"]) for layer in layers}) == count
    assert isinstance(shared.get_layer("common_branch").encoder, TransformerEncoder)
    # 16 variables of the one block and 2 of the last norm; 8 of the pool and 2 of the classifier. The one branch has a
    # task embedding of its own.
    count = [len(network.trainable_variables) for network in (own, encoder, shared)]
    assert (count[0] - count[1], count[0] - count[2]) == (18, 27)


def test_one_common_branch_computes_what_equal_branches_do():
    shared, own = make_network(), make_network(common_branch="per_modality")
    common = shared.get_layer("common_branch")
    for m in shared.modalities:
        both, private = own.get_layer(f"{m}_bifurcator"), shared.get_layer(f"{m}_private_branch")
        for layer in (both, private):
            layer.task_embedding.assign(common.task_embedding)
        for kind, branch in (("common", common), ("private", private)):
            both.encoders[kind].set_weights(branch.encoder.get_weights())
            both.pools[kind].set_weights(branch.pool.get_weights())
            both.classifiers[kind].set_weights(branch.classifier.get_weights())
    for name in ("encoder", "prototype_labels", "refinement", "absent"):
        for m in shared.modalities:
            own.get_layer(f"{m}_{name}").set_weights(shared.get_layer(f"{m}_{name}").get_weights())
    for name in ("alignment", "prediction"):
        own.get_layer(name).set_weights(shared.get_layer(name).get_weights())
    inputs = make_inputs()
    expected = to_numpy(own(inputs))
    for name, values in to_numpy(shared(inputs)).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_configurations_of_version_0_1_0_keep_their_common_branch():
    config = make_network().get_config()
    del config["common_branch"]
    for shares, kind in ((False, "per_modality"), (True, "shared_encoder")):
        network = PLUMNet.from_config({**config, "share_common_encoder": shares})
        assert network.common_branch == kind


def test_modality_dropout_acts_in_training_only():
    network = make_network(modality_dropout=0.5)
    inputs = make_inputs(64, lengths=[2] * 64)
    for name in ("text_present", "audio_present"):
        assert np.all(network(inputs)[name])
    training = network(inputs, training=True)
    text, audio = np.array(training["text_present"]), np.array(training["audio_present"])
    assert not text.all() and not audio.all() and (text | audio).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"task": "ranking"}, "`task`.*task='ranking'"),
        ({"common_branch": "both"}, "`common_branch`.*'both'"),
        ({"modules": ("prm",)}, r"`modules`.*modules=\('prm',\)"),
        ({"modules": ("msa", "prm")}, "`modules`.*prm"),
        ({"feature_dims": {}}, "`feature_dims`.*{}"),
        ({"feature_dims": {"text": 0}}, "`feature_dims`.*'text': 0"),
        ({"compression": {"vision": "signed_log1p"}}, "`compression`.*vision"),
        ({"compression": {"text": "sqrt"}}, "`compression`.*sqrt"),
        ({"hidden_dim": 10, "num_heads": 4}, "`hidden_dim`.*hidden_dim=10, num_heads=4"),
        ({"fusion": "sum"}, "`fusion`.*fusion='sum'"),
        ({"num_classes": 1}, "`num_classes`.*num_classes=1"),
        ({"label_temperature": -1.0}, "`temperature`.*-1.0"),
        ({"modality_dropout": 1.5}, "`(rate|modality_dropout)`.*1.5"),
    ],
)
def test_errors_name_the_argument_and_the_value(options, match):
    options = {"feature_dims": {"text": 4, "audio": 3}, "hidden_dim": 8, "num_heads": 2, **options}
    with pytest.raises(ValueError, match=match):
        PLUMNet(**options)


def test_names_of_modalities_cannot_collide():
    """`a` beside `a_length` would give two inputs one name: it fails at once, not silently."""
    with pytest.raises(ValueError):
        PLUMNet({"a": 2, "a_length": 2}, hidden_dim=8, num_heads=2, num_layers=1)


def test_variables_have_paths_of_their_own():
    network = make_network()
    paths = [v.path for v in network.variables if "seed" not in v.path]
    repeated = [path for path, group in itertools.groupby(sorted(paths)) if len(list(group)) > 1]
    assert repeated == []


def test_one_sample_of_any_length_after_another():
    network = make_network()
    every = make_inputs()
    for frames in (5, 3, 4):
        one = {k: v[:1, :frames] if v.ndim == 3 else np.minimum(v[:1], frames) for k, v in every.items()}
        two = {k: np.concatenate([v, v]) for k, v in one.items()}
        assert_close(network.predict(one, verbose=0), network.predict(two, verbose=0), rows=slice(0, 1))


def test_predictions_of_batches_of_any_length_are_traced_once():
    network = make_network()
    split = make_synthetic({"train": 21, "valid": 1, "test": 1}, feature_dims=WIDTHS, seed=0)[0]["train"]
    batches = make_dataset(split, 8)
    assert len({batch["text"].shape for batch, _ in batches}) > 1
    predicted = network.predict(batches, verbose=0)["prediction"]
    assert network.predict_function.experimental_get_tracing_count() == 1
    alone = [network({k: np.array(v) for k, v in batch.items()})["prediction"] for batch, _ in batches]
    np.testing.assert_allclose(predicted, np.concatenate(alone), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [None, (None, None, None)])
def test_tf_data_batches_of_unknown_shape_are_predicted(shape):
    tf = pytest.importorskip("tensorflow")
    network, inputs = make_network(), make_inputs()

    def forget(batch):
        def read(values):
            values = tf.numpy_function(lambda v: v, [values], values.dtype)
            return values if shape is None or len(values.shape or (1, 1, 1)) != 3 else tf.ensure_shape(values, shape)

        return {name: read(values) if name in WIDTHS else values for name, values in batch.items()}

    batches = tf.data.Dataset.from_tensor_slices(inputs).batch(4).map(forget)
    assert batches.element_spec["text"].shape.as_list() == [None] * 3 if shape else True
    assert_close(network.predict(batches, verbose=0), network.predict(inputs, verbose=0))
