"""The text encoder as a layer, and the networks that read token ids by it."""

import warnings
import zipfile

import keras
import numpy as np
import pytest

from plumkeras import AlignmentTrainer, PLUMNet, RefinementTrainer
from plumkeras.features import DataError
from plumkeras.layers import TextEncoder
from plumkeras.models.early_fusion import EarlyFusion
from plumkeras.models.late_fusion import LateFusion
from plumkeras.text_encoders import load_text_encoder
from plumkeras.trainers import PredictionTrainer
from tests.plumkeras.test_registration import IMPORTS, in_process
from tests.testing.text_encoders import LAYERS, WIDTH, write_encoder, write_own_encoder

pytest.importorskip("keras_hub", reason="the extra `text` is not installed")
NETWORKS = [PLUMNet, LateFusion, EarlyFusion]
ROWS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder") / "bert")


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def make_inputs(audio=True):
    random = np.random.default_rng(0)
    inputs = {"text_ids": random.integers(1, 20, (ROWS, 8)), "text_length": np.array([8, 5, 0, 2, 8, 1])}
    if audio:
        inputs |= {"audio": random.normal(size=(ROWS, 4, 3)), "audio_length": np.array([4, 2, 1, 0, 3, 4])}
    return {name: array.astype("float32" if name == "audio" else "int32") for name, array in inputs.items()}


def make_network(cls, folder, audio=True, dtype=None, dropout=0.0, **options):
    encoder = load_text_encoder(folder, dtype, dropout, **options)
    keras.utils.set_random_seed(0)
    widths = {"text": 0, "audio": 3} if audio else {"text": 0}
    more = {"num_layers": 1, "num_heads": 2} if cls is PLUMNet else {}
    return cls(widths, hidden_dim=8, dropout=dropout, text_encoder=encoder, dtype=dtype, **more)


def after_a_step(network, trainer=None, rate=1e-2):
    """By path the weights of the encoder that a step of training changes, and those that it does not."""
    encoder = network.text_encoder
    trainer = trainer or PredictionTrainer(network)
    trainer.compile(keras.optimizers.SGD(rate), run_eagerly=True)
    network.adapt(make_inputs())
    before = {v.path: to_numpy(v).copy() for v in encoder.weights}
    with warnings.catch_warnings():
        # That a variable has no gradient.
        warnings.filterwarnings("error", "Gradients")
        trainer.fit(make_inputs(), np.linspace(-2, 2, ROWS), batch_size=ROWS, verbose=0)
    changed = {v.path for v in encoder.weights if not np.array_equal(before[v.path], to_numpy(v))}
    return changed, set(before) - changed


# === The layer ===


def test_padding_says_nothing(folder):
    """Neither the ids behind a length nor how many there are."""
    encoder = load_text_encoder(folder)
    ids, lengths = np.array([[2, 5, 9, 3], [2, 6, 3, 0]]), np.array([4, 3])
    wanted = to_numpy(encoder(ids, lengths))
    for filler, width in ((0, 4), (7, 4), (11, 9), (0, 24)):
        padded = np.full((2, width), filler)
        padded[0, :4], padded[1, :3] = ids[0], ids[1, :3]
        found = to_numpy(encoder(padded, lengths))
        np.testing.assert_allclose(found[0, :4], wanted[0], atol=1e-6)
        np.testing.assert_allclose(found[1, :3], wanted[1, :3], atol=1e-6)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("cls", NETWORKS)
@pytest.mark.parametrize("audio", [True, False])
def test_a_missing_text_is_the_same_whatever_its_ids(folder, cls, audio):
    network = make_network(cls, folder, audio)
    inputs = make_inputs(audio)
    others = {**inputs, "text_ids": inputs["text_ids"].copy()}
    others["text_ids"][2] = 17
    found, wanted = (to_numpy(network(x)["prediction"]) for x in (others, inputs))
    np.testing.assert_array_equal(found, wanted)
    assert np.isfinite(found).all() and len(np.unique(found)) > 1
    # And an absent one is a missing one.
    if audio:
        with pytest.warns(UserWarning, match="has no 'text_ids'"):
            absent = network({"audio": inputs["audio"], "audio_length": inputs["audio_length"]})
        np.testing.assert_allclose(to_numpy(absent["prediction"])[2], wanted[2], atol=1e-6)


