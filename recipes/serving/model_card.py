"""The model card of an export: `model_card.md`, a template, filled."""

import importlib.resources

from plumkeras.features import input_name, width_words
from plumkeras.recipes.views.escaping import for_markdown
from plumkeras.recipes.views.terminal import metric_rows
from plumkeras.tasks import get_task

_OPINIONS = """ Labels per modality show
which modality disagrees; they come from distances to class means of the training data and are no ground truth."""


def model_card(name, version, described, signatures, docker, batching, notes):
    """The text of `model_card.md`.

    Args:
        name: str. Name of the served model.
        version: str. Its number.
        described: dict, what `plumkeras.json` holds.
        signatures: list of str.
        docker: str. The command that serves it.
        batching: str. What is added to it for batching.
        notes: iterable of str. What a caller must know.
    """
    network, data, recipe = described["network"], described["data"], described["recipe"]
    widths, has_labels, fold = network["feature_dims"], "psl_tfb" in network.get("modules", ()), described.get("fold")
    known = ((described["fingerprint"] or {}).get("source") or {}).get("known_file")
    rows, convention = metric_rows(described["metrics"], network["task"])
    header = ["", *map(for_markdown, described["metrics"])]
    text = described.get("text")
    gives = {
        "serving_default": "gives the prediction",
        "explain": "adds the labels and the branches' class probabilities of each modality",
        "embed": "gives embeddings",
        "from_text": "gives what `explain` does, from strings",
    }
    if not has_labels:
        gives["explain"] = "gives the same, for without psl_tfb the modalities have no labels"
    texts = {
        "modalities": ", ".join(widths),
        "file": data.get("path") or "generated data",
        "format": data.get("format"),
        "known": f"; {known}" if known else "",
        "sha256": data.get("sha256"),
        "samples": ", ".join(f"{split} {count}" for split, count in data.get("samples", {}).items()),
        "widths": ", ".join(f"{m} {width_words(width)}" for m, width in widths.items()),
        "recipe": recipe["name"],
        "seed": described["seed"],
        "backend": described["backend"],
        "precision": recipe.get("precision", "float32"),
    }
    template = importlib.resources.files(__package__).joinpath("model_card.md").read_text(encoding="utf-8")
    return template.format(
        **{key: for_markdown(text) for key, text in texts.items()},
        name=name,
        version=version,
        plumkeras=described["exported_with"].get("plumkeras", "of unknown version"),
        task=get_task(network["task"]).answer(network["num_classes"]),
        fold=f", fold {', '.join(map(str, fold['test']))} left out" if fold else "",
        labels=_labels(described, has_labels),
        warnings=_warnings(described.get("warnings")),
        table="\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows]),
        convention=convention,
        modules=", ".join(network.get("modules", ())) or "none",
        digest=network["sha256"],
        docker=docker,
        batching=batching,
        opinions=_OPINIONS if has_labels else "",
        signatures="; ".join(f"`{signature}` {gives[signature]}" for signature in signatures),
        takes=_takes(text),
        encoder=_encoder(text),
        alone="with TensorFlow and TensorFlow Text" if "from_text" in signatures else "with TensorFlow alone",
        imports="import tensorflow_text  # before the export is loaded\n" if "from_text" in signatures else "",
        arguments=", ".join(f"{n}={n}, {m}_length={m}_length" for m, w in widths.items() for n in [input_name(m, w)]),
        notes="\n".join(f"- {note}" for note in notes),
    )


def _takes(text):
    """What a caller sends, and where it must come from."""
    if text is None:
        return (
            "It takes features, not\nclips: the features must come from the same extractors as those it was trained on."
        )
    strings = "" if text["no_strings_because"] else " or strings"
    return (
        f"It takes\ntoken ids{strings} of {text['modality']}, and features of whatever else it reads: these must come "
        "from the same\nextractors as those it was trained on."
    )


def _encoder(text):
    if text is None:
        return ""
    name = for_markdown(text["encoder"])
    return (
        f" The pretrained encoder {name} (tuning: {text['tuning']}) reads {text['modality']}, the {text['kept']} "
        f"{text['max_tokens']} tokens of each; its tokenizer is `assets.extra/tokenizer.json`."
    )


def _warnings(sentences):
    """What was suspicious about the data, as a list."""
    if not sentences:
        return ""
    return "\nWarnings about these data:\n\n" + "".join(f"- {for_markdown(sentence)}\n" for sentence in sentences)


def _labels(described, has_labels):
    classes = "; ".join(f"{number}: {meaning}" for number, meaning in enumerate(described["classes"]))
    if get_task(described["network"]["task"]).has_classes:
        return f"Classes: {classes}."
    low_high = described["label_range"]
    scale = f"Scores on the scale of the labels, [{low_high[0]:g}, {low_high[1]:g}], not clipped. " if low_high else ""
    return f"{scale}Classes of the labels per modality: {classes}." if has_labels else scale
