"""CMU-MOSEI, sentiment: the paper's preset.

The paper states for CMU-MOSEI: width 128, at most 50 + 50 epochs, Adam with learning rate 5e-5. What it does not state
is ours: dropout 0.1 (its 0.6 is given for CMU-MOSI), batch size 32, both temperatures 0.1, lambda_1 = 0.1, 8 heads,
2 layers. The split is the file's own, 16326 / 1871 / 4659 samples by video. The paper's features are
not public, so its figures are not promised.

    plumkeras convert aligned_50.pkl mosei_shards       # once; training then streams
    plumkeras train mosei --data mosei_shards --output runs/mosei
"""

from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RecipeConfig, RefinementConfig

mosei = RecipeConfig(
    name="mosei",
    network=NetworkConfig(hidden_dim=128, num_layers=2, num_heads=8, dropout=0.1),
    alignment=AlignmentConfig(epochs=50, learning_rate=5e-5),
    refinement=RefinementConfig(epochs=50, learning_rate=5e-5),
)
