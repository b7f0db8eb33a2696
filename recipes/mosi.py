"""CMU-MOSI: the paper's preset, two of ours for frozen features, and two that read the text by a pretrained encoder.

`mosi` is what the paper states for CMU-MOSI: width 256, at most 160 + 140 epochs, Adam with learning rate 5e-5 and
dropout 0.6. What it does not state is ours: batch size 32, both temperatures 0.1, lambda_1 = 0.1, 8 heads, 2 layers.
The paper reports MAE 0.448, Corr 0.818, ACC-2 88.2 / 90.3 and ACC-7 66.4 on features that are not public; its MAE and
ACC-7 do not fit its own correlation, and nothing reaches them on public features.

    plumkeras train mosi --data aligned_50.pkl --output runs/mosi

`mosi_frozen` is ours, for files of frozen text vectors and utterance-level acoustics such as `mosi_text_audio.npz`;
two to five minutes on two CPU cores. Its values were chosen inside the training split, by four folds grouped by
video, each fold predicted by networks that were trained on the other three and stopped on `valid`; the test split had
no part in it. Figures there are of n = 1284, ACC-2 non0 of 1231. Wider does better: with a common branch for each
modality, widths 64, 128 and 256 reach Corr 0.658, 0.668 and 0.671 and ACC-2 non0 76.9, 78.1 and 78.6 %; at width 64,
dropout 0.7, longer training, a cosine schedule, seven classes or label smoothing gained nothing. One common branch for
all modalities does better than one for each (version 0.1.0): MAE 0.851 against 0.867, Corr 0.676 against 0.663,
ACC-2 non0 78.3 against 76.9 % (seeds 0 to 2). The test split disagrees, see docs/results.md. Around it, two layers
(seed 0: 0.875, 0.658, 79.0 %) and width 128 (seed 0: 0.865, 0.670, 78.0 %) gained nothing, and `branch_weight` 0.3
(0.835 and 0.847, 0.678 and 0.682, 78.6 and 78.9 %) no more than noise.

    plumkeras train mosi_frozen --data mosi_text_audio.npz --output runs/mosi_frozen

`mosi_trimodal` is ours too, for the same features with vision beside them and five folds in place of splits
(`mosi_trimodal_752.npz`), where every other network is hurt by audio and vision. Its values were chosen on the folds'
validation parts, pooled (n = 752, 450 samples to train on), before a test fold was looked at. What hurts is the branch
losses: on so few samples the branches of audio and vision learn the training labels by heart, and the head comes to
rely on them. At width 64, seed 0, validation MAE is 0.899 with `branch_weight` 1 and 0.874 with 0.1 (text alone:
0.873); at width 128, 0.893 with 0.3 and 0.870 with 0.1 (seed 1: 0.856; text alone: 0.880). Hiding audio and vision in
training (`modality_dropout` for these two alone), more dropout in their branches, a smaller scale of their vectors in
front of the head, dropout 0.7 everywhere and a stronger contrast gained nothing. One run each; differences below 0.012
are noise.

    plumkeras train mosi_trimodal --data mosi_trimodal_752.npz --output runs/mosi_trimodal

`mosi_text` reads the words of such a file by a pretrained encoder and tunes it in both stages; `mosi_text_frozen`
leaves the encoder as it is, with the settings of `mosi_frozen`. docs/text.md says how the former's were chosen.

    plumkeras train mosi_text --data mosi_text_audio.npz --output runs/mosi_text
"""

import dataclasses

from plumkeras.recipes.config import (
    AlignmentConfig,
    NetworkConfig,
    ObjectiveConfig,
    RecipeConfig,
    RefinementConfig,
    TextConfig,
)

mosi = RecipeConfig(
    name="mosi",
    network=NetworkConfig(hidden_dim=256, num_layers=2, num_heads=8, dropout=0.6),
    alignment=AlignmentConfig(epochs=160, learning_rate=5e-5),
    refinement=RefinementConfig(epochs=140, learning_rate=5e-5),
)

mosi_frozen = RecipeConfig(
    name="mosi_frozen",
    network=NetworkConfig(hidden_dim=256, num_layers=1, num_heads=8, dropout=0.5),
    alignment=AlignmentConfig(epochs=6, learning_rate=3e-4, weight_decay=1e-2, clipnorm=1.0),
    refinement=RefinementConfig(epochs=16, learning_rate=3e-4, weight_decay=1e-2, clipnorm=1.0),
)

mosi_trimodal = RecipeConfig(
    name="mosi_trimodal",
    network=NetworkConfig(
        hidden_dim=128,
        num_layers=1,
        num_heads=8,
        dropout=0.5,
        signed_log1p=("audio", "vision"),
        common_branch="per_modality",
    ),
    objective=ObjectiveConfig(branch_weight=0.1),
    alignment=AlignmentConfig(epochs=6, learning_rate=3e-4, weight_decay=1e-2, clipnorm=1.0),
    refinement=RefinementConfig(epochs=16, learning_rate=3e-4, weight_decay=1e-2, clipnorm=1.0),
)

# Of both stages where a text encoder is tuned.
TUNED = {"learning_rate": 3e-4, "schedule": "cosine", "warmup": 0.1, "weight_decay": 1e-2, "clipnorm": 1.0}

mosi_text = RecipeConfig(
    name="mosi_text",
    text=TextConfig(encoder="all-MiniLM-L6-v2", learning_rate=2e-4, layer_decay=0.9),
    network=NetworkConfig(hidden_dim=128, num_layers=1, num_heads=8, dropout=0.3),
    objective=ObjectiveConfig(label_classes="round7", branch_weight=0.1),
    alignment=AlignmentConfig(epochs=2, **TUNED),
    refinement=RefinementConfig(epochs=8, average=0.98, **TUNED),
)

mosi_text_frozen = dataclasses.replace(
    mosi_frozen, name="mosi_text_frozen", text=TextConfig(encoder="all-MiniLM-L6-v2", tuning="none")
)
