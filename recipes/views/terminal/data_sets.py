"""Data sets on the terminal: what they hold, how they were converted or extracted."""

from pathlib import Path

from rich.console import Console

from plumkeras.data_pipelines import suspicions
from plumkeras.features import width_words
from plumkeras.recipes.views.terminal.tables import escape, make_table, print_warnings


def print_data(dataset, warnings, console=None):
    """One line about the data before training, and what is suspicious about them, sentences."""
    console = console or Console()
    sizes = ", ".join(f"{escape(name)} {len(split)}" for name, split in dataset.items())
    widths = ", ".join(f"{escape(m)} {width_words(width)}" for m, width in dataset.feature_dims.items())
    console.print(f"Data: {escape(str(dataset.path or 'generated'))} ({dataset.task}; {sizes}; widths: {widths})")
    print_warnings(warnings, console)


def print_description(description, console=None):
    """What `plumkeras inspect` shows of `data_pipelines.describe`."""
    console = console or Console()
    known = f" ({description['known_file'] or 'no published file that is known here'})"
    console.print(f"[bold]{escape(str(description['path']))}[/bold]")
    console.print(f"format {escape(description['format'])}; sha256 {description['sha256']}{escape(known)}")
    source = description["source"]
    if source["sha256"] != description["sha256"]:
        console.print(f"converted from format {escape(str(source['format']))}; sha256 {escape(str(source['sha256']))}")
    low_high = description["label_range"]
    scale = f", labels in [{low_high[0]:g}, {low_high[1]:g}]" if low_high and None not in low_high else ""
    kind = "labels" if description["task"] == "multilabel" else "classes"
    classes = f", {description['num_classes']} {kind}" if description["num_classes"] else ""
    console.print(f"task {description['task'] or 'unknown: no labels'}{scale}{classes}")

    splits = description["splits"]
    _print_sequences(
        "Sequences", {name: (split["samples"], split["modalities"]) for name, split in splits.items()}, console
    )
    contexts = {name: split["context"] for name, split in splits.items() if split["context"]}
    if any(context["modalities"] for context in contexts.values()):
        found = {name: (splits[name]["samples"], context["modalities"]) for name, context in contexts.items()}
        _print_sequences("Context", found, console)
    _print_columns(description, console)
    _print_labels(splits, console)
    for name, split in splits.items():
        facts = [] if split["raw_text"] is None else [f"{split['raw_text']} of {split['samples']} have raw text"]
        if split["context"]:
            facts.append(f"{split['context']['samples']} have a context")
        if split["sources"]:
            facts.append(f"{split['sources']['count']} {split['sources']['kind']}")
        if split["folds"]:
            facts.append("folds: " + ", ".join(f"{fold}: {count}" for fold, count in split["folds"].items()))
        if facts:
            console.print(f"{name}: {'; '.join(facts)}")
    cleaned = _cleaned_lines(description["cleaned"])
    for line in cleaned:
        console.print(line)
    print_warnings(description["warnings"], console)
    if not description["warnings"] and not cleaned:
        console.print("nothing cleaned, nothing suspicious")


def _print_sequences(title, splits, console):
    table = make_table(
        title, "split", "modality", "n", "width", "frames min / median / p95 / max", "missing", "padding %"
    )
    for name, (samples, modalities) in splits.items():
        for m, facts in modalities.items():
            length = facts["length"]
            table.add_row(
                name,
                escape(m),
                str(samples),
                str(facts["width"]),
                f"{length['min']} / {length['median']:g} / {length['p95']:g} / {length['max']}",
                str(facts["missing"]),
                f"{100 * facts['padding_share']:.1f}",
            )
    console.print(table)


def _print_columns(description, console):
    """Spread and magnitude of the feature columns of the training split, and the largest magnitude of all."""
    split = next(iter(description["features"].values()))["split"]
    columns = ("modality", "width", "constant", "std min / median / max", "max |x|", "in any split")
    table = make_table(f"Feature columns of {split}", *columns)
    for m, facts in description["features"].items():
        constant = set(facts["constant"])
        std = sorted(x for i, x in enumerate(facts["std"]) if i not in constant and x is not None)
        spread = f"{std[0]:.3g} / {std[len(std) // 2]:.3g} / {std[-1]:.3g}" if std else "-"
        everywhere = [part["modalities"][m]["max_abs"] for part in description["splits"].values()]
        table.add_row(
            escape(m),
            str(len(facts["std"])),
            str(len(constant)),
            spread,
            _largest(facts["max_abs"]),
            _largest(everywhere),
        )
    console.print(table)


def _largest(values):
    if not values:  # Texts alone have no columns.
        return "-"
    return "not finite" if None in values else f"{max(values):.4g}"


def _print_labels(splits, console):
    labelled = {name: split["labels"] for name, split in splits.items() if split["labels"]}
    if labelled:
        table = make_table("Labels", "split", "mean", "std", "min", "max", "samples of a class")
        for name, labels in labelled.items():
            numbers = [f"{labels[key]:.3f}" if key in labels else "-" for key in ("mean", "std", "min", "max")]
            table.add_row(name, *numbers, ", ".join(f"{key}: {count}" for key, count in labels["classes"].items()))
        console.print(table)
    human = {name: split["modality_labels"] for name, split in splits.items() if split["modality_labels"]}
    if human:
        table = make_table(
            "Human labels per modality", "split", "modality", "mean", "std", "correlation with the label"
        )
        for name, modalities in human.items():
            for m, facts in modalities.items():
                correlation = "undefined" if facts["correlation"] is None else f"{facts['correlation']:.3f}"
                table.add_row(name, escape(m), f"{facts['mean']:.3f}", f"{facts['std']:.3f}", correlation)
        console.print(table)


def print_conversion(schema, dataset, console=None):
    """One line about the shards that were written, and what was cleaned or is suspicious, as `inspect` says it.

    Args:
        schema: what `data_pipelines.convert` returns.
        dataset: what `data_pipelines.open_shards` makes of them. The training split is gone through once.
    """
    console = console or Console()
    sizes = ", ".join(f"{name} {split['samples']}" for name, split in schema["splits"].items())
    files = list(Path(dataset.path).iterdir())
    size = sum(path.stat().st_size for path in files) / 1e6
    console.print(f"{escape(str(dataset.path))}: {sizes} samples in {len(files)} files, {size:.1f} MB")
    for line in _cleaned_lines(dataset.report.cleaned):
        console.print(line)
    print_warnings([*dataset.report.warnings, *suspicions(dataset)], console)


def print_extraction(found, path, console=None):
    """What was extracted, and every clip that was skipped or cut.

    Args:
        found: what `extraction.extract` returns.
        path: where it was written to.
    """
    console = console or Console()
    dataset = found.dataset
    sizes = ", ".join(f"{escape(name)} {len(split)}" for name, split in dataset.items())
    widths = ", ".join(f"{escape(m)} {width_words(width)}" for m, width in dataset.feature_dims.items())
    for warning in dataset.report.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")
    kept = sum(map(len, dataset.values()))
    console.print(
        f"{escape(str(path))}: {kept} of {found.listed} samples ({sizes}; widths: {widths}), "
        f"{len(found.skipped)} skipped for what is wrong with them"
    )


def _cleaned_lines(counts):
    """One line for each split and modality in which loading changed values."""
    lines = []
    for split, modalities in counts.items():
        for m, kinds in modalities.items():
            found = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.items() if count)
            if found:
                lines.append(f"cleaned in {split}, {m}: {found}")
    return lines
