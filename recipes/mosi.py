"""CMU-MOSI: the paper's preset, and one of ours for frozen features.

`mosi` is what the paper states for CMU-MOSI: width 256, at most 160 + 140 epochs, Adam with learning rate 5e-5 and
dropout 0.6. What it does not state is ours: batch size 32, both temperatures 0.1, lambda_1 = 0.1, 8 heads, 2 layers.
The paper reports MAE 0.448, Corr 0.818, ACC-2 88.2 / 90.3 and ACC-7 66.4 on features that are not public; its MAE and
ACC-7 do not fit its own correlation, and nothing reaches them on public features.

    plumkeras train mosi --data aligned_50.pkl --output runs/mosi

`mosi_frozen` is ours, for files of frozen text vectors and utterance-level acoustics such as `mosi_text_audio.npz`.
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
    network=NetworkConfig(hidden_dim=64, num_layers=1, num_heads=4, dropout=0.5),
    alignment=AlignmentConfig(epochs=6, learning_rate=5e-4, weight_decay=1e-2, clipnorm=1.0),
    refinement=RefinementConfig(epochs=20, learning_rate=5e-4, weight_decay=1e-2, clipnorm=1.0),
)
