"""What the paper prints: Tables 1, 2 and 3, and the label counts of Figure 4 that its text quotes.

MAE and Corr are as printed, accuracies and F1 in percent, under the names of our metrics. Of a pair "a/b" the first is
`has0` (negative against non-negative, all samples) and the second `non0` (negative against positive, neutral ones left
out), in the way of MISA and of those that followed it; the paper does not say so. A dash is None. ACC-2 of Table 2 is
`accuracy`.

Where the paper does not fit itself:

- PLUM-Net's MAE 0.448 and ACC-7 66.4 on CMU-MOSI do not fit its correlation 0.818: a residual of that size takes labels
  with a standard deviation of 0.98, and those of CMU-MOSI's test split have about 1.5.
- Its text gives "ACC-2 of 88.2%, F1 of 90.3%": the one is `has0`, the other `non0`.
- "ACC-2 by 4.6% and F1 by 4.2%" over the baseline of Table 3 are `acc2_has0` and `f1_non0`; the others are 4.1
  (`acc2_non0`) and 4.7 (`f1_has0`).
- "837 vs. 552" positives in Figure 4: of CMU-MOSI's 1284 training samples 552 are negative, 53 neutral and 679
  positive.

Source: Wang et al., "PLUM-Net: Prototype-Induced Label Structuring for Disentangled Multimodal Representation Network",
AAAI 2026.
"""

from plumkeras.nearest import nearest

PLUM_NET = "PLUM-Net"


def _table_1(rows):
    names = ("mae", "corr", "acc2_has0", "acc2_non0", "f1_has0", "f1_non0", "acc7")
    return {model: dict(zip(names, values, strict=True)) for model, values in rows.items()}


# Table 1, by data set and model.
_MOSI = {
    "MULT": (0.767, 0.799, None, 83.7, None, 83.7, 41.5),
    "ICCN": (0.860, 0.710, None, 85.1, None, 85.0, 40.0),
    "CubeMLP": (0.770, 0.767, None, 85.6, None, 85.5, 45.5),
    "BBFN": (0.776, 0.756, None, 84.4, None, 84.3, 46.0),
    "MIMM": (0.700, 0.800, 84.1, 86.0, 84.0, 86.0, 46.7),
    "UniMSE": (0.691, 0.809, 85.9, 86.9, 85.8, 86.4, 48.7),
    "GLoMo": (0.718, 0.782, 84.1, 86.7, 83.9, 86.6, 48.3),
    "Self-MM": (0.713, 0.798, 84.0, 86.0, 84.4, 86.0, None),
    "DTMD": (0.705, 0.799, 84.0, 86.0, 83.9, 86.0, 47.5),
    "DMD": (0.710, 0.792, None, 86.0, None, 86.0, 45.6),
    "MM-CoT": (0.647, 0.798, None, 88.3, None, 88.2, 48.1),
    PLUM_NET: (0.448, 0.818, 88.2, 90.3, 88.1, 90.3, 66.4),
}
_MOSEI = {
    "MULT": (0.625, 0.775, None, 84.7, None, 84.7, 50.7),
    "ICCN": (0.579, 0.713, None, 84.4, None, 84.3, 51.4),
    "CubeMLP": (0.529, 0.789, None, 86.2, None, 86.2, 54.9),
    "BBFN": (0.565, 0.767, None, 86.2, None, 86.2, 54.8),
    "MIMM": (0.526, 0.772, 82.24, 86.0, 82.7, 85.9, 54.2),
    "UniMSE": (0.523, 0.773, 85.9, 87.5, 85.8, 87.5, 54.4),
    "GLoMo": (0.539, 0.771, 83.7, 86.5, 84.0, 86.4, 55.0),
    "Self-MM": (0.530, 0.765, 82.8, 85.2, 82.5, 85.3, None),
    "DTMD": (0.531, 0.767, 84.8, 86.1, 84.9, 85.9, 53.7),
    "DMD": (0.537, 0.771, None, 86.6, None, 86.6, 54.5),
    "MM-CoT": (0.486, 0.798, None, 88.3, None, 88.4, 56.0),
    PLUM_NET: (0.372, 0.812, 87.2, 89.6, 87.1, 89.7, 66.8),
}
# Table 2, by model: UR-FUNNY and MUStARD.
_TABLE_2 = {
    "MISA (BERT)": (69.62, 66.18),
    "MISA (ALBERT)": (69.82, 66.18),
    "MAG-BERT (ALBERT)": (67.20, 69.12),
    "MAG-BERT (XLNet)": (72.43, 76.47),
    "GLoMo": (74.75, 79.36),
    PLUM_NET: (77.26, 83.59),
}
# Of Tables 1 and 2, by the name of the recipe, then by model: dicts of metrics.
TABLES = {
    "mosi": _table_1(_MOSI),
    "mosei": _table_1(_MOSEI),
    "ur_funny": {model: {"accuracy": first} for model, (first, _) in _TABLE_2.items()},
    "mustard": {model: {"accuracy": second} for model, (_, second) in _TABLE_2.items()},
}
# Table 3, on CMU-MOSI, by the modules that are on.
_TABLE_3 = {
    (): (83.6, 86.2, 83.4, 86.1),
    ("msa",): (86.0, 88.4, 85.9, 88.4),
    ("msa", "psl_tfb"): (87.9, 89.9, 87.8, 89.9),
    ("msa", "psl_tfb", "prm"): (88.2, 90.3, 88.1, 90.3),
}
# Figure 4, on CMU-MOSI's training split: what the text quotes, as it quotes it.
FIGURE_4 = {"multimodal": {"positive": 552, "neutral": 53}, "audio": {"positive": 837, "neutral": 21}}


def paper_row(dataset_name: str, model: str = PLUM_NET) -> dict[str, float | None]:
    """The metrics that Table 1 or 2 prints of a model.

    Args:
        dataset_name: `"mosi"`, `"mosei"`, `"ur_funny"` or `"mustard"`.
        model: as the table names it, without "(Ours)".

    Raises:
        KeyError: there is no such data set, or the table has no such model.
    """
    table = _of(TABLES, dataset_name, "data set")
    return dict(_of(table, model, f"model for {dataset_name}"))


def ablation_rows() -> list[dict]:
    """The rows of Table 3, from the baseline to all modules: dicts of `modules`, as in a recipe, and metrics."""
    names = ("acc2_has0", "acc2_non0", "f1_has0", "f1_non0")
    return [{"modules": modules, **dict(zip(names, row, strict=True))} for modules, row in _TABLE_3.items()]


def _of(table, name, kind):
    if name not in table:
        raise KeyError(
            f"the paper has no {kind} named {name!r}{nearest(name, table) or '; it has ' + ', '.join(table)}"
        )
    return table[name]
