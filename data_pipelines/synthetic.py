"""Synthetic multimodal data whose common and private signals are known.

Fixed before any network was trained on it: the truth can say what labels and branches really find.
"""

import math
import statistics
import zlib

import numpy as np

from plumkeras.data_pipelines.schema.dataset import SPLITS, Dataset, Split
from plumkeras.tasks import get_task

NUM_SAMPLES = {"train": 768, "valid": 192, "test": 384}
FEATURE_DIMS = {"text": 24, "audio": 12, "vision": 16}
MAX_LENGTHS = {"text": 20, "audio": 30, "vision": 24}
# Negative, exactly zero, positive: near the 43 / 4 / 53 percent of MOSI's training split.
SIGN_SHARES = (0.43, 0.05, 0.52)

_LABEL_SCALE = 1.5  # Standard deviation of MOSI's labels.
_STEPS_PER_UNIT = 5  # MOSI's labels are multiples of 0.2, a mean of five raters.
_NUISANCES = 3
_HIDDEN = 32


def make_synthetic(
    num_samples: dict[str, int] | None = None,
    *,
    task: str = "regression",
    num_classes: int = 3,
    feature_dims: dict[str, int] | None = None,
    max_lengths: dict[str, int] | int | None = None,
    relative_strength: float = 0.5,
    noise: float = 1.0,
    label_noise: float = 0.0,
    label_weights=None,
    class_balance=None,
    missing_rate: float = 0.0,
    allow_all_missing: bool = False,
    seed: int = 0,
    map_seed: int = 0,
) -> tuple:
    """Draw a data set from one common and one private latent per modality.

    Per sample, with `r_m` the relative strength and `w_m` the label weight of modality `m`:

    - common latent `c ~ N(0, 1)`, private latents `p_m ~ N(0, r_m^2)`;
    - the modality's signal `s_m = c + p_m` is all that its features show of them;
    - label latent `z = c + sum_m w_m p_m`, over ALL modalities, also those missing in the sample.

    Both `s_m` and `z` are divided by their theoretical standard deviation, `sqrt(1 + r_m^2)` and
    `sqrt(1 + sum_m (w_m r_m)^2)`, and go through the same function to a label. So a private class,
    which is what modality `m` alone says, and the label's class compare directly, have the same
    shares, and are the same at strength 0. Label noise changes `z` to
    `(z + label_noise * e) / sqrt(1 + label_noise^2)`, `e ~ N(0, 1)`, and never the private classes.

    Labels from a standardised latent `u`:

    - classification: class `k` lies between the standard normal quantiles of the cumulative shares
      `class_balance` (equal shares by default; thirds have the edges -0.431 and 0.431);
    - regression: 0 between the quantiles `low` and `high` of the shares (-0.176 and -0.050 by
      default); above, `1.5 (u - high) + 0.1` rounded to a multiple of 0.2 and clipped to
      [0.2, 3]; below, `1.5 (u - low) - 0.1` likewise to [-3, -0.2]. Classes are those that trainers
      make of such labels: with `num_classes=3` negative, exactly zero, positive (`sign3`), with 7
      the rounded label plus 3 (`round7`).

    Features: `g_m(s_m, three nuisance latents of the sample)` in every frame, plus white noise per
    frame. `g_m` is a random one-hidden-layer tanh map, each feature scaled to mean 0 and variance 1
    for standard normal inputs, so that `noise` is the noise-to-signal ratio of one frame. Lengths
    are uniform between a third of the maximum (rounded up) and the maximum.

    Args:
        num_samples: dict from split name to size. Defaults to train 768, valid 192, test 384.
        task: `"regression"`, `"classification"` or `"multilabel"`. Of several labels, label `k` is on in the intervals
            `k` and `k + 1` of `num_classes + 1`, so that a sample has one or two.
        num_classes: int, of several labels their number. Regression: 3 or 7. Defaults to `3`.
        feature_dims: dict from modality to width. Its keys are the modalities of the data set.
            Defaults to text 24, audio 12, vision 16.
        max_lengths: int, or dict by modality. Frames. Defaults to text 20, audio 30, vision 24.
        relative_strength: float, or dict by modality. Standard deviation of the private latent; the
            common one has 1. Defaults to `0.5`.
        noise: float, or dict by modality. Standard deviation of the frame noise. Defaults to `1.0`.
        label_noise: float. Standard deviation of the label noise, in standard deviations of `z`.
        label_weights: dict from modality to weight, 0 for those left out; private signal reaches
            the label from the named modalities only. `w_m r_m = 1` makes it as strong in the label
            as the common one. Defaults to one over the number of modalities: `z` is `c` plus the
            mean of the private latents.
        class_balance: the shares of the classes in the population, adding up to 1, `num_classes`
            values (of several labels one more, of the intervals); for regression three, of negative, zero
            and positive labels, by default `(0.43, 0.05, 0.52)`. A sample's shares scatter around them.
        missing_rate: float, or dict by modality. Probability that a modality is missing (length 0,
            features all zero), independent of everything else.
        allow_all_missing: bool. If False, a sample that lost every modality gets one of those with
            a rate below 1 back, which lowers their rates by that probability over their number.
        seed: int. Draws the samples. Latents, lengths, noise and so on have streams of their own
            per split and modality: changing one option leaves the others' draws as they were.
        map_seed: int. Draws the maps `g_m`, each from its modality's name: another `seed` is more
            data of the same world, another `map_seed` is another world.

    Returns:
        `(dataset, truth)`: a `Dataset` (`modality_labels` None: the truth does not leak into it),
        and a dict from split name to a dict with `common [N]`, `private {m: [N]}`,
        `signal {m: [N]}`, `private_class {m: int32 [N]}`, `label_class` int32 `[N]` (of the label
        as given, label noise included), `label_latent [N]` (standardised, before label noise) and
        `label_noise [N]` (`e`). Floats are float64, without unit; every modality has its truth,
        missing or not.

    Raises:
        ValueError: naming the argument and its value.

    Example:

    >>> dataset, truth = make_synthetic({"train": 8}, seed=1)
    >>> dataset["train"].features["audio"].shape, truth["train"]["common"].shape
    ((8, 30, 12), (8,))
    """
    num_samples = NUM_SAMPLES if num_samples is None else num_samples
    feature_dims = FEATURE_DIMS if feature_dims is None else feature_dims
    _check_sizes("num_samples", num_samples, SPLITS)
    _check_sizes("feature_dims", feature_dims)
    modalities = tuple(feature_dims)
    if max_lengths is None:
        max_lengths = {m: MAX_LENGTHS.get(m, max(MAX_LENGTHS.values())) for m in modalities}
    max_lengths = _by_modality("max_lengths", max_lengths, modalities)
    _check_sizes("max_lengths", max_lengths)
    strengths = _by_modality("relative_strength", relative_strength, modalities, 0.0)
    noise = _by_modality("noise", noise, modalities, 0.0)
    rates = _by_modality("missing_rate", missing_rate, modalities, 0.0, 1.0)
    _check_number("label_noise", label_noise, 0.0)
    for name, value in (("seed", seed), ("map_seed", map_seed)):
        if not _is_whole(value) or value < 0:
            raise ValueError(f"`{name}` must be a whole number from 0. Received: {name}={value!r}")
    weights = _label_weights(label_weights, modalities)
    to_label = _label_function(task, num_classes, class_balance)
    kept = [m for m in modalities if rates[m] < 1]
    if not allow_all_missing and (not kept or (len(kept) == 1 and rates[kept[0]] > 0)):
        raise ValueError(
            "`missing_rate` leaves samples without any modality, and no choice which to give back. "
            f"Pass `allow_all_missing=True` for that. Received: missing_rate={missing_rate!r}"
        )

    maps = {m: _feature_map(m, dim, map_seed) for m, dim in feature_dims.items()}
    label_spread = math.sqrt(1 + sum((weights[m] * strengths[m]) ** 2 for m in modalities))
    splits, truth = {}, {}
    for name, count in num_samples.items():

        def stream(purpose, name=name):
            return np.random.default_rng([seed, zlib.crc32(f"{name}/{purpose}".encode())])

        common = stream("common").normal(size=count)
        private = {m: strengths[m] * stream(f"private/{m}").normal(size=count) for m in modalities}
        signal = {m: common + private[m] for m in modalities}
        latent = (common + sum(weights[m] * private[m] for m in modalities)) / label_spread
        error = stream("label_noise").normal(size=count)
        noisy = (latent + label_noise * error) / math.sqrt(1 + label_noise**2)
        labels, label_class = to_label(noisy)
        truth[name] = {
            "common": common,
            "private": private,
            "signal": signal,
            "private_class": {m: to_label(signal[m] / math.sqrt(1 + strengths[m] ** 2))[1] for m in modalities},
            "label_class": label_class,
            "label_latent": latent,
            "label_noise": error,
        }
        missing = {m: stream(f"missing/{m}").random(count) < rates[m] for m in modalities}
        if not allow_all_missing:
            _give_one_back(missing, kept, stream("give_back"))
        features, lengths = {}, {}
        for m in modalities:
            features[m], lengths[m] = _sequences(maps[m], signal[m], missing[m], max_lengths[m], noise[m], m, stream)
        splits[name] = Split([f"{name}_{i:05d}" for i in range(count)], features, lengths, labels)
    return Dataset(splits, format="synthetic", task=task), truth


