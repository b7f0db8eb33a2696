"""The published models with their authors' settings for CMU-MOSI, where these are known.

Each is `plumkeras.recipes.models.<model>` with what the paper or the public code states. Text vectors take the place of
a language model that the authors tune, so that rates for one are left out. What the originals do by a schedule that
waits for a plateau is a constant rate here, and they stop when validation has not improved for `patience` epochs.

    plumkeras train mult_mosi --data aligned_50.pkl --output runs/mult_mosi
"""

from plumkeras.recipes.models.mult import MulTConfig, MulTRecipeConfig
from plumkeras.recipes.models.published import TrainingConfig

# The paper's table for CMU-MOSI; its clipping at 0.8 is of all gradients together, ours of each.
mult_mosi = MulTRecipeConfig(
    name="mult_mosi",
    batch_size=128,
    network=MulTConfig(width=40, num_layers=4, num_heads=10, text_dropout=0.2, attention_dropout=0.2, dropout=0.1),
    training=TrainingConfig(epochs=100, learning_rate=1e-3, clipnorm=0.8, patience=20),
)
