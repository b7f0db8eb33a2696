# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tutorial: from arrays to predictions and embeddings
#
# Everything here runs in a minute or two on two CPU cores. The data are generated, so we know what there is to find:
# each modality shows one signal that all of them share and one that is private to it, and the label depends on both.

# %%
import matplotlib.pyplot as plt
import numpy as np

import plumkeras
from plumkeras.data_pipelines import Dataset, make_synthetic

# %% [markdown]
# ## Your arrays
#
# A sample is one array of frames `[T, F]` per modality and a label. Samples differ in length, and a sample may lack a
# modality (`None`). Here the arrays come out of a generator; yours come out of feature files or your own extraction.

# %%
sizes, widths = {"train": 256, "valid": 64, "test": 192}, {"text": 24, "audio": 12}
source, truth = make_synthetic(sizes, feature_dims=widths, missing_rate=0.1, seed=0)


def ragged(split):
    arrays = {
        m: [frames[:length] if length else None for frames, length in zip(split.features[m], split.lengths[m])]
        for m in split.modalities
    }
    return {**arrays, "labels": split.labels}


train, valid, test = (ragged(source[name]) for name in ("train", "valid", "test"))
print([None if frames is None else frames.shape for frames in train["audio"][:5]], train["labels"][:5])

# %%
dataset = Dataset.from_arrays(train=train, valid=valid, test=test)
dataset

# %% [markdown]
# ## Train
#
# A recipe is a configuration with a name, and any of its fields can be overridden. Both stages are trained, the epoch
# with the lowest validation loss is kept, and the test split is measured once. With `output="runs/mine"` the run would
# be written to disk, as the command line does.

# %%
run = plumkeras.train(
    "mosi_frozen",
    dataset,
    network={"hidden_dim": 32, "num_heads": 4, "dropout": 0.1},
    alignment={"epochs": 3, "learning_rate": 1e-3},
    refinement={"epochs": 6, "learning_rate": 1e-3},
)

# %%
run.summary()

# %%
history = run.history["refinement"]
epochs = np.arange(1, len(history["loss"]) + 1)
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.plot(epochs, history["prediction_loss"], label="training")
axis.plot(epochs, history["val_prediction_loss"], label="validation")
axis.set(xlabel="epoch of stage 2", ylabel="prediction loss (MAE)")
axis.legend()
plt.show()

# %% [markdown]
# ## Predict
#
# Beside the prediction, every modality has a label of its own: the class of the nearest prototype (0 negative,
# 1 neutral, 2 positive; -1 where the sample lacks the modality). Where they differ, the modalities disagree.

# %%
outputs = run.predict(dataset["test"])
labels = np.stack([outputs[f"{m}_hard_label"] for m in dataset.modalities], axis=1)
print(" label  prediction  ", "  ".join(dataset.modalities))
for label, prediction, own in zip(test["labels"][:8], outputs["prediction"][:8], labels[:8]):
    print(f"{label:6.1f}  {prediction:10.2f}  ", "  ".join(f"{k:{len(m)}d}" for m, k in zip(dataset.modalities, own)))

# %%
figure, axis = plt.subplots(figsize=(4, 4), layout="constrained")
axis.plot([-3, 3], [-3, 3], color="0.7")
axis.scatter(test["labels"], outputs["prediction"], s=10)
mae, corr, n = (run.metrics["test"][name] for name in ("mae", "corr", "n"))
axis.set(xlabel="label", ylabel="prediction", title=f"test: MAE {mae:.2f}, Corr {corr:.2f}, n = {n}")
plt.show()

# %% [markdown]
# A sample that lacks a modality is predicted from the others; a warning says which one is missing.

# %%
print(run.predict({"text": [test["text"][0]]})["prediction"], "with label", test["labels"][0])

# %% [markdown]
# ## Embeddings
#
# `embeddings` gives, per modality, what the branches make of a sample: what it shares, what it keeps private, and what
# the refinement makes of the two. Here are their first two principal components, coloured by the label.

# %%
embeddings = run.embeddings(dataset["test"])
print({name: values.shape for name, values in embeddings["text"].items()})


def components(values):
    centred = values - values.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


there = outputs["text_hard_label"] >= 0  # the test samples that have text
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for axis, name in zip(axes, ("common_embedding", "private_embedding", "refined_embedding")):
    points = components(embeddings["text"][name][there])
    drawn = axis.scatter(*points.T, c=test["labels"][there], s=8, cmap="coolwarm", vmin=-3, vmax=3)
    axis.set(title=f"text, {name}", xticks=[], yticks=[])
figure.colorbar(drawn, label="label")
plt.show()

# %% [markdown]
# ## Keep it
#
# `run.network` is a Keras model: `run.network.save("network.keras")` saves it with its standardisation and
# prototypes, and `plumkeras.export_saved_model(run.network, "served/mine")` exports it for TensorFlow Serving.

# %% [markdown]
# ## Sentences
#
# The network that comes with the package reads sentences by a pretrained text encoder, and scores them from -3 to 3. Of
# its own, `plumkeras.train("mosi_text", ...)` tunes such an encoder on data with `raw_text`.

# %%
sentences = ["the plot was thin but I loved it", "two hours that I will not get back"]
for sentence, score in zip(sentences, plumkeras.load_pretrained().predict(sentences)["prediction"]):
    print(f"{score:+.1f}  {sentence}")
