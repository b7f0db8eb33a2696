"""MUStARD, sarcasm in two classes, from its folder.

The paper reports ACC-2 83.59 % and states neither a setting nor a protocol for this set; all values are ours: width 64,
10 + 20 epochs with early stopping. By default the five folds of `split_indices.p` are trained, each validated on the
next (the set has no validation part), and pooled. `--protocol speaker_independent` tests on FRIENDS, as the set's own
code does, and carves validation from the other shows by speaker. Text needs vectors: `bert-output.jsonl` in the folder,
or `plumkeras extract` with an encoder of yours.

    plumkeras train mustard --data MUStARD --output runs/mustard
"""

from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RecipeConfig, RefinementConfig

mustard = RecipeConfig(
    name="mustard",
    network=NetworkConfig(hidden_dim=64, num_layers=1, num_heads=4, dropout=0.5),
    alignment=AlignmentConfig(epochs=10, learning_rate=3e-4, weight_decay=1e-2, clipnorm=1.0),
    refinement=RefinementConfig(epochs=20, learning_rate=3e-4, weight_decay=1e-2, clipnorm=1.0, patience=5),
)
