"""Lengths and masks: for any lengths, whatever stands in the padding."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumkeras.layers import masking, missing_modality
from plumkeras.layers.modality_encoder import ModalityEncoder, StridedLength, sinusoidal_positions
from plumkeras.layers.multilevel_semantic_alignment import MultilevelSemanticAlignment
from tests.testing import oracles
from tests.testing.networks import make_inputs, to_numpy

SETTINGS = settings(max_examples=30, deadline=None)
# A length may exceed T: a caller may have cut the frames.
BATCHES = st.integers(1, 6).flatmap(
    lambda t: st.tuples(st.just(t), st.lists(st.integers(0, t + 2), min_size=1, max_size=5), st.integers(0, 2**31))
)


@SETTINGS
@given(BATCHES)
def test_masks_follow_the_lengths(batch):
    frames, lengths, seed = batch
    x = np.random.default_rng(seed).normal(size=(len(lengths), frames, 2)).astype("float32")
    valid = np.array([[t < length for t in range(frames)] for length in lengths])
    np.testing.assert_array_equal(masking.valid_frames(x, np.array(lengths)), valid)
    attended = np.array([[t < max(length, 1) for t in range(frames)] for length in lengths])
    np.testing.assert_array_equal(masking.attended_frames(x, np.array(lengths)), attended)
    assert attended.any(axis=1).all()
    np.testing.assert_array_equal(missing_modality.Presence()(np.array(lengths)), np.array(lengths) > 0)


@SETTINGS
@given(BATCHES, st.sampled_from([np.nan, np.inf, -np.inf, 3e38]))
def test_padding_is_zeroed_whatever_it_holds(batch, garbage):
    frames, lengths, seed = batch
    x = np.random.default_rng(seed).normal(size=(len(lengths), frames, 2)).astype("float32")
    clean = x.copy()
    for row, length in enumerate(lengths):
        x[row, length:], clean[row, length:] = garbage, 0
    np.testing.assert_array_equal(masking.zero_padding(x, np.array(lengths)), clean)


@SETTINGS
@given(BATCHES)
def test_masked_mean_is_the_mean_of_the_valid_frames(batch):
    frames, lengths, seed = batch
    x = np.random.default_rng(seed).normal(size=(len(lengths), frames, 2)).astype("float32")
    expected = [x[row, : max(length, 1)].astype("float64").mean(axis=0) for row, length in enumerate(lengths)]
    np.testing.assert_allclose(masking.SequenceMean()(x, np.array(lengths)), expected, rtol=1e-5, atol=1e-6)
    nothing = masking.masked_mean(x, np.zeros((len(lengths), frames), bool))
    np.testing.assert_array_equal(nothing, 0)


@SETTINGS
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=8),
    st.floats(0.01, 0.99),
    st.integers(0, 2**31 - 1),
)
def test_modality_dropout_never_hides_every_modality(lengths, rate, seed):
    lengths = np.array(lengths)
    given_lengths = {m: lengths[:, i] for i, m in enumerate("abc")}
    layer = missing_modality.ModalityDropout(rate, seed=seed)
    hidden = np.stack([np.array(v) for v in layer(given_lengths, training=True).values()], axis=1)
    assert np.all((hidden == 0) | (hidden == lengths))
    np.testing.assert_array_equal((hidden > 0).any(axis=1), (lengths > 0).any(axis=1))
    unchanged = layer(given_lengths, training=False)
    for m, value in given_lengths.items():
        np.testing.assert_array_equal(unchanged[m], value)


def test_modality_dropout_hides_about_its_rate():
    layer = missing_modality.ModalityDropout(0.3, seed=0)
    ones = dict.fromkeys("abcd", np.ones(4000, "int32"))
    hidden = {m: np.mean(np.array(v) == 0) for m, v in layer(ones, training=True).items()}
    # All four at once would be hidden with probability 0.3 ** 4; the rule spares one of them.
    for share in hidden.values():
        assert abs(share - (0.3 - 0.3**4 / 4)) < 0.03
    again = layer(ones, training=True)
    assert any(np.mean(np.array(again[m]) == 0) != hidden[m] for m in hidden)


def test_absent_rows_are_replaced_and_zeroed():
    x, present = np.ones((3, 2), "float32"), np.array([True, False, True])
    x[1] = np.nan
    layer = missing_modality.AbsentVector()
    layer.build(x.shape, present.shape)
    layer.absent.assign([5.0, 6.0])
    np.testing.assert_array_equal(layer(x, present), [[1, 1], [5, 6], [1, 1]])
    np.testing.assert_array_equal(missing_modality.ZeroWhenMissing()(x, present), [[1, 1], [0, 0], [1, 1]])


def test_positions_are_sinusoids():
    positions = np.array(sinusoidal_positions(7, 6), "float64")
    t = np.arange(7)[:, None]
    angle = t / 10000 ** (2 * np.arange(3) / 6)
    np.testing.assert_allclose(positions, np.concatenate([np.sin(angle), np.cos(angle)], axis=1), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3, 7])
def test_the_stem_equals_its_formula(stride):
    keras.utils.set_random_seed(1)
    inputs = make_inputs()
    layer = ModalityEncoder(8, dropout=0.5, stride=stride)
    layer.build(inputs["text"].shape, (None,))
    random = np.random.default_rng(2)
    for variable in layer.trainable_variables:
        variable.assign(variable + random.normal(0, 0.2, variable.shape))
    layer.standardization.mean.assign([1, 2, 3, 4])
    layer.standardization.divisor.assign([4, 3, 2, 1])
    result = to_numpy(layer(inputs["text"], inputs["text_length"]))
    positions = np.array(sinusoidal_positions(5, 8), "float64")
    for row, length in enumerate(inputs["text_length"]):
        x = (inputs["text"][row, :length].astype("float64") - [1, 2, 3, 4]) / [4, 3, 2, 1]
        # Several frames are projected as one; those that the last one lacks are zero.
        frames = -(-length // stride)
        assert frames == StridedLength(stride)(inputs["text_length"])[row]
        x = np.concatenate([x, np.zeros((frames * stride - length, 4))]).reshape(frames, stride * 4)
        expected = oracles.layer_norm(layer.normalization, oracles.dense(layer.projection, x)) + positions[:frames]
        assert result.shape == (len(inputs["text"]), -(-5 // stride), 8)
        np.testing.assert_allclose(result[row, :frames], expected, rtol=1e-4, atol=1e-5)


def test_alignment_projects_by_own_weights_and_then_by_shared_ones():
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(2)
    lengths = {m: np.array([5, 2, 1]) for m in ("text", "audio")}
    sequences = {m: random.normal(size=(3, 5, 8)).astype("float32") for m in lengths}
    layer = MultilevelSemanticAlignment(8)
    result = to_numpy(layer(sequences, lengths))
    assert len(layer.trainable_variables) == 6  # Two of each modality's own and ONE shared pair.
    for variable in layer.trainable_variables:
        variable.assign(variable + random.normal(0, 0.2, variable.shape))
    result = to_numpy(layer(sequences, lengths))
    for m, sequence in sequences.items():
        own = oracles.dense(layer.projections[m], sequence.astype("float64"))
        common = oracles.dense(layer.shared_projection, own)
        for row, length in enumerate(lengths[m]):
            np.testing.assert_allclose(
                result[m]["common_sequence"][row, :length], common[row, :length], rtol=1e-4, atol=1e-5
            )
            for name, of in (("aligned_embedding", own), ("aligned_common", common)):
                np.testing.assert_allclose(result[m][name][row], of[row, :length].mean(axis=0), rtol=1e-4, atol=1e-5)
