"""A sound file as samples: one channel, one rate; read by soundfile, resampled by scipy."""

import math
import os

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
        samples, rate, total = _read(path, seconds + _MARGIN, Budget(path, max_bytes))
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path}: declares more samples than memory holds") from None
    except Exception as error:
        # Of whatever kind: none may end the extraction of the other clips.
        reason = " ".join(str(getattr(error, "error_string", error)).split())[:200]
        raise DataError(f"{path}: can't be decoded: {reason or type(error).__name__}") from None
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
    signal = require("scipy.signal", "io", "resampling")
    common = math.gcd(rate, wanted)
    return signal.resample_poly(samples, wanted // common, rate // common).astype("float32")


def _read(path, seconds, budget):
    """Samples `[n, channels]`, their rate, and how many the file has."""
    soundfile = require("soundfile", "io", "sound")
    _check_riff(path)
    with soundfile.SoundFile(path) as sound:
        rate = sound.samplerate
        if not _RATES[0] <= rate <= _RATES[1]:
            raise DataError(f"{path}: has a sampling rate of {rate}; within {_RATES[0]} and {_RATES[1]} is expected")
        if not 1 <= sound.channels <= _MAX_CHANNELS:
            raise DataError(f"{path}: has {sound.channels} channels; 1 to {_MAX_CHANNELS} are expected")
        # Never by the number of frames that the file declares.
        wanted = math.ceil(seconds * rate)
        budget.spend(min(wanted, sound.frames) * sound.channels * _BYTES_PER_SAMPLE, path)
        samples = sound.read(frames=wanted, dtype="float32", always_2d=True)
        # The length of an MP3 is an estimate.
        known = sound.frames if sound.frames < _UNKNOWN else 0
        if sound.format != "MP3" and len(samples) < min(wanted, known):
            raise DataError(
                f"{path}: is cut off: {len(samples)} samples can be read where {min(wanted, known)} are declared"
            )
        return samples, rate, max(len(samples), known)


def _check_riff(path):
    """Refuses a WAV file that was cut off: libsndfile reads what is left of one without a word."""
    with open(path, "rb") as file:
        head = file.read(8)
    declared, size = int.from_bytes(head[4:], "little"), os.path.getsize(path)
    # A stream declares the largest number. Some writers count these 8 bytes too.
    if head.startswith(b"RIFF") and size < declared < 2**31 - 1:
        raise DataError(f"{path}: is cut off: it has {size} bytes where {declared + 8} are declared")