def test_lengths_default_to_all_tokens(folder):
    network, inputs = make_network(LateFusion, folder, audio=False), make_inputs(audio=False)
    every = {**inputs, "text_length": np.full(ROWS, 8, "int32")}
    found, wanted = (to_numpy(network(x)["prediction"]) for x in ({"text_ids": inputs["text_ids"]}, every))
    np.testing.assert_array_equal(found, wanted)


# === What is trained ===


@pytest.mark.parametrize("cls", NETWORKS)
def test_full_trains_every_weight_of_the_vectors(folder, cls):
    network = make_network(cls, folder)
    trainer = RefinementTrainer(network, prototype_policy="ema") if cls is PLUMNet else None
    changed, kept = after_a_step(network, trainer, rate=1.0)
    # A key's bias has no gradient but rounding; segments and the pooled vector are no part of what is read.
    assert {path for path in kept if "key/bias" not in path} == {p for p in kept if "pooled" in p}
    assert any("token_embedding" in path for path in changed) and any("layer_0/" in path for path in changed)


def test_the_first_stage_trains_the_encoder_too(folder):
    network = make_network(PLUMNet, folder)
    changed, _ = after_a_step(network, AlignmentTrainer(network, prototype_policy="ema"), rate=1.0)
    assert any("token_embedding" in path for path in changed)


@pytest.mark.parametrize("kind", ["bert", "DebertaV3Backbone"])
def test_lower_blocks_stay_frozen(tmp_path, kind):
    folder = write_encoder(tmp_path) if kind == "bert" else write_own_encoder(tmp_path, kind)
    network = make_network(LateFusion, folder, frozen_layers=1)
    top = {v.path for v in network.text_encoder.blocks[1].weights}
    assert (
        len(network.text_encoder.blocks) == LAYERS and {v.path for v in network.text_encoder.trainable_weights} <= top
    )
    changed, kept = after_a_step(network)
    assert changed and changed <= top and not kept & {p for p in top if p.endswith("kernel")}


def test_with_tuning_none_nothing_of_it_is_trained(folder):
    network = make_network(LateFusion, folder, dropout=0.5, tuning="none")
    assert network.text_encoder.trainable_weights == []
    changed, kept = after_a_step(network)
    assert not changed and kept
    # Nor is there noise in it.
    inputs = make_inputs()
    first, second = (
        to_numpy(network.text_encoder(inputs["text_ids"], inputs["text_length"], training=training))
        for training in (True, False)
    )
    np.testing.assert_array_equal(first, second)


def test_lora_trains_its_additions_alone(folder):
    """And begins as the encoder itself."""
    network, inputs = make_network(LateFusion, folder, tuning="lora", lora_rank=2), make_inputs()
    encoder, full = network.text_encoder, load_text_encoder(folder)
    ids, lengths = inputs["text_ids"], inputs["text_length"]
    np.testing.assert_allclose(to_numpy(encoder(ids, lengths)), to_numpy(full(ids, lengths)), atol=1e-6)
    trained = [v.path for v in encoder.trainable_weights]
    # Of queries and values, two matrices each.
    assert len(trained) == LAYERS * 4 and all("lora" in path for path in trained)
    assert {v.shape[-1] for v in encoder.trainable_weights if "lora_kernel_a" in v.path} == {2}
    changed, _ = after_a_step(network)
    # The first of two matrices has no gradient as long as the second is zero.
    assert changed and all("lora_kernel_b" in path for path in changed)


