"""Statistics: of valid frames only, the same streamed or whole, guarded, saved."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumkeras.features import FrameMoments
from plumkeras.layers.feature_standardization import FeatureStandardization
from tests.testing.networks import assert_close, make_inputs, make_network, to_numpy


def batches_of(inputs, sizes):
    start = 0
    for size in sizes:
        yield {name: value[start : start + size] for name, value in inputs.items()}, np.zeros(size)
        start += size


def statistics(network, modality="text"):
    layer = network.get_layer(f"{modality}_encoder").standardization
    return np.array(layer.mean), np.array(layer.divisor)


def valid(inputs, modality="text"):
    frames = zip(inputs[modality], inputs[f"{modality}_length"], strict=True)
    return np.concatenate([x[:length] for x, length in frames]).astype("float64")


def test_moments_are_those_of_the_valid_frames():
    inputs = make_inputs(20)
    frames = valid(inputs)
    for m in ("text", "audio"):
        padding = np.arange(5)[None] >= inputs[f"{m}_length"][:, None]
        inputs[m][padding] = np.nan
    network = make_network(scramble=False)
    network.adapt(inputs)
    mean, divisor = statistics(network)
    np.testing.assert_allclose(mean, frames.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(divisor, frames.std(axis=0), rtol=1e-5)
    layer = network.get_layer("text_encoder").standardization
    result = to_numpy(layer(inputs["text"], inputs["text_length"]))
    standardized = np.concatenate([x[:n] for x, n in zip(result, inputs["text_length"], strict=True)])
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standardized.std(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(standardized, (frames - frames.mean(0)) / frames.std(0), rtol=1e-3, atol=1e-5)
    assert np.all(result[np.arange(5)[None] >= inputs["text_length"][:, None]] == 0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(0, 2**31))
def test_streamed_moments_equal_the_whole(sizes, seed):
    frames = 1e4 + np.random.default_rng(seed).normal(size=(sum(sizes), 3))
    moments, start = FrameMoments(3), 0
    for size in sizes:
        moments.update(frames[start : start + size])
        start += size
    assert moments.count == len(frames)
    if len(frames):
        np.testing.assert_allclose(moments.mean, frames.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.variance, frames.var(axis=0), rtol=1e-6, atol=1e-12)


def test_adapt_takes_batches_of_any_size_and_one_dict():
    inputs = make_inputs(20)
    whole = make_network(scramble=False)
    whole.adapt(inputs)
    for sizes in ((1, 7, 12), (20,), (5, 5, 5, 5)):
        streamed = make_network(scramble=False)
        streamed.adapt(batches_of(inputs, sizes))
        for m in ("text", "audio"):
            np.testing.assert_allclose(statistics(streamed, m), statistics(whole, m), rtol=1e-5)
    bare = make_network(scramble=False)
    bare.adapt([batch for batch, _ in batches_of(inputs, (8, 12))])
    np.testing.assert_allclose(statistics(bare), statistics(whole), rtol=1e-5)


def test_features_of_a_small_scale_are_divided_too():
    rng = np.random.default_rng(0)
    frames = (rng.normal(size=(500, 2)) * [5e-4, 1e-3] + [0.0, 5.0]).astype("float32")
    layer = FeatureStandardization()
    layer.build((None, None, 2), (None,))
    moments = FrameMoments(2)
    moments.update(frames)
    layer.set_moments(moments)
    # The second one varies by less than a thousandth of its mean, as float16 rounding would make it.
    np.testing.assert_allclose(np.asarray(layer.divisor), [frames[:, 0].std(), 1.0], rtol=1e-3)


def test_a_constant_feature_is_centred_and_not_divided():
    inputs = make_inputs(20)
    inputs["text"][:, :, 1] = 7.25
    inputs["text"][:, :, 2] = 0.0
    inputs["text"][:, :, 3] *= 1e-2
    network = make_network(scramble=False)
    network.adapt(inputs)
    mean, divisor = statistics(network)
    np.testing.assert_allclose(mean[1:3], [7.25, 0.0], rtol=1e-6)
    assert divisor[1] == divisor[2] == 1.0
    assert divisor[3] == pytest.approx(valid(inputs)[:, 3].std(), rel=1e-5)  # Small is not constant.
    assert all(np.isfinite(v).all() for v in to_numpy(network(inputs)).values())


def test_signed_log1p_comes_before_the_statistics():
    inputs = make_inputs(20)
    inputs["text"] = (np.sign(inputs["text"]) * np.exp(np.minimum(3 * np.abs(inputs["text"]), 13))).astype("float32")
    frames = valid(inputs)
    compressed = np.sign(frames) * np.log1p(np.abs(frames))
    network = make_network(scramble=False, compression={"text": "signed_log1p"})
    network.adapt(inputs)
    mean, divisor = statistics(network)
    np.testing.assert_allclose(mean, compressed.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(divisor, compressed.std(axis=0), rtol=1e-4)
    result = to_numpy(network.get_layer("text_encoder").standardization(inputs["text"], inputs["text_length"]))
    result = np.concatenate([x[:n] for x, n in zip(result, inputs["text_length"], strict=True)])
    np.testing.assert_allclose(result, (compressed - mean) / divisor, rtol=1e-3, atol=1e-4)


def test_adapting_again_after_predict_has_an_effect(tmp_path):
    inputs = make_inputs(8)
    network = make_network()
    network.adapt(inputs)
    first = network.predict(inputs, verbose=0)
    network.adapt({**inputs, "text": 3.0 * inputs["text"] + 1.0})
    second = network.predict(inputs, verbose=0)
    assert np.abs(first["prediction"] - second["prediction"]).max() > 1e-3
    network.adapt(inputs)
    assert_close(network.predict(inputs, verbose=0), first, 1e-6)
    # The statistics travel with the file, so that a served model takes raw features.
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(statistics(loaded), statistics(network))


def test_features_beyond_the_range_of_float16_survive_mixed_precision():
    inputs = make_inputs(8)
    inputs["text"] *= 1e6
    network = make_network(dtype="mixed_float16")
    network.adapt(inputs)
    assert all(np.isfinite(v).all() for v in to_numpy(network(inputs)).values())


def test_a_modality_without_a_frame_is_an_error_that_names_it():
    inputs = make_inputs(4)
    inputs["audio_length"][:] = 0
    with pytest.raises(ValueError, match=r"audio.*no valid frame|no valid frame.*audio"):
        make_network(scramble=False).adapt(inputs)
    layer = FeatureStandardization(name="audio_statistics")
    layer.build((None, None, 3), (None,))
    with pytest.raises(ValueError, match="audio_statistics"):
        layer.set_moments(FrameMoments(3))
