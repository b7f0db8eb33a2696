"""Training on generated data again and again, and what is measured of it."""

import dataclasses
import itertools

import keras
import numpy as np

from plumkeras.recipes.runs import predictions
from plumkeras.recipes.runs.stages import StageData, build_network, build_trainers
from plumkeras.recipes.synthetic import generate

STRENGTHS = (0.0, 0.25, 0.5, 1.0)
SEEDS = (0, 1, 2, 3, 4)
MOMENTS = ("untrained", "MSA alone", "stage 1", "stage 2")
# Those without "psl_tfb" have no common branch.
ROWS = ((), ("msa",), ("msa", "psl_tfb"), ("msa", "psl_tfb", "prm"))


class Repeated:
    """One recipe trained again and again: compiled steps and dropout go on, weights and optimizer start anew."""

    def __init__(self, config):
        self.config = config
        dataset, _ = generate(config.synthetic)
        self.network = build_network(config, dataset)
        steps = -(-config.synthetic.train // config.batch_size)
        self.trainers = build_trainers(config, self.network, steps)
        for trainer in self.trainers.values():
            trainer.optimizer.build(trainer.trainable_variables)
        self.fresh = {s: [v.numpy() for v in t.optimizer.variables] for s, t in self.trainers.items()}

    def start(self, seed, strength):
        """Fresh weights, data and optimizers of a seed; returns the data set and its truth."""
        generated = dataclasses.replace(self.config.synthetic, relative_strength=strength, data_seed=seed)
        dataset, truth = generate(generated)
        keras.utils.set_random_seed(seed)
        self.network.set_weights(build_network(self.config, dataset).get_weights())
        self.data = StageData(dataclasses.replace(self.config, seed=seed), dataset, self.network.modalities)
        self.network.adapt(self.data.in_order)
        for stage, trainer in self.trainers.items():
            for variable, value in zip(trainer.optimizer.variables, self.fresh[stage], strict=True):
                variable.assign(value)
        return dataset, truth

    def fit(self, stage):
        self.data.fit(stage, self.trainers[stage])


def centred_cosine(a, b):
    """Mean cosine of the same sample's embeddings `[N, d]` in two modalities, each centred over the samples."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float(np.mean(np.sum(a * b, axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) + 1e-12)))


def linear_cka(a, b):
    """Linear CKA of two embeddings `[N, d]`: 1 when equal up to rotation and scale (Kornblith et al. 2019)."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float(np.sum((a.T @ b) ** 2) / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b) + 1e-12))


def measure(network, dataset, truth):
    """Agreements of the prototype labels on the test split, and closeness of the embeddings, means over modalities."""
    outputs = predictions.predict_split(network, dataset["test"])
    truth = truth["test"]
    hard = {m: outputs[f"{m}_hard_label"] for m in network.modalities}
    pairs = list(itertools.combinations(network.modalities, 2))
    result = {
        "with_private": np.mean([np.mean(hard[m] == truth["private_class"][m]) for m in hard]),
        "with_multimodal": np.mean([np.mean(hard[m] == truth["label_class"]) for m in hard]),
        "truth_agrees": np.mean([np.mean(truth["private_class"][m] == truth["label_class"]) for m in hard]),
    }
    for branch in ("common", "private"):
        embeddings = {m: outputs[f"{m}_{branch}_embedding"].astype("float64") for m in hard}
        for name, closeness in (("cosine", centred_cosine), ("cka", linear_cka)):
            result[f"{branch}_{name}"] = np.mean([closeness(embeddings[a], embeddings[b]) for a, b in pairs])
    return {name: float(value) for name, value in result.items()}


def study_strength(recipe, progress=print):
    """Rows of `strength, seed, moment` and what `measure` gives, a list of dicts."""
    # The contrastive terms alone: the branches wait for the whole of stage 1.
    alone = dataclasses.replace(
        recipe,
        objective=dataclasses.replace(recipe.objective, warmup_target="none"),
        alignment=dataclasses.replace(recipe.alignment, label_warmup_epochs=recipe.alignment.epochs),
    )
    contrast, whole = Repeated(alone), Repeated(recipe)
    rows = []
    for strength, seed in itertools.product(STRENGTHS, SEEDS):

        def add(moment, repeated, dataset, truth, strength=strength, seed=seed):
            rows.append(
                {"strength": strength, "seed": seed, "moment": moment} | measure(repeated.network, dataset, truth)
            )

        dataset, truth = contrast.start(seed, strength)
        contrast.trainers["alignment"].refresh_prototypes(contrast.data.in_order)
        add("untrained", contrast, dataset, truth)
        contrast.fit("alignment")
        add("MSA alone", contrast, dataset, truth)
        dataset, truth = whole.start(seed, strength)
        whole.fit("alignment")
        add("stage 1", whole, dataset, truth)
        whole.fit("refinement")
        add("stage 2", whole, dataset, truth)
        progress(f"strength {strength:g}, seed {seed}: {rows[-1]['with_private']:.3f} with the private class")
    return rows


def study_modules(recipe, rows_of_table, progress=print):
    """Rows of `modules, seed` and the test metrics, at the recipe's own strength, a list of dicts."""
    rows = []
    for modules in rows_of_table:
        repeated = Repeated(dataclasses.replace(recipe, network=dataclasses.replace(recipe.network, modules=modules)))
        for seed in SEEDS:
            dataset, _ = repeated.start(seed, recipe.synthetic.relative_strength)
            for stage in repeated.trainers:
                repeated.fit(stage)
            outputs = predictions.predict_split(repeated.network, dataset["test"])
            report = predictions.report(dataset, dataset["test"].labels, outputs["prediction"])
            rows.append({"modules": " ".join(modules) or "none", "seed": seed} | report)
            progress(f"modules {rows[-1]['modules']}, seed {seed}: MAE {report['mae']:.3f}")
    return rows
