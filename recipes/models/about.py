"""What a model is, for the list of models."""

import dataclasses

# Widths of the features that most of the models were published with, on CMU-MOSI; `parameters` is counted there.
PUBLISHED_WIDTHS = {"text": 768, "audio": 5, "vision": 20}


@dataclasses.dataclass(frozen=True)
class About:
    """Where a model comes from and how it differs from there.

    Attributes:
        paper: authors, venue and year; empty for a model of this package.
        data_sets: those that the paper reports.
        parameters: trainable values at the default widths, of a regression on features of `PUBLISHED_WIDTHS`.
        differs: what of the original is left out or done otherwise, and why; or what the model is.
    """

    paper: str
    data_sets: tuple[str, ...]
    parameters: int
    differs: str
