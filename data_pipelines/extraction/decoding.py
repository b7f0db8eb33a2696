"""A sound file as samples: one channel, one rate.

WAV of 16 bits is decoded by TensorFlow. FLAC, MP3 and OGG are decoded, and every rate is changed, by tensorflow-io
where its native library loads (up to TensorFlow 2.17), elsewhere by soundfile and scipy. What a file is, is told from
its first bytes.
"""

import functools
import math
import os
import threading

import numpy as np

from plumkeras.data_pipelines.containers.budget import Budget
from plumkeras.data_pipelines.extraction.extras import require
from plumkeras.data_pipelines.schema.validation import DataError

# Rates beyond are damage, and a filter that resamples them would be immense.
_RATES = (1_000, 200_000)
_MAX_CHANNELS = 32
_BYTES_PER_SAMPLE = 4
# What a stream that doesn't say its length declares, or damage.
_UNKNOWN = 1 << 40
_MARGIN = 0.1
# tensorflow-io's native library has one open file per process: opening another takes the place of the first, so that
# in parallel a clip would get its neighbour's sound.
_one_at_a_time = threading.Lock()


@functools.cache
def has_native_library():
    """Whether tensorflow-io's own operations load beside this TensorFlow."""
    import tensorflow as tf

    tfio = require("tensorflow_io", "io", "sound")
    try:
        # No function asks; those of the library raise this when they are called.
        tfio.audio.resample(tf.zeros([16]), 8000, 16000)
    except NotImplementedError:
        return False
    return True


def decode(path, sample_rate, seconds, max_bytes=None):
    """Reads the beginning of a sound file.

    Args:
        path: str.
        sample_rate: int. The rate to bring it to.
        seconds: float. How much is read, however much there is.
        max_bytes: int or None. What it may be decoded to; see `budget`.

    Returns:
        Float32 samples `[n]`, the mean over channels, and whether there is more than was read.

    Raises:
        DataError: it is empty, damaged, of no known format, or holds what is no sound.
    """
    try:
        if not os.path.getsize(path):
            raise DataError(f"{path}: is empty")
        samples, rate, total = _decoder(path)(path, seconds + _MARGIN, Budget(path, max_bytes))
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path}: declares more samples than memory holds") from None
    except Exception as error:
        # Each library has its own errors, and none may end the extraction of the other clips.
        raise DataError(f"{path}: can't be decoded: {_short(error)}") from None
    if not samples.size:
        raise DataError(f"{path}: holds no samples")
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: holds samples that are no numbers")
    wanted = math.ceil(seconds * sample_rate)
    samples = resample(samples.mean(axis=1, dtype="float32"), rate, sample_rate)
    return samples[:wanted], total / rate > seconds


def resample(samples, rate, wanted):
    """Samples `[n]` of one rate as float32 samples of another."""
    if rate == wanted:
        return samples
    if has_native_library():
        import tensorflow as tf

        tfio = require("tensorflow_io", "io", "sound")
        return tfio.audio.resample(tf.constant(samples, "float32"), rate, wanted).numpy()
    signal = require("scipy.signal", "io", "resampling")
    common = math.gcd(rate, wanted)
    return signal.resample_poly(samples, wanted // common, rate // common).astype("float32")


def _decoder(path):
    with open(path, "rb") as file:
        head = file.read(4096)
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        # TensorFlow decodes plain PCM of 16 bits and nothing else.
        at = head.find(b"fmt ")
        plain = at >= 0 and head[at + 8 : at + 10] == b"\x01\x00" and head[at + 22 : at + 24] == b"\x10\x00"
        return _by_tensorflow if plain else _by_soundfile
    vorbis = head.startswith(b"OggS") and b"\x01vorbis" in head
    mp3 = head.startswith(b"ID3") or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)
    if (head.startswith(b"fLaC") or vorbis or mp3) and has_native_library():
        return _by_tensorflow_io
    if head.startswith((b"fLaC", b"OggS")) or mp3:
        return _by_soundfile
    raise DataError(f"{path}: is neither WAV, FLAC, MP3 nor OGG (begins with {head[:8]!r})")


# Each gives samples `[n, channels]`, their rate, and how many there are in the file.


def _by_tensorflow(path, seconds, budget):
    import tensorflow as tf

    samples, rate = tf.audio.decode_wav(tf.io.read_file(path))
    samples, rate = samples.numpy(), int(rate)
    _check(path, rate, samples.shape[1])
    return samples[: math.ceil(seconds * rate)], rate, len(samples)


def _by_tensorflow_io(path, seconds, budget):
    tfio = require("tensorflow_io", "io", "sound")
    with _one_at_a_time:
        sound = tfio.audio.AudioIOTensor(path)
        total, channels = (int(size) for size in sound.shape)
        rate = int(sound.rate)
        _check(path, rate, channels)
        wanted = min(total, math.ceil(seconds * rate))
        budget.spend(wanted * channels * _BYTES_PER_SAMPLE, path)
        samples = sound[0:wanted].numpy()
    _check_whole(path, len(samples), wanted)
    if samples.dtype.kind == "i":
        # Whole numbers fill their type from above, whatever the bits of the file.
        samples = samples.astype("float32") / -float(np.iinfo(samples.dtype).min)
    return samples, rate, total


def _by_soundfile(path, seconds, budget):
    soundfile = require("soundfile", "io", "this format")
    with soundfile.SoundFile(path) as sound:
        rate = sound.samplerate
        _check(path, rate, sound.channels)
        # Never by the number of frames that the file declares.
        wanted = math.ceil(seconds * rate)
        budget.spend(min(wanted, sound.frames) * sound.channels * _BYTES_PER_SAMPLE, path)
        samples = sound.read(frames=wanted, dtype="float32", always_2d=True)
        # The length of an MP3 is an estimate.
        if sound.format != "MP3" and sound.frames < _UNKNOWN:
            _check_whole(path, len(samples), min(wanted, sound.frames))
        return samples, rate, max(len(samples), sound.frames if sound.frames < _UNKNOWN else 0)


def _check(path, rate, channels):
    if not _RATES[0] <= rate <= _RATES[1]:
        raise DataError(f"{path}: has a sampling rate of {rate}; within {_RATES[0]} and {_RATES[1]} is expected")
    if not 1 <= channels <= _MAX_CHANNELS:
        raise DataError(f"{path}: has {channels} channels; 1 to {_MAX_CHANNELS} are expected")


def _check_whole(path, found, wanted):
    if found < wanted:
        raise DataError(f"{path}: is cut off: {found} samples can be read where {wanted} are declared")


def _short(error):
    """One line of a library's message, without what TensorFlow puts around it."""
    text = " ".join(str(error).split())
    text = text.split("}} ", 1)[-1].split(" [Op:", 1)[0]
    return text[:200] or type(error).__name__
