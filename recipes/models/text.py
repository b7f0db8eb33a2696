"""The text encoder of a recipe, the same for every model."""

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.models.spaces import around


def text_options(config, shape):
    """What a network is given for its text encoder: a dict with `text_encoder`, empty where it reads no token ids.

    Args:
        config: `BaseRecipeConfig`.
        shape: as in `plum_net.build_network`.

    Raises:
        ConfigError: `text.max_tokens` is more than the encoder takes, or it has fewer blocks than `text.frozen_layers`.
        DataError: see `load_text_encoder`.
    """
    # Late: it imports numpy.
    from plumkeras.features import TOKEN_IDS, DataError

    if TOKEN_IDS not in shape["feature_dims"].values():
        return {}
    from plumkeras.text_encoders import load_text_encoder

    text = config.text
    options = {"tuning": text.tuning, "frozen_layers": text.frozen_layers, "lora_rank": text.lora_rank}
    try:
        encoder = load_text_encoder(text.encoder, config.precision, text.dropout, **options)
    except DataError:
        raise
    except ValueError as error:
        raise ConfigError(f"text: {error}") from None
    if text.max_tokens > encoder.longest:
        raise ConfigError(
            f"text.max_tokens must be at most {encoder.longest}, the most that {text.encoder} takes. Received: "
            f"{text.max_tokens}"
        )
    return {"text_encoder": encoder}


def text_space(config):
    """The part of a model's search space that is the text encoder's: its learning rate, and how it falls by layer."""
    if not config.text.encoder or config.text.tuning == "none":
        return {}
    return {
        "text.learning_rate": around(config.text.learning_rate),
        "text.layer_decay": {"values": sorted({0.8, 0.9, 1.0, config.text.layer_decay})},
    }
