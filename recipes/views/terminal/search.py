"""A search for hyper-parameters: its trials as they end, and the best of them."""

from rich.console import Console

from plumkeras.recipes.views.pictures.search import value_name
from plumkeras.recipes.views.terminal.tables import escape, print_line, print_table
from plumkeras.recipes.views.wrapping import fill_command


def print_trial(results, console=None):
    """One line about the trial that has just ended, and the best so far.

    Args:
        results: `search.results.SearchResults`.
    """
    ended = [trial for trial in results.trials if trial.status != "running"]
    trial = max(ended, key=lambda trial: trial.order)
    said = f"failed: {trial.reason}" if trial.status == "failed" else f"{trial.objective:.4f}"
    best = f"; best so far {results.best.objective:.4f}, trial {results.best.number}" if results.best else ""
    print_line(f"Trial {trial.number} ({len(ended)} of {results.search.trials} done): {said}{best}", console)


def print_search(results, directory, console=None, shown=4):
    """The best trials of a search, what they gained over the recipe's own values, and what the objective is.

    Args:
        results: `search.results.SearchResults` with a completed trial.
        directory: where they were written to.
        shown: int. How many trials, at most. Defaults to `4`.
    """
    console = console or Console()
    search = results.search
    ranked = sorted(results.completed, key=lambda trial: trial.objective)[:shown]
    if results.own is not None and results.own not in ranked:
        ranked.append(results.own)
    rows = [["", *map(_trial_title, ranked)], ["objective", *(f"{trial.objective:.4f}" for trial in ranked)]]
    if len(search.seeds) > 1:
        rows.append(["std over seeds (ddof 1)", *(f"{trial.objective_std:.4f}" for trial in ranked)])
    rows += [[field, *(value_name(trial.values[field]) for trial in ranked)] for field in results.fields]
    print_table(f"Search: {search.algorithm}, {len(results.trials)} trials", rows, console)
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
    data = "" if search.dataset.path is None else f" --data {search.dataset.path}"
    line = f"plumkeras train --config {directory / 'best_config.json'}{data} --output RUN"
    if console.is_terminal:
        console.print(f"Train the best configuration:\n{escape(fill_command(line, console.width))}", highlight=False)
    else:
        console.print(f"Train the best configuration: {escape(line)}", soft_wrap=True, highlight=False)


def _trial_title(trial):
    return "recipe" if trial.number == 0 else f"trial {trial.number}"


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
