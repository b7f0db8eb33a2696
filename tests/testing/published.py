"""Small networks of the published models, on three modalities of their own lengths."""

import importlib

import keras
import numpy as np

WIDTHS = {"text": 6, "audio": 5, "vision": 4}
# The module under `plumkeras.models` and the class of each model, with options that make it small; no dropout.
SMALL = {
    "lmf": ("LMF", {"width": 3, "text_width": 6, "rank": 2}),
    "tfn": ("TFN", {"width": 3, "text_width": 6, "text_out": 4, "fusion_width": 5}),
    "mmim": ("MMIM", {"width": 6, "audio_width": 8, "vision_width": 4, "audio_lstm_width": 3, "vision_lstm_width": 4}),
    "cubemlp": ("CubeMLP", {"width": 4, "frames": 7, "time_sizes": (5, 3), "channel_sizes": (4, 3)}),
    "mag": ("MAG", {"width": 4, "num_layers": 1, "num_heads": 2}),
    "bbfn": ("BBFN", {"width": 4, "num_layers": 2, "num_heads": 2}),
    "dmd": ("DMD", {"frames": 6, "kernel_size": 2, "width": 4, "num_layers": 1, "num_heads": 2}),
    "glomo": (
        "GLoMo",
        {"width": 4, "num_layers": 1, "num_heads": 2, "fusion_layers": 1, "fusion_feed_forward": 8},
    ),
    "iccn": ("ICCN", {"width": 4, "channels": 2, "code_width": 3, "head_width": 4}),
    "misa": ("MISA", {"width": 4, "feed_forward": 8}),
    "self_mm": (
        "SelfMM",
        {
            "width": 6,
            "text_width": 5,
            "audio_width": 3,
            "vision_width": 4,
            "audio_lstm_width": 3,
            "vision_lstm_width": 4,
        },
    ),
    "mult": ("MulT", {"width": 4, "num_layers": 1, "num_heads": 2}),
}


def network_class(name):
    return getattr(importlib.import_module(f"plumkeras.models.{name}"), SMALL[name][0])


def small_network(name, seed=0, widths=None, **options):
    """The network of a model, no dropout, with weights and statistics away from their start."""
    keras.utils.set_random_seed(seed)
    cls = network_class(name)
    known = cls.__init__.__signature__.parameters
    rates = {option: 0.0 for option in known if option == "dropout" or option.endswith("_dropout")}
    network = cls(widths or WIDTHS, **{**rates, **SMALL[name][1], **options})
    random = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        variable.assign(variable + random.normal(0, 0.1, variable.shape))
    for layer in network.standardizations.values():
        layer.mean.assign(random.normal(1, 0.2, layer.mean.shape))
        layer.divisor.assign(random.uniform(1.0, 3.0, layer.divisor.shape))
    return network
