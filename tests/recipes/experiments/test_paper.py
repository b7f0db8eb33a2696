"""The paper's figures as data: what its own text says of its tables, and where that does not fit."""

import numpy as np
import pytest

from plumkeras.data_pipelines import load
from plumkeras.recipes import recipe_names
from plumkeras.recipes.config import NetworkConfig
from plumkeras.recipes.experiments.paper import FIGURE_4, PLUM_NET, TABLES, ablation_rows, paper_row


def test_the_tables_say_what_the_text_says():
    mosi, mosei = paper_row("mosi"), paper_row("mosei")
    assert (mosi["mae"], mosi["corr"], mosi["acc2_has0"], mosi["f1_non0"], mosi["acc7"]) == (
        *(0.448, 0.818, 88.2, 90.3, 66.4),
    )
    assert (mosei["mae"], mosei["corr"], mosei["acc7"]) == (0.372, 0.812, 66.8)
    assert paper_row("ur_funny") == {"accuracy": 77.26} and paper_row("mustard", "GLoMo") == {"accuracy": 79.36}
    assert set(TABLES) <= set(recipe_names())
    # "Across every metric PLUM-Net consistently delivers superior results."
    for table in TABLES.values():
        for metric, own in table[PLUM_NET].items():
            others = [row[metric] for model, row in table.items() if model != PLUM_NET and row[metric] is not None]
            assert own < min(others) if metric == "mae" else own > max(others)


def test_the_ablation_ends_on_the_row_of_table_1_and_gains_what_the_text_says():
    rows = ablation_rows()
    first, last = rows[0], rows[-1]
    assert last == {"modules": NetworkConfig().modules, **{m: paper_row("mosi")[m] for m in first if m != "modules"}}
    gains = {metric: round(last[metric] - first[metric], 1) for metric in first if metric != "modules"}
    assert gains == {"acc2_has0": 4.6, "acc2_non0": 4.1, "f1_has0": 4.7, "f1_non0": 4.2}


def test_the_positives_of_figure_4_are_the_negatives_of_cmu_mosi(real_data):
    labels = load(real_data / "mosi_text_audio.npz")["train"].labels
    assert np.sum(labels < 0) == FIGURE_4["multimodal"]["positive"] and np.sum(labels > 0) == 679
    assert np.sum(labels == 0) == FIGURE_4["multimodal"]["neutral"]


def test_what_the_paper_does_not_have():
    with pytest.raises(KeyError, match=r"no data set named 'mosy'.*mosi"):
        paper_row("mosy")
    with pytest.raises(KeyError, match=r"no model for mustard named 'UniMSE'.*MISA \(BERT\)"):
        paper_row("mustard", "UniMSE")
    paper_row("mosi")["mae"] = 0.0
    assert paper_row("mosi")["mae"] == 0.448
