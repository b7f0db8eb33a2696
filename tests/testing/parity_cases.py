"""For each fixture of `tests.testing.parity`: the network of its sizes, and what it calls our outputs and losses."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        network: of the fixture's sizes, no dropout.
        terms: dict from a loss of the fixture to our term and its weight.
        outputs: our outputs by the fixture's names, of our outputs.
    """

    network: keras.Model
    terms: dict = dataclasses.field(default_factory=lambda: {"task": ("prediction_loss", 1.0)})
    outputs: Callable = dict


def _rates(*names):
    return {f"{name}dropout": 0.0 for name in names}


def bbfn(fixture):
    from plumkeras.models.bbfn import BBFN

    def outputs(outputs):
        # Probabilities in the order pair, layer, modality, sample.
        logits = np.stack([ops.convert_to_numpy(outputs[f"discriminator_{m}"]) for m in ("audio", "vision")])
        logits = logits.transpose(0, 2, 3, 1)
        pairs = [f"{m}_from_{n}" for other in ("audio", "vision") for m, n in (("text", other), (other, "text"))]
        return {
            **outputs,
            **{f"{name}_last": outputs[name] for name in pairs},
            "last": outputs["first_states"],
            "discriminator": 1 / (1 + np.exp(-logits)),
            "discriminator_label": np.broadcast_to(np.array([0.0, 1.0])[:, None], logits.shape),
        }

    config = fixture.config
    rates = _rates("attention_", "relu_", "residual_", "")
    network = BBFN(fixture.feature_dims, config["width"], config["layers"], config["heads"], **rates)
    terms = {"task": ("prediction_loss", 1.0), "discriminator": ("discriminator_loss", 0.1)}
    return Case(network, terms, outputs)


def misa(fixture):
    from plumkeras.models.misa import MISA

    config = fixture.config
    sizes = (config["hidden"], config["fusion_heads"], config["fusion_feed_forward"])
    terms = {
        "task": ("prediction_loss", 1.0),
        "difference": ("difference_loss", 0.3),
        "similarity": ("similarity_loss", 1.0),
        "reconstruction": ("reconstruction_loss", 1.0),
    }
    return Case(MISA(fixture.feature_dims, *sizes, **_rates("fusion_", "")), terms)


def mult(fixture):
    from plumkeras.models.mult import MulT

    config = fixture.config
    rates = _rates("text_", "attention_", "relu_", "residual_", "embed_", "")
    sizes = (config["width"], config["crossmodal_layers"], config["heads"])
    return Case(MulT(fixture.feature_dims, *sizes, **rates))


CASES = {"bbfn": bbfn, "misa": misa, "mult": mult}
