"""Predictions of texts, one a line."""

from rich.cells import cell_len, set_cell_size

from plumkeras.recipes.views.escaping import for_terminal
from plumkeras.recipes.views.terminal.tables import print_line
from plumkeras.tasks import get_task

MOST = 20
# Characters that are shown of a text.
_LONGEST = 200
_MISSING = "-"


def print_text_predictions(split, prediction, task, names, label_range=None, console=None):
    """The prediction in front of each text, and how they are to be read; of many texts the first.

    Args:
        split: `Split` with `raw_text`, as the network reads it.
        prediction: array `[N, ...]`. Of a text that is missing it says nothing, and is not shown.
        task: name of the task.
        names: of the classes.
        label_range: pair of floats, of a regression, or None.
    """
    task = get_task(task)
    words = task.prediction_words(prediction[:MOST], names, label_range)
    words = [for_terminal(w) if n else _MISSING for w, n in zip(words, split.lengths["text"], strict=False)]
    width = max(map(cell_len, words))
    for word, text in zip(words, split.raw_text, strict=False):
        print_line(f"{set_cell_size(word, width)}  {_one_line(text)}", console)
    if len(split) > MOST:
        print_line(f"... and {len(split) - MOST} more: --output FILE.csv writes all", console)
    print_line(task.how_to_read(label_range), console)


def _one_line(text):
    line = " ".join(text.split()) or "(empty)"
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
