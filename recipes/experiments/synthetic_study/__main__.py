"""What prototype labels, branches and modules find on data whose truth is known.

    python -m plumkeras.recipes.experiments.synthetic_study --output recipes/results

Writes `synthetic_study.md` with its pictures and `synthetic_study.json` with every number, for networks with a shared
common branch and with one for each modality; what the folder has of a kind that is not asked for stays. About half an
hour on one CPU core for each. The generator was fixed before any network was trained on it, and nothing here was chosen
by its outcome: the recipe `synthetic`, five seeds, each with data and weights of its own.

1. Relative strength of the private latents 0, 1/4, 1/2 and 1: how often the prototype label of a modality agrees with
   the true private class and with the multimodal class, before training, after the contrastive terms alone ("MSA"),
   after stage 1 and after stage 2; and how close the common and the private embeddings of two modalities are.
2. The rows of Table 3: `modules` from none to all, at strength 1/2.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import plumkeras
from plumkeras.files import write_json
from plumkeras.recipes.experiments.synthetic_study import page
from plumkeras.recipes.experiments.synthetic_study.study import ROWS, study_modules, study_strength
from plumkeras.recipes.synthetic import synthetic


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for the page, its pictures and the numbers")
    parser.add_argument(
        "--common-branch", nargs="+", choices=page.BRANCHES, default=list(page.BRANCHES), help="kinds of network to run"
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    numbers = options.output / "synthetic_study.json"
    results = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else {}
    for branch in options.common_branch:
        recipe = dataclasses.replace(synthetic, network=dataclasses.replace(synthetic.network, common_branch=branch))
        has_branches = [modules for modules in ROWS if "psl_tfb" in modules]
        results[branch] = {
            "version": plumkeras.__version__,
            "strength": study_strength(recipe),
            "modules": study_modules(recipe, has_branches),
        }
        write_json(numbers, results, indent=1)
    if results.get("without_branches", {}).get("version") != plumkeras.__version__:
        plain = [modules for modules in ROWS if "psl_tfb" not in modules]
        results["without_branches"] = {"version": plumkeras.__version__, "modules": study_modules(synthetic, plain)}
        write_json(numbers, results, indent=1)
    page.write(results, options.output)


if __name__ == "__main__":
    main()