def test_factors_of_the_learning_rate(folder):
    encoder = load_text_encoder(folder)
    factors = encoder.rate_factors(0.5)
    by_path = {v.path: factors[id(v)] for v in encoder.trainable_weights}
    assert set(factors) == {id(v) for v in encoder.trainable_weights}
    for path, factor in by_path.items():
        assert factor == (1.0 if "layer_1/" in path else 0.5 if "layer_0/" in path else 0.25), path
    assert set(encoder.rate_factors(1.0).values()) == {1.0}


def test_weights_that_blocks_share_have_one_factor(tmp_path):
    """ALBERT's blocks are one."""
    encoder = load_text_encoder(write_encoder(tmp_path, "albert"))
    factors = encoder.rate_factors(0.5)
    assert len(encoder.blocks) == 1 and set(factors.values()) == {1.0, 0.5}


# === Saving ===


@pytest.mark.parametrize(("cls", "tuning"), [(PLUMNet, "full"), (LateFusion, "lora"), (EarlyFusion, "none")])
def test_a_network_is_read_back_with_its_tokenizer(folder, tmp_path, cls, tuning):
    network, inputs = make_network(cls, folder, tuning=tuning), make_inputs()
    if tuning == "lora":
        after_a_step(network)
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    for name, value in network(inputs).items():
        np.testing.assert_allclose(to_numpy(again(inputs)[name]), to_numpy(value), atol=1e-6, err_msg=name)
    old, new = network.text_encoder, again.text_encoder
    assert new.tokenizer == old.tokenizer == (folder / "tokenizer.json").read_text()
    assert new.activation == old.activation == "gelu" and new.tuning == tuning
    assert [v.path for v in new.trainable_weights] == [v.path for v in old.trainable_weights]
    assert again.get_config() == network.get_config()


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("bert", "keras first"),
        pytest.param("bert", "plumkeras first", marks=pytest.mark.verify),
        pytest.param("DebertaV3Backbone", "keras first", marks=pytest.mark.verify),
    ],
)
def test_keras_alone_reads_it_in_another_process(tmp_path, kind, order):
    """The file needs neither the encoder's folder nor KerasHub imported."""
    folder = tmp_path / "encoder"
    (write_encoder if kind == "bert" else write_own_encoder)(folder)
    network = make_network(LateFusion, folder)
    network.save(tmp_path / "network.keras")
    for path in folder.iterdir():
        path.unlink()
    wanted = to_numpy(network({"text_ids": [[2, 5, 3]], "audio": np.ones((1, 1, 3))})["prediction"])
    code = f"""
{IMPORTS[order]}
import numpy as np
network = keras.models.load_model({str(tmp_path / "network.keras")!r})
found = network({{"text_ids": [[2, 5, 3]], "audio": np.ones((1, 1, 3))}})["prediction"]
print(float(found[0]), len(network.text_encoder.tokenizer))
"""
    found, length = in_process(code).split()
    np.testing.assert_allclose(float(found), wanted[0], atol=1e-5)
    assert int(length) == len(network.text_encoder.tokenizer)


def test_an_encoder_without_a_tokenizer_is_read_back(folder, tmp_path):
    own = load_text_encoder(folder).backbone
    network = LateFusion({"text": 0}, hidden_dim=8, text_encoder=TextEncoder(own))
    network.save(tmp_path / "network.keras")
    assert keras.models.load_model(tmp_path / "network.keras").text_encoder.tokenizer is None


def test_the_tokenizer_is_an_asset_of_the_file(folder, tmp_path):
    make_network(EarlyFusion, folder).save(tmp_path / "network.keras")
    with zipfile.ZipFile(tmp_path / "network.keras") as archive:
        found = [name for name in archive.namelist() if name.endswith("tokenizer.json")]
        assert [archive.read(name).decode() for name in found] == [(folder / "tokenizer.json").read_text()]


# === Errors ===


