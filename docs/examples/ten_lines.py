import numpy as np

import plumkeras
from plumkeras.data_pipelines import Dataset

rng = np.random.default_rng(0)


def samples(n):  # yours: an array [frames, features] per sample, or None where it is missing
    y = rng.uniform(-3, 3, n)
    text = [rng.normal(v, 1, size=(rng.integers(3, 12), 16)) for v in y]
    audio = [rng.normal(size=(9, 6)) if v > -2 else None for v in y]
    return {"text": text, "audio": audio, "labels": y}


data = Dataset.from_arrays(train=samples(256), valid=samples(64), test=samples(64))
run = plumkeras.train("mosi_frozen", data, network={"hidden_dim": 32}, refinement={"epochs": 8})
print(run.metrics["test"], run.embeddings(data["test"])["text"]["private_embedding"].shape)
print(run.predict({"text": [rng.normal(2, 1, size=(7, 16))]})["prediction"])  # without audio
