"""MUStARD, sarcasm in two classes, from its folder.

The paper reports ACC-2 83.59 % and states neither a setting nor a protocol for this set; all values are ours. By
default the five folds of `split_indices.p` are trained, each validated on the next (the set has no validation part),
and pooled. `--protocol speaker_independent` tests on FRIENDS, as the set's own code does, and carves validation from the
other shows by speaker: the folds share speakers, and who speaks says much of the label.

`mustard` reads text vectors, which the folder needs: `bert-output.jsonl`, or `plumkeras extract` with an encoder of
yours. Width 64, 10 + 20 epochs with early stopping; `branch_weight` is the best of twelve settings on the folds'
validation parts (pooled weighted F1, n = 690, three seeds: 0.599; the others 0.564 to 0.596).

    plumkeras train mustard --data MUStARD --output runs/mustard

`mustard_text` reads the words by a pretrained encoder, whose upper half it tunes; no features are needed. With the
folder, `--context-frames 64` puts the sentences before in front.

    plumkeras train mustard_text --data mustard_text.npz --output runs/mustard_text
"""

from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, ObjectiveConfig, RecipeConfig, RefinementConfig

mustard = RecipeConfig(
    name="mustard",
    network=NetworkConfig(hidden_dim=64, num_layers=1, num_heads=4, dropout=0.5),
    objective=ObjectiveConfig(branch_weight=0.1),
    alignment=AlignmentConfig(epochs=10, learning_rate=3e-4, weight_decay=1e-2, clipnorm=1.0),
    refinement=RefinementConfig(epochs=20, learning_rate=3e-4, weight_decay=1e-2, clipnorm=1.0, patience=5),
)
