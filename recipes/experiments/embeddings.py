"""Figure 5: raw, common and private vectors by t-SNE, and measures of what the pictures show."""

import dataclasses
import itertools

import numpy as np

from plumkeras.recipes.config import ConfigError, with_values
from plumkeras.recipes.experiments.drawing import COLOURS, MARKERS, grid
from plumkeras.recipes.experiments.pooled_features import pooled_features
from plumkeras.recipes.experiments.results import Picture, Results
from plumkeras.recipes.experiments.rows import Row
from plumkeras.recipes.runs import predictions
from plumkeras.recipes.runs.label_classes import with_label_classes
from plumkeras.recipes.runs.protocol import fold_dataset, fold_numbers
from plumkeras.recipes.views.tables import ResultTable, Spread
from plumkeras.tasks import get_task

SEEDS = (0, 1, 2)
OPTIONS = ()

# By panel: the row whose network gives them, and the output.
_PANELS = {
    "raw features": ("with_msa", None),
    "common": ("with_msa", "common_embedding"),
    "private, without MSA": ("without_msa", "private_embedding"),
    "private, with MSA": ("with_msa", "private_embedding"),
}
# Measured beside them.
_MORE = {"common, without MSA": ("without_msa", "common_embedding")}
# t-SNE of more samples takes minutes, and shows no more.
_MOST = 1500


def make_rows(setup):
    """The recipe with and without MSA."""
    config, modalities = setup.config, setup.config.modalities or setup.dataset.modalities
    if config.model != "plum_net" or "psl_tfb" not in config.network.modules:
        raise ConfigError(f"embeddings are of common and private branches; the recipe {config.name!r} has none")
    if len(modalities) < 2:
        raise ConfigError(f"embeddings compares modalities, and there is {modalities[0]} alone")
    if config.text.encoder:
        raise ConfigError("embeddings begins with raw features, of which a text encoder has none; leave it out")
    if get_task(setup.dataset.task).label_axes > 1:
        raise ConfigError("embeddings are coloured by class; multi-label data have no single class")
    weight = config.objective.alignment_weight or 0.1
    return {
        "with_msa": Row("with MSA", with_values(config, {"objective.alignment_weight": weight})),
        "without_msa": Row("without MSA", with_values(config, {"objective.alignment_weight": 0.0})),
    }


@dataclasses.dataclass(frozen=True)
class _Vectors:
    """Vectors of all modalities, one under the other: of the same samples, those that have every modality."""

    vectors: np.ndarray
    modality: np.ndarray
    classes: np.ndarray
    modalities: tuple
    names: tuple


def make_results(outcome):
    """Pictures of the first seed, measures of all."""
    found = [_panels(outcome, seed) for seed in outcome.seeds]
    first = found[0]
    n = len(first["common"].vectors) // len(first["common"].modalities)
    where = f"{outcome.split}, n = {n} samples that have every modality"
    if "all" in outcome.dataset:
        where += f", of fold {fold_numbers(outcome.dataset)[0]}"
    measures = {name: [_measure(panels[name]) for panels in found] for name in first}
    pictures = [
        Picture(
            "embeddings",
            "Figure 5: t-SNE",
            f"t-SNE (scikit-learn, perplexity 30, from PCA) of the vectors of all modalities, seed {outcome.seeds[0]}, "
            f"{where}; above by class, below by modality. Distances between groups in such a picture mean little: the "
            "table below is the evidence. Raw features: means over frames, standardised, reduced by PCA to one width "
            "for all modalities, whose axes have nothing in common.",
            lambda: _draw(first),
        )
    ]
    return Results(
        f"Common and private vectors, {outcome.config.name}",
        [
            f"Recipe `{outcome.config.name}` with MSA and without (`alignment_weight=0`), seeds "
            f"{' '.join(map(str, outcome.seeds))}, measured on samples that were not trained on.",
            "The paper reads its Figure 5 so: raw features are entangled; common vectors form clusters that do not "
            "depend on the modality; private vectors are fragmented without MSA, and coherent with it.",
        ],
        [_table(measures, where, n, outcome.seeds), outcome.table("metrics", "Metrics of these runs"), outcome.times()],
        pictures,
        _findings(measures),
    )


def _panels(outcome, seed):
    """The vectors of each panel, of one seed."""
    from plumkeras.recipes.runs.run import load_run

    dataset = outcome.dataset
    if numbers := fold_numbers(dataset):
        dataset = fold_dataset(dataset, numbers[0])
    split = dataset[outcome.split]
    config = with_label_classes(outcome.config, outcome.dataset)
    outputs, network = {}, None
    for row in outcome.rows:
        run = load_run(outcome.directory / row / f"seed_{seed}")
        network = (run.run(numbers[0]) if numbers else run).network
        outputs[row] = predictions.predict_split(network, split)
    modalities = network.modalities
    present = np.all([outputs["with_msa"][f"{m}_present"] for m in modalities], axis=0)
    classes = np.asarray(get_task(dataset.task).classes(split.labels, config.label_classes))[present]
    names = tuple(predictions.class_names(dataset, network.num_classes, config.label_classes))

    def of(row, output):
        if output is None:
            vectors = _reduced(config, dataset, outcome.split, modalities, present)
        else:
            vectors = [outputs[row][f"{m}_{output}"][present].astype("float64") for m in modalities]
        of_modality = np.repeat(np.arange(len(modalities)), len(classes))
        return _Vectors(np.concatenate(vectors), of_modality, np.tile(classes, len(modalities)), modalities, names)

    return {name: of(*panel) for name, panel in {**_PANELS, **_MORE}.items()}


