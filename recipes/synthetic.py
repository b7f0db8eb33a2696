"""Generated data with a known truth: needs no download and takes a minute or two on two cores.

    plumkeras train synthetic --output runs/synthetic

Three modalities; each shows the common latent plus a private one of its own, through a fixed random map and noise.
"""

from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RefinementConfig, SyntheticRecipeConfig

synthetic = SyntheticRecipeConfig(
    name="synthetic",
    network=NetworkConfig(hidden_dim=32, num_layers=1, num_heads=4, dropout=0.1, signed_log1p=()),
    alignment=AlignmentConfig(epochs=5, learning_rate=1e-3),
    refinement=RefinementConfig(epochs=10, learning_rate=1e-3),
)


def generate(config):
    """The data set of a `SyntheticConfig`, and what is true of it; see `data_pipelines.make_synthetic`."""
    # Late, for it imports NumPy, which `plumkeras --help` does without.
    from plumkeras.data_pipelines import make_synthetic

    return make_synthetic(
        {"train": config.train, "valid": config.valid, "test": config.test},
        relative_strength=config.relative_strength,
        noise=config.noise,
        label_noise=config.label_noise,
        missing_rate=config.missing_rate,
        seed=config.data_seed,
    )
