"""Metrics: reports over a whole split, Keras metrics that stream to the same numbers, and bootstrap intervals."""

import importlib

from plumkeras.metrics.bootstrap import BootstrapInterval, PairedDifference, bootstrap_interval, paired_bootstrap
from plumkeras.metrics.reports import (
    classification_report,
    multilabel_report,
    regression_report,
    sentiment_report,
    sims_report,
)
from plumkeras.metrics.sums import report_metrics

# Late: the reports need no Keras.
_STREAMING = ("ClassCentroids", "PearsonCorrelation", "RoundedAccuracy", "SentimentAccuracy", "SentimentF1")

__all__ = [
    *_STREAMING,
    "BootstrapInterval",
    "PairedDifference",
    "bootstrap_interval",
    "classification_report",
    "multilabel_report",
    "paired_bootstrap",
    "regression_report",
    "report_metrics",
    "sentiment_report",
    "sims_report",
]


def __getattr__(name):
    if name in _STREAMING:
        return getattr(importlib.import_module("plumkeras.metrics.streaming"), name)
    raise AttributeError(f"module 'plumkeras.metrics' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
