"""Tables that a person reads: metrics, data sets, benchmarks."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_REGRESSION = {
    "mae": "MAE",
    "corr": "Corr",
    "acc7": "ACC-7 %",
    "acc5": "ACC-5 %",
    "acc2_has0": "ACC-2 has0 %",
    "f1_has0": "F1 has0 %",
    "acc2_non0": "ACC-2 non0 %",
    "f1_non0": "F1 non0 %",
    "n": "n",
    "n_non0": "n non0",
}
_CLASSIFICATION = {"accuracy": "accuracy %", "f1_weighted": "F1 weighted %", "f1_macro": "F1 macro %", "n": "n"}
_CONVENTIONS = {
    "regression": "MAE and Corr on raw values; ACC-7 and ACC-5 clipped to ±3 and ±2 and rounded half to even; has0: "
    "all samples, cut at >= 0; non0: samples whose label is not 0, cut at > 0; F1 weighted by the labels' support.",
    "classification": "Class of the highest probability; F1 weighted by the labels' support, and its plain "
    "mean over classes.",
}


def _table(title, *columns):
    table = Table(title=escape(title), title_justify="left", title_style="bold", header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return table


def print_metrics(reports, task, console=None):
    """Prints metrics, one column a split, with their conventions and numbers of samples.

    Args:
        reports: dict from split name to `sentiment_report` or `classification_report`.
        task: `"regression"` or `"classification"`.
    """
    console = console or Console()
    names = _REGRESSION if task == "regression" else _CLASSIFICATION
    table = _table("Metrics", "", *reports)
    for key, title in names.items():
        table.add_row(title, *(_metric(key, report[key]) for report in reports.values()))
    console.print(table)
    baseline = " Baseline: the training labels' " + ("median." if task == "regression" else "most frequent class.")
    console.print(f"{_CONVENTIONS[task]}{baseline if any('baseline' in r for r in reports) else ''}", style="dim")


def _metric(key, value):
    if value is None:
        return "undefined"
    if key in ("n", "n_non0"):
        return str(value)
    return f"{value:.3f}" if key in ("mae", "corr") else f"{100 * value:.1f}"


def print_data(dataset, console=None):
    """One line about the data before training, and what loading cleaned or suspects."""
    console = console or Console()
    sizes = ", ".join(f"{name} {len(split)}" for name, split in dataset.items())
    widths = ", ".join(f"{m} {width}" for m, width in dataset.feature_dims.items())
    console.print(f"Data: {escape(str(dataset.path or 'generated'))} ({dataset.task}; {sizes}; widths: {widths})")
    for warning in dataset.report.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")


def print_description(description, console=None):
    """What `plumkeras inspect` shows of `data_pipelines.describe`."""
    console = console or Console()
    known = f" ({description['known_file']})" if description["known_file"] else ""
    console.print(f"[bold]{escape(str(description['path']))}[/bold]")
    console.print(f"format {description['format']}; sha256 {description['sha256']}{escape(known)}")
    low_high = description["label_range"]
    scale = f", labels in [{low_high[0]:g}, {low_high[1]:g}]" if low_high else ""
    console.print(f"task {description['task'] or 'unknown: no labels'}{scale}")

    table = _table(
        "Sequences", "split", "modality", "n", "width", "frames min / median / p95 / max", "missing", "padding %"
    )
    for name, split in description["splits"].items():
        for m, facts in split["modalities"].items():
            length = facts["length"]
            table.add_row(
                name,
                m,
                str(split["samples"]),
                str(facts["width"]),
                f"{length['min']} / {length['median']:g} / {length['p95']:g} / {length['max']}",
                str(facts["missing"]),
                f"{100 * facts['padding_share']:.1f}",
            )
    console.print(table)

    labelled = {name: split["labels"] for name, split in description["splits"].items() if split["labels"]}
    if labelled:
        table = _table("Labels", "split", "mean", "std", "min", "max", "classes")
        for name, labels in labelled.items():
            numbers = [f"{labels[key]:.3f}" if key in labels else "-" for key in ("mean", "std", "min", "max")]
            table.add_row(name, *numbers, ", ".join(f"{key} {count}" for key, count in labels["classes"].items()))
        console.print(table)
    for name, split in description["splits"].items():
        if split["folds"]:
            folds = ", ".join(f"{fold}: {count}" for fold, count in split["folds"].items())
            console.print(f"folds of {name}: {folds}")
    constant = {m: count for m, count in description["constant_features"].items() if count}
    if constant:
        console.print("constant feature columns: " + ", ".join(f"{m} {count}" for m, count in constant.items()))
    cleaned = _cleaned(description["cleaned"])
    for line in cleaned:
        console.print(line)
    for warning in description["warnings"]:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")
    if not description["warnings"] and not cleaned:
        console.print("nothing cleaned, nothing suspicious")


def _cleaned(counts):
    """One line for each split and modality in which loading changed values."""
    lines = []
    for split, modalities in counts.items():
        for m, kinds in modalities.items():
            found = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.items() if count)
            if found:
                lines.append(f"cleaned in {split}, {m}: {found}")
    return lines


def print_benchmark(result, recipe, console=None):
    """Medians of both kinds of epoch, their ratio, and the share of padding that is computed on."""
    console = console or Console()
    rounds = len(result["padded"]["all_seconds"])
    title = f"Epoch of stage 2, recipe {recipe}, {result['samples']} samples in {result['batches']} batches"
    table = _table(title, "batches", f"median of {rounds}, s", "padded frames computed on, %")
    for kind, name in (("length_aware", "length-aware"), ("padded", "padded to the longest")):
        table.add_row(name, f"{result[kind]['seconds']:.2f}", f"{100 * result[kind]['padding_share']:.1f}")
    console.print(table)
    console.print(f"length-aware is {result['speedup']:.2f} times as fast (ratio of the medians, epochs taken in turn)")
