"""The model card of an export: what it is, how good it was measured to be, and what it is not for."""

from plumkeras.recipes.views.escaping import for_markdown
from plumkeras.recipes.views.terminal import metric_rows

_CARD = """\
# {name}, version {version}

PLUM-Net (unofficial Keras implementation, PlumKeras {plumkeras}) for {task}, from {modalities}. It takes features, not
clips: the features must come from the same extractors as those it was trained on.

## Data

Trained on {file} ({format}{known}){fold}, SHA-256 {sha256}; samples: {samples}. Feature widths: {widths}.
{labels}
{warnings}
## Metrics

Measured once, at the end of training; the kept epoch was chosen on `valid`.

{table}

{convention}

## Settings

Recipe {recipe}, seed {seed}, modules {modules}, backend {backend}, precision {precision}. All values, the versions
and the statistics of the training features are in `assets.extra/plumkeras.json`. SHA-256 of the network's file:
`{digest}`.

## Use

For research on sentiment, humor and sarcasm in recorded speech, on data like those above.{opinions}

Not for judging persons, their health, character or work, and not for decisions about anyone. Measured on one data set
alone: other languages, cultures, cameras, microphones and topics were not tested, nor was the model tested for
differences between groups of speakers.

## Calling it

In the directory that holds the version:

```
{docker}
```

To have the server join requests, which costs it the refusal of some wrong ones (see the notes below), add

```
{batching}
```

Signatures: {signatures}. Shapes and
complete example requests for REST, in row and in column format, and for gRPC are in `signature.json`:

```
python -c "import json; rest = json.load(open('{version}/signature.json'))['rest']
print(json.dumps(rest['row_format']['request']))" | curl -d @- http://localhost:8501/v1/models/{name}:predict
```

In Python, with TensorFlow alone:

```python
import tensorflow as tf

model = tf.saved_model.load("{version}")
outputs = model.signatures["explain"]({arguments})
```

{notes}

## Licence

PlumKeras is under Apache-2.0. These weights were learned from the data named above, whose terms hold for what may be
done with them.
"""
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
    known = ((described["fingerprint"] or {}).get("source") or {}).get("known_file")
    rows, convention = metric_rows(described["metrics"], network["task"])
    header = ["", *map(for_markdown, described["metrics"])]
    fold = described.get("fold")
    table = [header, ["---"] * len(header), *rows]
    lengths = [f"{m}={m}, {m}_length={m}_length" for m in network["feature_dims"]]
    return _CARD.format(
        name=name,
        version=version,
        plumkeras=described["exported_with"].get("plumkeras", "of unknown version"),
        task={"regression": "a score", "classification": f"{network['num_classes']} classes"}[network["task"]],
        modalities=for_markdown(", ".join(network["feature_dims"])),
        file=for_markdown(data.get("path") or "generated data"),
        format=f"format {for_markdown(data.get('format'))}",
        known=f"; {for_markdown(known)}" if known else "",
        fold=f", fold {', '.join(map(str, fold['test']))} left out" if fold else "",
        sha256=for_markdown(data.get("sha256")),
        samples=for_markdown(", ".join(f"{split} {count}" for split, count in data.get("samples", {}).items())),
        widths=for_markdown(", ".join(f"{m} {width}" for m, width in network["feature_dims"].items())),
        labels=_labels(described),
        warnings=_warnings(described.get("warnings")),
        table="\n".join(f"| {' | '.join(row)} |" for row in table),
        convention=convention,
        recipe=for_markdown(recipe["name"]),
        seed=for_markdown(described["seed"]),
        modules=", ".join(network["modules"]) or "none",
        backend=for_markdown(described["backend"]),
        precision=for_markdown(recipe.get("precision", "float32")),
        digest=network["sha256"],
        docker=docker,
        batching=batching,
        opinions=_OPINIONS if _has_labels(network) else "",
        signatures="; ".join(f"`{signature}` {_gives(signature, network)}" for signature in signatures),
        arguments=", ".join(lengths),
        notes="\n".join(f"- {note}" for note in notes),
    )


def _warnings(sentences):
    """What was suspicious about the data, as a list."""
    if not sentences:
        return ""
    return "\nWarnings about these data:\n\n" + "".join(f"- {for_markdown(sentence)}\n" for sentence in sentences)


def _has_labels(network):
    return "psl_tfb" in network["modules"]


def _gives(signature, network):
    if signature == "explain" and not _has_labels(network):
        return "gives the same, for without psl_tfb the modalities have no labels"
    return {
        "serving_default": "gives the prediction",
        "explain": "adds the labels and the branches' class probabilities of each modality",
        "embed": "gives embeddings",
    }[signature]


def _labels(described):
    classes = "; ".join(f"{number}: {meaning}" for number, meaning in enumerate(described["classes"]))
    if described["network"]["task"] == "classification":
        return f"Classes: {classes}."
    low_high = described["label_range"]
    scale = f"Scores on the scale of the labels, [{low_high[0]:g}, {low_high[1]:g}], not clipped. " if low_high else ""
    return f"{scale}Classes of the labels per modality: {classes}." if _has_labels(described["network"]) else scale
