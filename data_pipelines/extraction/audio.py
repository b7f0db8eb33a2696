"""Log-mel features of many sound files, in parallel: tensorflow-io computes them, tf.data runs it."""

import dataclasses
import os

import numpy as np

from plumkeras.arguments import known_arguments_only
from plumkeras.data_pipelines.extraction import decoding
from plumkeras.data_pipelines.extraction.extras import require
from plumkeras.data_pipelines.schema.validation import DataError


@known_arguments_only()
@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioOptions:
    """What a log-mel frame is. The defaults give 40 frames a second, so that 500 frames hold 12.5 seconds."""

    sample_rate: int = 16_000
    """Samples per second; sound of another rate is resampled."""
    window: float = 0.05
    """Seconds under a frame's window (Hann)."""
    hop: float = 0.025
    """Seconds from one frame to the next."""
    mel_bins: int = 64
    """Bands, equally wide on the mel scale from 0 Hz to half the sampling rate: the width of the features."""
    top_db: float = 80.0
    """Decibels below a clip's loudest value at which its values are cut."""
    max_frames: int = 500
    """Frames kept of a clip, the first ones; what lies behind is dropped, and reported."""

    def __post_init__(self):
        if not 1_000 <= self.sample_rate <= 200_000:
            raise DataError(f"sample_rate must be within 1000 and 200000. Received: {self.sample_rate}")
        if not 0 < self.hop <= self.window <= 10 or self.hop * self.sample_rate < 1:
            raise DataError(
                f"hop and window must be 0 < hop <= window <= 10 seconds, and a hop at least one sample. Received: "
                f"hop={self.hop}, window={self.window}"
            )
        if not 1 <= self.mel_bins <= 512:
            raise DataError(f"mel_bins must be within 1 and 512. Received: {self.mel_bins}")
        if not self.top_db > 0:
            raise DataError(f"top_db must be positive. Received: {self.top_db}")
        if not 1 <= self.max_frames <= 100_000:
            raise DataError(f"max_frames must be within 1 and 100000. Received: {self.max_frames}")

    @property
    def samples(self):
        """Samples in a window, in a hop, and in the Fourier transform (the next power of two)."""
        window, hop = round(self.window * self.sample_rate), round(self.hop * self.sample_rate)
        return window, hop, 1 << max(window - 1, 1).bit_length()

    @property
    def seconds(self):
        """How much of a clip its frames can hold."""
        window, hop, _ = self.samples
        return ((self.max_frames - 1) * hop + window) / self.sample_rate


def log_mel(samples, options):
    """Log-mel features of one clip, in pure TensorFlow, so in a graph too.

    Args:
        samples: float32 tensor `[n]` of `options.sample_rate`.
        options: AudioOptions.

    Returns:
        Float32 tensor `[frames, mel_bins]`, in decibels.
    """
    tfio = require("tensorflow_io", "io", "sound")
    window, hop, transform = options.samples
    frames = tfio.audio.spectrogram(samples, nfft=transform, window=window, stride=hop)[: options.max_frames]
    bands = tfio.audio.melscale(
        frames, rate=options.sample_rate, mels=options.mel_bins, fmin=0.0, fmax=options.sample_rate / 2
    )
    return tfio.audio.dbscale(bands, top_db=options.top_db)


def extract_audio(paths, options, progress, max_bytes=None):
    """Log-mel features of files, several at a time, in the order of the paths.

    Args:
        paths: list of str.
        options: AudioOptions.
        progress: callable with how many are done, and of how many.
        max_bytes: int or None. What a file may be decoded to; see `budget`.

    Returns:
        A list with float32 `[frames, mel_bins]` per path, a text saying what is wrong with the file in its place; and
        the number of clips that are longer than their features.
    """
    import tensorflow as tf

    # Asked before the threads start: a missing extra is an error of its own, not one per clip.
    for module in ("tensorflow_io", "soundfile", "scipy.signal"):
        require(module, "io", "sound")

    def read(path):
        try:
            samples, cut = decoding.decode(os.fsdecode(path), options.sample_rate, options.seconds, max_bytes)
            return samples, cut, b""
        except DataError as error:
            return np.zeros(0, "float32"), False, str(error).encode("utf-8", "replace")

    def features(path):
        samples, cut, wrong = tf.numpy_function(read, [path], [tf.float32, tf.bool, tf.string], stateful=False)
        samples.set_shape([None])
        # No sample gives no frame, and a cut below the maximum of nothing.
        bands = tf.cond(
            tf.size(samples) > 0, lambda: log_mel(samples, options), lambda: tf.zeros([0, options.mel_bins])
        )
        return bands, cut, wrong

    # As bytes, so that a name that is no UTF-8 arrives as it is.
    names = tf.data.Dataset.from_tensor_slices([os.fsencode(path) for path in paths])
    stream = names.map(features, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
    found, longer = [], 0
    for bands, cut, wrong in stream.as_numpy_iterator():
        found.append(wrong.decode("utf-8", "replace") if wrong else bands)
        longer += bool(cut)
        progress(len(found), len(paths))
    return found, longer