def _reduced(config, dataset, split, modalities, present):
    """Pooled, standardised features of each modality, by PCA of one width, fitted on train."""
    from sklearn.decomposition import PCA

    pooled = [pooled_features(dataset, (m,), config.network.signed_log1p) for m in modalities]
    width = min(32, *(min(found["train"].shape) for found in pooled))
    return [PCA(width, random_state=0).fit(f["train"]).transform(f[split][present]) for f in pooled]


def _measure(panel):
    """Silhouettes by class and by modality, and retrieval between modalities, by cosine."""
    from sklearn.metrics import silhouette_score

    unit = panel.vectors / np.maximum(np.linalg.norm(panel.vectors, axis=1, keepdims=True), 1e-12)
    several = len(np.unique(panel.classes)) > 1
    ranks = []
    n = len(unit) // len(panel.modalities)
    for a, b in itertools.permutations(range(len(panel.modalities)), 2):
        close = unit[a * n : (a + 1) * n] @ unit[b * n : (b + 1) * n].T
        own = np.diag(close)[:, None]
        # Half of those that are as close come before it.
        ranks.append((close > own).sum(axis=1) + ((close == own).sum(axis=1) - 1) / 2)
    ranks = np.concatenate(ranks)
    return {
        "by class": silhouette_score(unit, panel.classes, metric="cosine") if several else np.nan,
        "by modality": silhouette_score(unit, panel.modality, metric="cosine"),
        "first": np.mean(ranks < 1),
        "ten": np.mean(ranks < 10),
        "rank": np.median(ranks) / max(n - 1, 1),
    }


def _table(measures, where, n, seeds):
    header = ["", "silhouette by class", "by modality", "retrieval: first %", "among ten %", "median rank %"]
    rows = []
    for name, found in measures.items():
        cells = []
        for key in ("by class", "by modality", "first", "ten", "rank"):
            values = [one[key] for one in found]
            std = float(np.std(values, ddof=1)) if len(values) > 1 else None
            cells.append(Spread(float(np.mean(values)), std, percent=key in ("first", "ten", "rank")))
        rows.append([name, *cells])
    rows.append(["by chance", None, None, *(Spread(p, percent=True) for p in (1 / n, min(10 / n, 1), 0.5))])
    notes = [
        f"{where[0].upper()}{where[1:]}; mean ± standard deviation (ddof 1) over the seeds.",
        "Silhouettes by cosine distance, of the vectors of all modalities: 1 where groups are tight and far apart, 0 "
        "where they mix; by modality, low is what a common space wants.",
        "Retrieval: of all samples, by cosine, how often that of the same sample in another modality is the nearest, "
        "or among the ten nearest, and its median rank.",
    ]
    return ResultTable("embeddings", "What the pictures show", header, rows, notes)


def _findings(measures):
    def mean(name, key):
        return float(np.mean([one[key] for one in measures[name]]))

    return [
        f"By modality, the silhouette of common vectors is {mean('common', 'by modality'):.2f} and that of private "
        f"ones {mean('private, with MSA', 'by modality'):.2f}: the lower, the less a vector tells its modality.",
        f"By class, it is {mean('common', 'by class'):.2f} of common vectors, and of private ones "
        f"{mean('private, without MSA', 'by class'):.2f} without MSA and {mean('private, with MSA', 'by class'):.2f} "
        "with it.",
        f"A sample's common vector in another modality is among the ten nearest for "
        f"{100 * mean('common', 'ten'):.1f} % of the samples, its private one for "
        f"{100 * mean('private, with MSA', 'ten'):.1f} %.",
    ]


def _draw(panels):
    figure, axes = grid(2, len(_PANELS), 3.6, 3.5)
    for column, name in enumerate(_PANELS):
        panel = panels[name]
        n = len(panel.vectors) // len(panel.modalities)
        kept = np.sort(np.random.default_rng(0).permutation(n)[: _MOST // len(panel.modalities)])
        shown = np.concatenate([kept + number * n for number in range(len(panel.modalities))])
        places = _tsne(panel.vectors[shown])
        for axis, values, names in (
            (axes[0, column], panel.classes[shown], panel.names),
            (axes[1, column], panel.modality[shown], panel.modalities),
        ):
            for k, label in enumerate(names):
                where = values == k
                style = {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)], "label": label}
                axis.scatter(*places[where].T, s=7, alpha=0.65, linewidths=0, **style)
            axis.set(xticks=[], yticks=[])
        axes[0, column].set_title(name)
    for axis, title in zip(axes[:, 0], ("by class", "by modality"), strict=True):
        axis.set_ylabel(title)
        axis.legend(fontsize=8, loc="best", markerscale=2)
    return figure


def _tsne(vectors):
    from sklearn.manifold import TSNE

    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return TSNE(perplexity=min(30, (len(unit) - 1) / 3), init="pca", random_state=0).fit_transform(unit)
