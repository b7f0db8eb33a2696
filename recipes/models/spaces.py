"""Parts of the models' search spaces."""


def around(value):
    """From a fifth of a number to five times it, by the logarithm; of 0, a few values from 0 to 1."""
    if not value:
        return {"values": [0.0, 0.03, 0.1, 0.3, 1.0]}
    # To four digits, as the values themselves.
    return {"min": float(f"{value / 5:.4g}"), "max": float(f"{value * 5:.4g}"), "sampling": "log"}
