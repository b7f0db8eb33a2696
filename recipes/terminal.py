"""Tables that a person reads: metrics, data sets, benchmarks."""

import contextlib

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from plumkeras.data_pipelines import suspicions

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
_SIMS = {
    "mae": "MAE",
    "corr": "Corr",
    "acc5": "ACC-5 %",
    "acc3": "ACC-3 %",
    "acc2": "ACC-2 %",
    "f1": "F1 %",
    "n": "n",
}
_CLASSIFICATION = {"accuracy": "accuracy %", "f1_weighted": "F1 weighted %", "f1_macro": "F1 macro %", "n": "n"}
_CONVENTIONS = {
    "regression": "MAE and Corr on raw values; ACC-7 and ACC-5 clipped to ±3 and ±2 and rounded half to even; has0: "
    "all samples, cut at >= 0; non0: samples whose label is not 0, cut at > 0; F1 weighted by the labels' support.",
    "sims": "SIMS: labels and predictions clipped to ±1; two classes cut at 0, with 0 negative, three at ±0.1, five at "
    "±0.1 and ±0.7; F1 of the two classes, weighted by the labels' support.",
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
        reports: dict from split name to `sentiment_report`, `sims_report` or `classification_report`.
        task: `"regression"` or `"classification"`.
    """
    console = console or Console()
    rows, convention = metric_rows(reports, task)
    table = _table("Metrics", "", *reports)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(convention, style="dim")


def metric_rows(reports, task):
    """The rows of a table of metrics, each its name and a text per report; and their conventions, a text."""
    kind = "sims" if any("acc3" in report for report in reports.values()) else task
    names = {"regression": _REGRESSION, "sims": _SIMS, "classification": _CLASSIFICATION}[kind]
    rows = [[title, *(_metric(key, report[key]) for report in reports.values())] for key, title in names.items()]
    baseline = " Baseline: the training labels' " + ("median." if task == "regression" else "most frequent class.")
    return rows, f"{_CONVENTIONS[kind]}{baseline if any('baseline' in r for r in reports) else ''}"


def _metric(key, value):
    if value is None:
        return "undefined"
    if key in ("n", "n_non0"):
        return str(value)
    return f"{value:.3f}" if key in ("mae", "corr") else f"{100 * value:.1f}"


def print_data(dataset, recipe=None, console=None):
    """One line about the data before training, what loading cleaned, and what is suspicious about what is used."""
    console = console or Console()
    sizes = ", ".join(f"{name} {len(split)}" for name, split in dataset.items())
    widths = ", ".join(f"{m} {width}" for m, width in dataset.feature_dims.items())
    console.print(f"Data: {escape(str(dataset.path or 'generated'))} ({dataset.task}; {sizes}; widths: {widths})")
    chosen = {} if recipe is None else {"modalities": recipe.modalities, "compressed": recipe.network.signed_log1p}
    _print_warnings([*dataset.report.warnings, *suspicions(dataset, **chosen)], console)


def _print_warnings(warnings, console):
    for warning in warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")


def print_description(description, console=None):
    """What `plumkeras inspect` shows of `data_pipelines.describe`."""
    console = console or Console()
    known = f" ({description['known_file']})" if description["known_file"] else ""
    console.print(f"[bold]{escape(str(description['path']))}[/bold]")
    console.print(f"format {escape(description['format'])}; sha256 {description['sha256']}{escape(known)}")
    source = description["source"]
    if source["sha256"] != description["sha256"]:
        console.print(f"converted from format {escape(str(source['format']))}; sha256 {escape(str(source['sha256']))}")
    low_high = description["label_range"]
    scale = f", labels in [{low_high[0]:g}, {low_high[1]:g}]" if low_high and None not in low_high else ""
    classes = f", {description['num_classes']} classes" if description["num_classes"] else ""
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
    cleaned = _cleaned(description["cleaned"])
    for line in cleaned:
        console.print(line)
    _print_warnings(description["warnings"], console)
    if not description["warnings"] and not cleaned:
        console.print("nothing cleaned, nothing suspicious")


def _print_sequences(title, splits, console):
    table = _table(title, "split", "modality", "n", "width", "frames min / median / p95 / max", "missing", "padding %")
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
    table = _table(f"Feature columns of {split}", *columns)
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
    return "not finite" if None in values else f"{max(values):.4g}"


def _print_labels(splits, console):
    labelled = {name: split["labels"] for name, split in splits.items() if split["labels"]}
    if labelled:
        table = _table("Labels", "split", "mean", "std", "min", "max", "classes")
        for name, labels in labelled.items():
            numbers = [f"{labels[key]:.3f}" if key in labels else "-" for key in ("mean", "std", "min", "max")]
            table.add_row(name, *numbers, ", ".join(f"{key}: {count}" for key, count in labels["classes"].items()))
        console.print(table)
    human = {name: split["modality_labels"] for name, split in splits.items() if split["modality_labels"]}
    if human:
        table = _table("Human labels per modality", "split", "modality", "mean", "std", "correlation with the label")
        for name, modalities in human.items():
            for m, facts in modalities.items():
                correlation = "undefined" if facts["correlation"] is None else f"{facts['correlation']:.3f}"
                table.add_row(name, escape(m), f"{facts['mean']:.3f}", f"{facts['std']:.3f}", correlation)
        console.print(table)


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


@contextlib.contextmanager
def counting(title, console=None):
    """A progress bar; yields what is called with how many are done, and of how many."""
    with Progress(console=console or Console(), transient=True) as bar:
        task = bar.add_task(escape(title), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_conversion(schema, dataset, console=None):
    """One line about the shards that were written, and what was cleaned or is suspicious, as `inspect` says it.

    Args:
        schema: what `data_pipelines.convert` returns.
        dataset: what `data_pipelines.open_shards` makes of them. The training split is gone through once.
    """
    console = console or Console()
    sizes = ", ".join(f"{name} {split['samples']}" for name, split in schema["splits"].items())
    shards = [shard for split in schema["splits"].values() for shard in split["shards"]]
    size = sum(shard["bytes"] for shard in shards) / 1e6
    console.print(f"{escape(str(dataset.path))}: {sizes} samples in {len(shards)} shards, {size:.1f} MB")
    for line in _cleaned(dataset.report.cleaned):
        console.print(line)
    _print_warnings([*dataset.report.warnings, *suspicions(dataset)], console)


def print_extraction(found, path, console=None):
    """What was extracted, and every clip that was skipped or cut.

    Args:
        found: what `extraction.extract` returns.
        path: where it was written to.
    """
    console = console or Console()
    dataset = found.dataset
    sizes = ", ".join(f"{name} {len(split)}" for name, split in dataset.items())
    widths = ", ".join(f"{m} {width}" for m, width in dataset.feature_dims.items())
    for warning in dataset.report.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")
    kept = sum(map(len, dataset.values()))
    console.print(
        f"{escape(str(path))}: {kept} of {found.listed} samples ({sizes}; widths: {widths}), "
        f"{len(found.skipped)} skipped for what is wrong with them"
    )


def print_data_benchmark(result, recipe, console=None):
    """What `benchmark_data` measured: rates, their ratio, and the memory of training from shards."""
    console = console or Console()
    title = f"{result['samples']} generated samples of {result['sample_bytes']} bytes, recipe {recipe}"
    table = _table(title, "", "samples", "s", "samples/s")
    parts = {
        "conversion": "conversion to shards",
        "reading": f"reading in training order, median of {len(result['reading']['all_seconds'])}",
        "training": "training, steps of stage 2",
    }
    for part, name in parts.items():
        facts = result[part]
        table.add_row(name, str(facts["samples"]), f"{facts['seconds']:.2f}", f"{facts['samples_per_second']:.0f}")
    console.print(table)
    console.print(f"reading is {result['reading_over_training']:.1f} times as fast as training")
    whole, tenth = (result["peak_memory"][name] / 1e6 for name in ("whole", "tenth"))
    console.print(
        f"peak memory of an epoch from shards: {whole:.0f} MB, on a tenth of the samples {tenth:.0f} MB: "
        f"{whole - tenth:+.0f} MB"
    )


def print_trial(results, console=None):
    """One line about the trial that has just ended, and the best so far.

    Args:
        results: `search_results.SearchResults`.
    """
    console = console or Console()
    ended = [trial for trial in results.trials if trial.status != "running"]
    trial = max(ended, key=lambda trial: trial.order)
    by = "" if trial.worker in (None, "here") else f", by {trial.worker}"
    said = f"failed: {trial.reason}" if trial.status == "failed" else f"{trial.objective:.4f}"
    best = f"; best so far {results.best.objective:.4f}, trial {results.best.number}" if results.best else ""
    console.print(
        f"Trial {trial.number} ({len(ended)} of {results.search.trials} done{escape(by)}): {escape(said)}{best}",
        highlight=False,
        soft_wrap=True,
    )


def print_search(results, directory, console=None, shown=4):
    """The best trials of a search, what they gained over the recipe's own values, and what the objective is.

    Args:
        results: `search_results.SearchResults` with a completed trial.
        directory: where they were written to.
        shown: int. How many trials, at most. Defaults to `4`.
    """
    console = console or Console()
    search = results.search
    ranked = sorted(results.completed, key=lambda trial: trial.objective)[:shown]
    if results.own is not None and results.own not in ranked:
        ranked.append(results.own)
    table = _table(f"Search: {search.algorithm}, {len(results.trials)} trials", "", *map(_trial_title, ranked))
    table.add_row("objective", *(f"{trial.objective:.4f}" for trial in ranked))
    if len(search.seeds) > 1:
        table.add_row("std over seeds (ddof 1)", *(f"{trial.objective_std:.4f}" for trial in ranked))
    for field in results.fields:
        table.add_row(field, *(_setting(trial.values[field]) for trial in ranked))
    console.print(table)
    seeds = ", ".join(map(str, search.seeds))
    over = f"mean over the seeds {seeds}" if len(search.seeds) > 1 else f"seed {seeds}"
    console.print(
        f"Objective: {results.objective_title} of the prediction on valid (n = {results.samples}) at the epoch that "
        f"validation kept, {over}; the lower, the better. The test split took no part.",
        style="dim",
    )
    failed = [trial for trial in results.trials if trial.status == "failed"]
    if failed:
        console.print(
            f"[yellow]warning:[/yellow] {len(failed)} of {len(results.trials)} trials failed; the first, trial "
            f"{failed[0].number}: {escape(failed[0].reason)}"
        )
    console.print(_gain(results))
    console.print(f"Best configuration: {escape(str(directory / 'best_config.json'))}, for plumkeras train --config")


def _trial_title(trial):
    return "recipe" if trial.number == 0 else f"trial {trial.number}"


def _setting(value):
    if isinstance(value, (list, tuple)):
        return escape(" ".join(map(str, value)) or "none")
    return f"{value:g}" if isinstance(value, float) else escape(str(value))


def _gain(results):
    if results.own is None:
        return "The trial of the recipe's own values failed: there is nothing to compare the best with."
    if results.best is results.own:
        return "No trial was better than the recipe's own values."
    mean, std = results.gain
    spread = (
        "" if std is None else f" ± {std:.4f} (standard deviation over {len(results.own.objectives)} seeds, ddof 1)"
    )
    return (
        f"Trial {results.best.number} is {mean:.4f}{spread} below the recipe's own values, "
        f"{results.own.objective:.4f}, on the same seeds. It was chosen by these samples: expect less on others."
    )
