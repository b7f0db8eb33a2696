"""UR-FUNNY, humor in two classes, from the folder of version 1 or 2.

The paper reports ACC-2 77.26 % and states no setting for this set; all values are ours: width 128, 20 + 20 epochs with
early stopping, and the last 60 words of context in front of the punchline (`--context-frames 0` takes the punchline
alone). The split is that of `data_folds.pkl`, speaker independent in version 2.

    plumkeras train ur_funny --data UR-FUNNY_V2 --output runs/ur_funny
"""

from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RecipeConfig, RefinementConfig

ur_funny = RecipeConfig(
    name="ur_funny",
    context_frames=60,
    network=NetworkConfig(hidden_dim=128, num_layers=1, num_heads=8, dropout=0.3),
    alignment=AlignmentConfig(epochs=20, learning_rate=1e-4),
    refinement=RefinementConfig(epochs=20, learning_rate=1e-4, patience=5),
)
