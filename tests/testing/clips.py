"""Sounds, transcripts and frames, made for the tests of extraction."""

import csv

import numpy as np


def tone(frequency, rate=16_000, seconds=1.0, loud=0.5):
    """Samples `[n]` of a sine."""
    return loud * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)


def write_sound(path, samples, rate=16_000, subtype=None):
    """Writes a sound file in the format of its ending."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def write_table(path, rows):
    """A csv of clips from dicts of equal keys."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def loudest_band(frames, sample_rate=16_000):
    """The middle in Hz of the loudest mel band, and the bands' distance in mel there.

    By the mel scale's own formula (HTK), not by the code under test.
    """
    bands = frames.shape[1]
    highest = 1127 * np.log1p(sample_rate / 2 / 700)
    step = highest / (bands + 1)
    band = frames[len(frames) // 4 : -(len(frames) // 4)].mean(axis=0).argmax()
    return 700 * np.expm1((band + 1) * step / 1127), step


def mel(frequency):
    """Hz as mel."""
    return 1127 * np.log1p(frequency / 700)
