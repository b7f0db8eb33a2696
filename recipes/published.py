"""The published models with their authors' settings for CMU-MOSI, where these are known; of TFN and LMF a port's.

Text vectors take the place of the language model that most of the authors tune, so that its rates are left out. What
the originals do otherwise:

- schedules that wait for a plateau are a constant rate here, and training stops when validation has not improved for
  `patience` epochs;
- gradients summed over several batches are one batch of their size;
- clipping is of each weight's gradient, where theirs is of all together (MulT, BBFN, MMIM) or of each value (MISA, DMD,
  CubeMLP);
- weight decay is decoupled (AdamW) and of all weights, where theirs is added to the gradient (GLoMo's is decoupled too,
  and leaves out biases and normalisations);
- CubeMLP's step of the rate at epoch 60 is left out;
- Adam's epsilon is Keras's 1e-7, where theirs is 1e-8.

    plumkeras train mult_mosi --data aligned_50.pkl --output runs/mult_mosi
"""

from plumkeras.recipes.models.bbfn import BBFNConfig, BBFNRecipeConfig
from plumkeras.recipes.models.cubemlp import CubeMLPConfig, CubeMLPRecipeConfig
from plumkeras.recipes.models.dmd import DMDConfig, DMDRecipeConfig
from plumkeras.recipes.models.glomo import GLoMoConfig, GLoMoRecipeConfig
from plumkeras.recipes.models.lmf import LMFConfig, LMFRecipeConfig
from plumkeras.recipes.models.misa import MISAConfig, MISARecipeConfig
from plumkeras.recipes.models.mmim import MMIMConfig, MMIMRecipeConfig, MMIMTrainingConfig
from plumkeras.recipes.models.mult import MulTConfig, MulTRecipeConfig
from plumkeras.recipes.models.published import TrainingConfig
from plumkeras.recipes.models.self_mm import SelfMMConfig, SelfMMObjectiveConfig, SelfMMRecipeConfig
from plumkeras.recipes.models.tfn import TFNConfig, TFNRecipeConfig

_as_it_is = {"signed_log1p": ()}

# A public port: the authors' own are not known whole. The text's dropout is on, as declared; the port leaves it off.
tfn_mosi = TFNRecipeConfig(
    name="tfn_mosi",
    network=TFNConfig(width=128, audio_width=32, **_as_it_is),
    training=TrainingConfig(epochs=100, learning_rate=1e-3, clipnorm=0.0, patience=8),
)

# The same port.
lmf_mosi = LMFRecipeConfig(
    name="lmf_mosi",
    batch_size=64,
    network=LMFConfig(width=128, audio_width=16, text_width=128, rank=3, **_as_it_is),
    training=TrainingConfig(epochs=100, learning_rate=1e-3, weight_decay=5e-3, clipnorm=0.0, patience=8),
)

# The paper's table.
mult_mosi = MulTRecipeConfig(
    name="mult_mosi",
    batch_size=128,
    network=MulTConfig(
        width=40, num_layers=4, num_heads=10, text_dropout=0.2, attention_dropout=0.2, dropout=0.1, **_as_it_is
    ),
    training=TrainingConfig(epochs=100, learning_rate=1e-3, clipnorm=0.8, patience=20),
)

# The public code; audio and vision are standardised within each sample.
misa_mosi = MISARecipeConfig(
    name="misa_mosi",
    batch_size=64,
    sample_norm=("audio", "vision"),
    network=MISAConfig(**_as_it_is),
    training=TrainingConfig(epochs=500, learning_rate=1e-4, clipnorm=1.0, patience=7),
)

# The public code, with its rate for all but the language model; there audio has 1e-3 and vision 1e-4.
self_mm_mosi = SelfMMRecipeConfig(
    name="self_mm_mosi",
    batch_size=128,
    network=SelfMMConfig(text_pooling="first", **_as_it_is),
    objective=SelfMMObjectiveConfig(exclude_zero=False),
    training=TrainingConfig(epochs=100, learning_rate=1e-3, weight_decay=1e-3, clipnorm=0.0, patience=8),
)

# The published command, in which the LSTMs read in one direction.
mmim_mosi = MMIMRecipeConfig(
    name="mmim_mosi",
    network=MMIMConfig(text_pooling="first", bidirectional=False, **_as_it_is),
    training=MMIMTrainingConfig(epochs=40, learning_rate=1e-3, weight_decay=1e-4, clipnorm=1.0, patience=10),
)

# Rate and widths as the authors give them; the rest of their settings is lost.
bbfn_mosi = BBFNRecipeConfig(
    name="bbfn_mosi",
    batch_size=24,
    network=BBFNConfig(width=40, num_layers=5, num_heads=5, **_as_it_is),
    training=TrainingConfig(epochs=40, learning_rate=1e-4, clipnorm=0.8, patience=20),
)

# The public code's command.
cubemlp_mosi = CubeMLPRecipeConfig(
    name="cubemlp_mosi",
    batch_size=128,
    network=CubeMLPConfig(**_as_it_is),
    training=TrainingConfig(epochs=70, learning_rate=4e-3, clipnorm=1.0, patience=0),
)

# The public code: 16 samples, gradients of ten batches.
dmd_mosi = DMDRecipeConfig(
    name="dmd_mosi",
    batch_size=160,
    network=DMDConfig(**_as_it_is),
    training=TrainingConfig(epochs=200, learning_rate=1e-4, clipnorm=0.6, patience=10),
)

# The public code.
glomo_mosi = GLoMoRecipeConfig(
    name="glomo_mosi",
    batch_size=240,
    network=GLoMoConfig(first_token=True, **_as_it_is),
    training=TrainingConfig(epochs=70, learning_rate=4e-5, weight_decay=1e-4, clipnorm=0.0, patience=0),
)

# What `plumkeras --help` says of each, by the recipe.
SUMMARIES = {
    "tfn_mosi": "TFN with the settings of a public port for CMU-MOSI (aligned_50.pkl)",
    "lmf_mosi": "LMF with the settings of a public port for CMU-MOSI (aligned_50.pkl)",
    "mult_mosi": "MulT with the settings of its paper for CMU-MOSI (aligned_50.pkl or unaligned_50.pkl)",
    "misa_mosi": "MISA with its authors' settings for CMU-MOSI (aligned_50.pkl)",
    "self_mm_mosi": "Self-MM with its authors' settings for CMU-MOSI (unaligned_50.pkl)",
    "mmim_mosi": "MMIM with its authors' settings for CMU-MOSI (aligned_50.pkl)",
    "bbfn_mosi": "BBFN with its authors' settings for CMU-MOSI, as far as known (aligned_50.pkl)",
    "cubemlp_mosi": "CubeMLP with its authors' settings for CMU-MOSI (aligned_50.pkl)",
    "dmd_mosi": "DMD with its authors' settings for CMU-MOSI (aligned_50.pkl)",
    "glomo_mosi": "GLoMo with its authors' settings for CMU-MOSI (aligned_50.pkl)",
}
RECIPES = (
    *(tfn_mosi, lmf_mosi),
    *(mult_mosi, misa_mosi, self_mm_mosi, mmim_mosi),
    *(bbfn_mosi, cubemlp_mosi, dmd_mosi, glomo_mosi),
)