@pytest.mark.parametrize("cls", NETWORKS)
def test_widths_and_encoder_go_together(folder, cls):
    encoder = load_text_encoder(folder)
    for widths, given in (({"text": 0}, None), ({"text": 4}, encoder), ({"text": 0, "audio": 0}, encoder)):
        with pytest.raises(ValueError, match="must give the modality that `text_encoder` reads the width 0"):
            cls(widths, hidden_dim=8, text_encoder=given)


def test_options_of_vectors_are_not_for_token_ids(folder):
    encoder = load_text_encoder(folder)
    for options in ({"strides": {"text": 2}}, {"compression": {"text": "signed_log1p"}}):
        with pytest.raises(ValueError, match="names 'text', which is token ids"):
            PLUMNet({"text": 0}, hidden_dim=8, num_heads=2, text_encoder=encoder, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tuning": "some"}, "`tuning` must be one of"),
        ({"frozen_layers": 3}, "`frozen_layers` must be 0 to 2"),
        ({"frozen_layers": -1}, "`frozen_layers` must be 0 to 2"),
        ({"tuning": "lora", "lora_rank": 0}, "`lora_rank` must be 1 or more"),
        ({"rank": 3}, "rank"),
    ],
)
def test_options_outside_their_range(folder, options, message):
    with pytest.raises(ValueError, match=message):
        load_text_encoder(folder, **options)


def test_a_backbone_with_other_inputs(folder):
    own = keras.Sequential([keras.Input((4,)), keras.layers.Dense(WIDTH)])
    with pytest.raises(ValueError, match="`backbone` must take token_ids and padding_mask"):
        TextEncoder(own)
    with pytest.raises(ValueError, match="`activation` must be"):
        TextEncoder(load_text_encoder(folder).backbone, activation="relu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_ids": [[2, 99, 3]]}, "text_ids holds 99; the encoder has the tokens 0 to"),
        ({"text_ids": [[2, -1, 3]]}, "text_ids holds -1; the encoder has the tokens 0 to"),
        ({"text_ids": np.ones((1, 25), int)}, "text_ids has 25 tokens; the encoder takes at most 24"),
        ({"text_ids": [[2.5, 3, 3]]}, "text_ids holds 2.5"),
        ({"text_ids": [2, 5, 3]}, "text_ids has shape"),
        ({"text_ids": np.ones((1, 3, 8))}, "text_ids has shape"),
        ({"text_ids": [["a", "b"]]}, "text_ids is of type"),
        ({"text_length": [4]}, "text_length holds 4 for sample 0"),
        ({"text": [[[1.0]]], "text_ids": None}, "text_ids"),
    ],
)
def test_ids_that_cannot_be_read(folder, change, message):
    network = make_network(LateFusion, folder, audio=False)
    inputs = {"text_ids": np.array([[2, 5, 3]]), "text_length": np.array([3])} | change
    with pytest.raises(DataError, match=message):
        network.predict({name: np.asarray(array) for name, array in inputs.items()}, verbose=0)


# === 16 bits ===


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("cls", [PLUMNet, EarlyFusion])
@pytest.mark.verify
def test_16_bits(folder, cls, policy):
    """Near float32, and training stays finite."""
    network, reference = (make_network(cls, folder, dtype=dtype) for dtype in (policy, "float32"))
    inputs = make_inputs()
    assert network.text_encoder.backbone.compute_dtype == policy.removeprefix("mixed_")
    assert all(v.dtype == "float32" for v in network.text_encoder.weights)
    found, wanted = (to_numpy(n(inputs)["prediction"]) for n in (network, reference))
    np.testing.assert_allclose(found, wanted, atol=0.1)
    assert not np.array_equal(found, wanted)
    trainer = PredictionTrainer(network) if cls is EarlyFusion else RefinementTrainer(network, prototype_policy="ema")
    network.adapt(inputs)
    trainer.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    history = trainer.fit(inputs, np.linspace(-2, 2, ROWS), batch_size=3, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(to_numpy(v)).all() for v in network.weights)
