"""Table 3: PLUM-Net with more and more of its modules; and every other choice of it changed alone."""

from plumkeras.recipes.config import ConfigError, with_values
from plumkeras.recipes.experiments.paper import ablation_rows
from plumkeras.recipes.experiments.results import Results
from plumkeras.recipes.experiments.rows import Row

SEEDS = (0, 1, 2, 3, 4)
OPTIONS = ("rows",)

# By name: title, modules.
TABLE3 = {
    "none": ("stem, mean and head", ()),
    "msa": ("+ MSA", ("msa",)),
    "msa_psl_tfb": ("+ PSL and TFB", ("msa", "psl_tfb")),
    "msa_psl_tfb_prm": ("+ PRM: all", ("msa", "psl_tfb", "prm")),
}
# By name: title, and the fields that differ from the recipe; what the recipe has already is left out.
CHOICES = {
    "without_msa": ("without MSA", {"objective.alignment_weight": 0.0}),
    "without_psl": ("without PSL", {"objective.private_target": "class", "prototype_policy": "none"}),
    "target_hard": ("private branches learn hard labels", {"objective.private_target": "hard"}),
    "target_soft": ("private branches learn soft labels", {"objective.private_target": "soft"}),
    "target_class": ("private branches learn the true class", {"objective.private_target": "class"}),
    "prototypes_epoch": ("prototypes of each epoch", {"prototype_policy": "epoch"}),
    "prototypes_ema": ("prototypes by moving average", {"prototype_policy": "ema"}),
    "prototypes_batch": ("prototypes of each batch", {"prototype_policy": "batch"}),
    "stage2_total": ("stage 2 minimises eq. 13", {"refinement.objective": "total"}),
    "stage2_refinement": ("stage 2 minimises the prediction loss", {"refinement.objective": "refinement"}),
    "common_shared": ("one common branch", {"network.common_branch": "shared"}),
    "common_per_modality": ("a common branch for each modality", {"network.common_branch": "per_modality"}),
}


def make_rows(setup):
    """The rows of Table 3, and with `rows="all"` the choices."""
    if setup.config.model != "plum_net":
        raise ConfigError(f"ablation is of PLUM-Net; the recipe {setup.config.name!r} has model={setup.config.model}")
    rows = {}
    for name, (title, modules) in TABLE3.items():
        rows[name] = Row(title, with_values(setup.config, {"network.modules": modules, "record": ()}))
    if setup.options.rows == "all":
        whole = with_values(setup.config, {"network.modules": TABLE3["msa_psl_tfb_prm"][1]})
        for name, (title, fields) in CHOICES.items():
            changed = with_values(whole, fields)
            if changed != whole:
                rows[name] = Row(title, changed, seeds=setup.seeds[:1])
    return rows


def make_results(outcome):
    """The table with the paper's beside it, and that of the choices."""
    titles = {modules: title for title, modules in TABLE3.values()}
    paper = [outcome.paper_cells(f"paper: {titles[row['modules']]}", row) for row in ablation_rows()]
    table = outcome.table(
        "table3",
        "Table 3: modules",
        TABLE3,
        [outcome.baseline_row(), *paper],
        ["The paper's rows are of MOSI with its own features, which are not public."],
    )
    tables = [table, outcome.differences(list(TABLE3)[::-1], "against all modules"), outcome.times()]
    choices = [name for name in outcome.rows if name not in TABLE3]
    if choices:
        one = f"One choice changed alone; seed {outcome.seeds[0]}"
        tables.insert(1, outcome.table("choices", one, choices))
        tables.insert(2, outcome.differences(["msa_psl_tfb_prm", *choices], "of the choices", outcome.seeds[:1]))
    about = [
        f"Recipe `{outcome.config.name}` with the modules of each row of the paper's Table 3, all else the same: none: "
        "stem, masked mean and head, trained in stage 2 alone; MSA: the head reads the stem's and the aligned vectors; "
        "PSL and TFB: common and private vectors; PRM: refined vectors.",
    ]
    return Results(f"Ablation of {outcome.config.name}", about, tables)
