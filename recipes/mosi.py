"""CMU-MOSI: the paper's preset, and one of ours for frozen features.

`mosi` is what the paper states for CMU-MOSI: width 256, at most 160 + 140 epochs, Adam with learning rate 5e-5 and
dropout 0.6. What it does not state is ours: batch size 32, both temperatures 0.1, lambda_1 = 0.1, 8 heads, 2 layers.
The paper reports MAE 0.448, Corr 0.818, ACC-2 88.2 / 90.3 and ACC-7 66.4 on features that are not public; its MAE and
ACC-7 do not fit its own correlation, and nothing reaches them on public features.

    plumkeras train mosi --data aligned_50.pkl --output runs/mosi

`mosi_frozen` is ours, for files of frozen text vectors and utterance-level acoustics such as `mosi_text_audio.npz`;
three to five minutes on two CPU cores. Its values were chosen inside the training split, by four folds grouped by
video, each fold predicted by networks that were trained on the other three and stopped on `valid`; the test split had
no part in it. Wider does better there: widths 64, 128 and 256 reach Corr 0.658, 0.668 and 0.671 and ACC-2 non0 76.9,
78.1 and 78.6 % (n = 1284, 1231 non-zero); at width 64, dropout 0.7, longer training, a cosine schedule, seven classes
or label smoothing gained nothing. The number of layers was not varied.

    plumkeras train mosi_frozen --data mosi_text_audio.npz --output runs/mosi_frozen
"""

from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RecipeConfig, RefinementConfig

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
