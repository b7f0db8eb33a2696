import numpy as np

import plumkeras
from plumkeras.data_pipelines import Dataset

rng = np.random.default_rng(0)


def samples(count):  # your own arrays: sequences of any lengths, None where a sample lacks a modality
    labels = rng.uniform(-3, 3, count)
    text = [rng.normal(label, 1, size=(rng.integers(3, 12), 16)) for label in labels]
    audio = [rng.normal(size=(rng.integers(5, 20), 6)) if rng.random() < 0.9 else None for _ in labels]
    return {"text": text, "audio": audio, "labels": labels}


data = Dataset.from_arrays(train=samples(64), valid=samples(32), test=samples(32))
small = {"hidden_dim": 16, "num_heads": 2, "num_layers": 1}
run = plumkeras.train("mosi_frozen", data, network=small, alignment={"epochs": 1}, refinement={"epochs": 2})
print(run.metrics["test"])
print(run.embeddings(data["test"])["text"]["private_embedding"].shape)
print(run.predict({"text": [rng.normal(size=(7, 16))]})["prediction"])  # a sample without audio
