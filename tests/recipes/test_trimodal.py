"""`mosi_trimodal` makes use of audio and vision where they say something: ignoring them is no way to be unhurt."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from plumkeras.data_pipelines import make_synthetic
from plumkeras.recipes import find_recipe
from plumkeras.recipes.runs import predictions
from plumkeras.recipes.runs.stages import Training

MODALITIES = ("text", "audio", "vision")


@pytest.mark.verify
def test_half_of_the_gain_of_true_latents_is_recovered():
    """Half of the label's variance is private to audio and vision; shapes and sizes are those of the real file."""
    dataset, truth = make_synthetic(
        {"train": 450, "valid": 150, "test": 750},
        feature_dims={"text": 384, "audio": 73, "vision": 100},
        max_lengths={"text": 50, "audio": 1, "vision": 1},
        relative_strength={"text": 0.0, "audio": 1.0, "vision": 1.0},
        label_weights={"audio": 0.5**0.5, "vision": 0.5**0.5},
    )
    labels = {name: split.labels for name, split in dataset.items()}

    def of_latents(modalities):
        latents = {name: np.column_stack([truth[name]["signal"][m] for m in modalities]) for name in dataset}
        predicted = LinearRegression().fit(latents["train"], labels["train"]).predict(latents["test"])
        return np.abs(predicted - labels["test"]).mean()

    def of_network(modalities):
        training = Training(dataclasses.replace(find_recipe("mosi_trimodal"), modalities=modalities), dataset)
        training.fit(verbose=0)
        predicted = predictions.predict_split(training.network, dataset["test"])["prediction"]
        return np.abs(predicted - labels["test"]).mean()

    possible = of_latents(MODALITIES[:1]) - of_latents(MODALITIES)
    gained = of_network(MODALITIES[:1]) - of_network(MODALITIES)
    assert possible > 0.6
    assert gained >= possible / 2
