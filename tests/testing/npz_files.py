"""Arrays of npz files in the native layout."""

import numpy as np


def npz_fields(count=6, prefix="", seed=0):
    """Fields of the native layout."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 8, count)
    text = random.normal(size=(count, 7, 3)).astype("float32")
    text[np.arange(7) >= lengths[:, None]] = 0
    fields = {
        "id": np.array([f"{prefix or 'x'}{i}" for i in range(count)]),
        "raw_text": np.array([f"words {i}" for i in range(count)]),
        "text": text,
        "text_lengths": lengths,
        "audio": random.normal(size=(count, 1, 2)).astype("float32"),
        "audio_lengths": np.ones(count, "int32"),
        "regression_labels": np.linspace(-3, 3, count).astype("float32"),
    }
    return {prefix + field: array for field, array in fields.items()}
