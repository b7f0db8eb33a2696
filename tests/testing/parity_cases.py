"""For each fixture of `tests.testing.parity`: the network of its sizes, and what it calls our outputs and losses."""

import dataclasses
import functools
import re
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
        learned_from: what the loss of the fixture reads in place of our outputs, of these.
        options: what the objective's terms take beside outputs and labels.
        renamed: function from a weight of the fixture to our path, which `parity.plain` makes equal to ours.
    """

    network: keras.Model
    terms: dict = dataclasses.field(default_factory=lambda: {"task": ("prediction_loss", 1.0)})
    outputs: Callable = dict
    learned_from: Callable = dict
    options: dict = dataclasses.field(default_factory=dict)
    renamed: Callable = str


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


def cubemlp(fixture):
    from plumkeras.layers.cube import CubePooling
    from plumkeras.models.cubemlp import CubeMLP

    config = fixture.config
    (time_hidden, _, channel_hidden), (time, modality, channel) = (
        list(zip(*config[key], strict=True)) for key in ("hidden", "out")
    )
    assert set(modality) == {3}
    sizes = (config["width"], config["time_length"], time, channel, time_hidden, channel_hidden)
    network = CubeMLP(fixture.feature_dims, *sizes, **_rates("", "cube_", "head_"))
    # As published, the frames of a batch past a sample's length are what the last normalisation makes of 0.
    longest = fixture.inputs["text"].shape[1]
    for m in ("audio", "vision"):
        layer = network.get_layer(f"{m}_slice")
        layer.call = functools.partial(_slice_of_batch, layer.call, longest)

    def outputs(outputs):
        flattened = CubePooling("concatenate")(outputs["cube_output"])
        return {**outputs, "flattened_when_time_is_concatenated": flattened}

    return Case(network, outputs=outputs, renamed=lambda name: re.sub("^(audio|vision)/", r"\1_encoder/", name))


def _slice_of_batch(call, longest, sequence, length):
    return call(sequence, ops.full_like(length, longest))


def dmd(fixture):
    from plumkeras.models.dmd import DMD

    parts, modalities = ("common", "specific"), ("text", "vision", "audio")

    def outputs(outputs):
        found = {name.removesuffix("prediction") + "logit": array for name, array in outputs.items()}
        edges = {f"edges_{part}": ops.transpose(outputs[f"graph_{part}_edge"]) for part in parts}
        priors = {f"prior_{part}": np.array(prior) for part, prior in network.objective().priors.items()}
        return {**outputs, **found, **edges, **priors}

    sizes = ("time", "kernels", "width", "crossmodal_layers", "heads", "graph_size_common", "graph_size_specific")
    rates = _rates("text_", "attention_", "audio_attention_", "embed_", "")
    network = DMD(fixture.feature_dims, *(fixture.config[size] for size in sizes), **rates)
    terms = {
        "task": ("prediction_loss", 1.0),
        "task_common": ("common_prediction_loss", 1.0),
        **{f"task_{m}_{part}": (f"{m}_{part}_prediction_loss", 1.0) for m in modalities for part in parts},
        **{f"graph_{part}_{x}": (f"graph_{part}_{x}_loss", 0.05) for part in parts for x in ("regular", "logit")},
        "graph_specific_representation": ("graph_specific_representation_loss", 0.05),
        **{name: (f"{name}_loss", 0.1) for name in ("reconstruction", "cycle")},
        **{name: (f"{name}_loss", 0.01) for name in ("margin", "orthogonality")},
    }
    return Case(network, terms, outputs)


def glomo(fixture):
    from plumkeras.models.glomo import GLoMo

    config = fixture.config
    sizes = ("width", "layers", "heads", "granularity", "experts", "top_k")
    network = GLoMo(
        fixture.feature_dims,
        *(config[size] for size in sizes),
        first_token=True,
        fusion_layers=config["fusion_layers"],
        fusion_feed_forward=config["fusion_feed_forward"],
        **_rates("attention_", "relu_", "residual_", "embed_", "fusion_", "score_"),
    )

    def outputs(outputs):
        gates = {f"{m}_gates_evaluation": outputs[f"{m}_gates"] for m in network.modalities}
        loads = {f"{m}_load_evaluation": ops.sum(outputs[f"{m}_load"], axis=0) for m in network.modalities}
        return {**outputs, **gates, **loads}

    def learned_from(outputs):
        # The gates of training, by the noise that was drawn; all else is without it.
        found = dict(outputs)
        for m in network.modalities:
            mixture = network.get_layer(f"{m}_mixture")
            flat = ops.reshape(outputs[f"{m}_local_input"], (-1, mixture.gate.shape[0]))
            noise = ops.convert_to_tensor(fixture.arrays[f"training/{m}_noise"])
            _, found[f"{m}_gates"], found[f"{m}_load"] = mixture(flat, noise)
        return found

    return Case(network, outputs=outputs, learned_from=learned_from)


def lmf(fixture):
    from plumkeras.models.lmf import LMF

    return _of_vectors(LMF, fixture, rank=fixture.config["rank"])


def tfn(fixture):
    from plumkeras.models.tfn import TFN

    options = {"text_out": fixture.config["text_out"], "fusion_width": fixture.config["post_fusion"]}
    return _of_vectors(TFN, fixture, **options, fusion_dropout=0.0)


def _of_vectors(cls, fixture, **options):
    widths = {m: fixture.config[f"{m}_hidden"] for m in ("audio", "vision")}
    options |= {"width": widths, "text_width": fixture.config["text_hidden"], **_rates("", "text_")}

    def outputs(outputs):
        return {name.removesuffix("_vector"): output for name, output in outputs.items()}

    def renamed(name):
        return re.sub("^(text|audio|vision)/", r"\1_vector/", _one_direction(name))

    return Case(cls(fixture.feature_dims, **options), outputs=outputs, renamed=renamed)


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


def mmim(fixture):
    from plumkeras.models.mmim import MMIM

    names = ("fusion", "audio_out", "vision_out", "audio_lstm", "vision_lstm")
    sizes = (fixture.config[name] for name in names)
    network = MMIM(fixture.feature_dims, *sizes, **_rates(""), text_pooling="first")
    memory, history = fixture.group("memory"), {}
    signs = {"positive": fixture.label > 0, "negative": fixture.label < 0}
    for m in ("audio", "vision"):
        codes = [memory[f"text_to_{m}/{sign}"] for sign in signs]
        groups = np.repeat(np.eye(2, dtype="float32"), [len(of_sign) for of_sign in codes], axis=0)
        history[m] = np.concatenate(codes), groups

    def outputs(outputs):
        found = {m: outputs[f"{m}_vector"] for m in ("audio", "vision", "fusion")}
        for m in history:
            codes = ops.convert_to_numpy(outputs[f"text_to_{m}_code"])
            found |= {f"text_to_{m}_{sign}": codes[rows] for sign, rows in signs.items()}
        return {**outputs, **found}

    terms = {
        "task": ("prediction_loss", 1.0),
        **{f"log_likelihood_text_to_{m}": (f"{m}_likelihood_loss", -0.1) for m in history},
        **{f"entropy_text_to_{m}": (f"{m}_entropy_loss", -0.1) for m in history},
        **{f"contrast_{m}": (f"{m}_contrast_loss", 0.1) for m in ("text", "audio", "vision")},
    }
    return Case(network, terms, outputs, options={"history": history})


def mult(fixture):
    from plumkeras.models.mult import MulT

    config = fixture.config
    rates = _rates("text_", "attention_", "relu_", "residual_", "embed_", "")
    sizes = (config["width"], config["crossmodal_layers"], config["heads"])
    return Case(MulT(fixture.feature_dims, *sizes, **rates))


def self_mm(fixture):
    from plumkeras.models.self_mm import SelfMM

    names = ("fusion", "text", "audio", "vision", "audio_lstm", "vision_lstm")
    sizes = (fixture.config[name] for name in names)
    network = SelfMM(fixture.feature_dims, *sizes, **_rates(""), text_pooling="first")
    memory = fixture.group("memory")
    labels = {m: memory[f"labels/{m}"][memory["batch_indices"]].astype("float32") for m in fixture.feature_dims}
    terms = {"fusion": ("prediction_loss", 1.0), **{m: (f"{m}_loss", 1.0) for m in ("text", "audio", "vision")}}
    return Case(network, terms, options={"labels": labels}, renamed=_one_direction)


def _one_direction(name):
    """Of an LSTM in one direction the fixtures name no direction."""
    return name.replace("/lstm/", "/lstm/forward/")


CASES = {
    "bbfn": bbfn,
    "cubemlp": cubemlp,
    "dmd": dmd,
    "glomo": glomo,
    "lmf": lmf,
    "misa": misa,
    "mmim": mmim,
    "mult": mult,
    "self_mm": self_mm,
    "tfn": tfn,
}