def _feature_map(modality, dim, map_seed):
    """Return the function `g_m` from latents `[N, 1 + nuisances]`, signal first, to `[N, dim]`."""
    rng = np.random.default_rng([map_seed, zlib.crc32(modality.encode())])
    inner = 0.5 * rng.normal(size=(1 + _NUISANCES, _HIDDEN))
    bias = 0.5 * rng.normal(size=_HIDDEN)
    outer = rng.normal(size=(_HIDDEN, dim))
    # Scaled on a sample of its own: a data set's statistics must not change the map.
    reference = np.tanh(rng.normal(size=(4096, 1 + _NUISANCES)) @ inner + bias) @ outer
    centre, spread = reference.mean(axis=0), reference.std(axis=0)
    return lambda latents: (np.tanh(latents @ inner + bias) @ outer - centre) / spread


def _sequences(feature_map, signal, missing, max_length, noise, modality, stream):
    """Return float32 features `[N, max_length, F]`, zeros past the lengths, and int32 lengths."""
    count = len(signal)
    nuisances = stream(f"nuisance/{modality}").normal(size=(count, _NUISANCES))
    clean = feature_map(np.column_stack([signal, nuisances]))
    shortest = -(-max_length // 3)
    lengths = stream(f"length/{modality}").integers(shortest, max_length + 1, size=count)
    lengths = np.where(missing, 0, lengths).astype("int32")
    errors = stream(f"noise/{modality}").normal(size=(count, max_length, clean.shape[1]))
    valid = np.arange(max_length) < lengths[:, None]
    features = np.where(valid[:, :, None], clean[:, None, :] + noise * errors, 0.0)
    return features.astype("float32"), lengths


def _give_one_back(missing, kept, rng):
    lost = np.flatnonzero(np.all(list(missing.values()), axis=0))
    for row, choice in zip(lost, rng.integers(len(kept), size=len(lost)), strict=True):
        missing[kept[choice]][row] = False


def _label_function(task, num_classes, class_balance):
    """Return the function from a standardised latent `[N]` to labels and their classes `[N]`."""
    get_task(task)
    allowed = (3, 7) if task == "regression" else range(2, 1001)
    if not _is_whole(num_classes) or num_classes not in allowed:
        wanted = "3 or 7 for regression" if task == "regression" else "from 2 to 1000"
        raise ValueError(f"`num_classes` must be {wanted}. Received: num_classes={num_classes!r}")
    size = {"regression": 3, "multilabel": num_classes + 1}.get(task, num_classes)
    if class_balance is None:
        class_balance = SIGN_SHARES if task == "regression" else [1 / size] * size
    shares = np.asarray(class_balance, dtype="float64")
    if shares.shape != (size,) or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(
            f"`class_balance` must be {size} positive shares adding up to 1. Received: class_balance={class_balance!r}"
        )
    edges = [statistics.NormalDist().inv_cdf(float(q)) for q in np.cumsum(shares)[:-1]]

    def to_label(latent):
        intervals = np.searchsorted(edges, latent).astype("int32")
        if task == "classification":
            return intervals, intervals.copy()
        if task == "multilabel":
            numbers = np.arange(num_classes)
            labels = (intervals[:, None] == numbers) | (intervals[:, None] == numbers + 1)
            return labels.astype("int32"), intervals
        low, high = edges
        # In steps and not in units, for a label that should be zero has to be exactly zero.
        above = np.rint(_STEPS_PER_UNIT * _LABEL_SCALE * (latent - high) + 0.5)
        below = np.rint(_STEPS_PER_UNIT * _LABEL_SCALE * (latent - low) - 0.5)
        end = 3 * _STEPS_PER_UNIT
        steps = np.where(latent > high, np.clip(above, 1, end), 0)
        steps = np.where(latent <= low, np.clip(below, -end, -1), steps)
        labels = (steps / _STEPS_PER_UNIT).astype("float32")
        classes = np.sign(steps) + 1 if num_classes == 3 else np.rint(labels) + 3
        return labels, classes.astype("int32")

    return to_label


def _label_weights(label_weights, modalities):
    if label_weights is None:
        return dict.fromkeys(modalities, 1 / len(modalities))
    if not isinstance(label_weights, dict) or not set(label_weights) <= set(modalities):
        raise ValueError(
            f"`label_weights` must be a dict by modality, of {', '.join(modalities)}. "
            f"Received: label_weights={label_weights!r}"
        )
    for value in label_weights.values():
        _check_number("label_weights", value)
    return {m: float(label_weights.get(m, 0.0)) for m in modalities}


def _by_modality(name, value, modalities, low=-math.inf, high=math.inf):
    """Return `value` as a dict that names every modality, each number within the bounds."""
    if not isinstance(value, dict):
        value = dict.fromkeys(modalities, value)
    if set(value) != set(modalities):
        raise ValueError(
            f"`{name}` must be a number or a dict with exactly the modalities of `feature_dims`, "
            f"{', '.join(modalities)}. Received: {name}={value!r}"
        )
    for number in value.values():
        _check_number(name, number, low, high)
    return {m: value[m] for m in modalities}


def _check_number(name, value, low=-math.inf, high=math.inf):
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        bounds = "" if low == -math.inf else f" from {low:g} to {high:g}"
        raise ValueError(f"`{name}` must be a finite number{bounds}. Received: {value!r}")


def _check_sizes(name, sizes, allowed=None):
    if not isinstance(sizes, dict) or not sizes or (allowed and not set(sizes) <= set(allowed)):
        names = f" with keys of {', '.join(allowed)}" if allowed else ""
        raise ValueError(f"`{name}` must be a non-empty dict{names}. Received: {name}={sizes!r}")
    for key, size in sizes.items():
        if not _is_whole(size) or size < 1:
            raise ValueError(f"`{name}` must hold whole numbers from 1. Received: {size!r} for {key!r}")


def _is_whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
