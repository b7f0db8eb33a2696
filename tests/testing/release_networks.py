"""Writes the small network of a release that later releases must be able to load.

    python -m tests.testing.release_networks

Run once for each release, with its version in `plumkeras.__version__`; a file that is there already is never replaced.
Two networks, so that every layer and both tasks stand in a file, and what they put out for fixed inputs.
"""

import sys
from pathlib import Path

import numpy as np

import plumkeras
from tests.testing.networks import make_inputs, make_network, to_numpy

RELEASES = Path(__file__).resolve().parents[1] / "plumkeras" / "releases"

NETWORKS = {
    "regression": {"compression": {"audio": "signed_log1p"}, "modality_dropout": 0.2},
    "classification": {
        "widths": {"text": 4},
        "task": "classification",
        "num_classes": 2,
        "fusion": "vector",
        "common_branch": "shared_encoder",
    },
}


def main():
    for name, options in NETWORKS.items():
        path = RELEASES / f"{plumkeras.__version__}_{name}.keras"
        if path.exists():
            sys.exit(f"{path}: exists; a release's file is never replaced")
        inputs = make_inputs(widths=options.get("widths"))
        network = make_network(**options)
        outputs = {key: value for key, value in to_numpy(network(inputs)).items()}
        network.save(path)
        np.savez_compressed(
            path.with_suffix(".npz"),
            **{f"input/{key}": value for key, value in inputs.items()},
            **{f"output/{key}": value for key, value in outputs.items()},
        )


if __name__ == "__main__":
    main()
