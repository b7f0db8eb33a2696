"""The optimizer of a stage: its schedule, and the learning rates of a text encoder."""

import keras

from plumkeras.trainers.backend import Adam, AdamW


def make_optimizer(options, steps_per_epoch):
    """The optimizer of a stage: Adam, or AdamW with weight decay."""
    rate = options.learning_rate
    if options.schedule == "cosine":
        steps = max(options.epochs * steps_per_epoch, 1)
        rising = round(options.warmup * steps)
        how = {"initial_learning_rate": 0.0, "warmup_target": rate, "warmup_steps": rising} if rising else {}
        how = {"initial_learning_rate": rate, "decay_steps": max(steps - rising, 1), "alpha": 0.05, **how}
        rate = keras.optimizers.schedules.CosineDecay(**how)
    shared = {"learning_rate": rate, "clipnorm": options.clipnorm or None}
    if options.average:
        shared |= {"use_ema": True, "ema_momentum": options.average}
    if options.weight_decay:
        return AdamW(weight_decay=options.weight_decay, **shared)
    return Adam(**shared)


def encoder_factors(encoder, text, options):
    """By the `id` of each of an encoder's variables the factor of its learning rate, see `LayerRates`.

    Args:
        encoder: `layers.TextEncoder` of the network.
        text: `TextConfig`.
        options: `StageConfig`. The encoder follows its schedule; where its rate is 0, nothing is trained.
    """
    share = text.learning_rate / (options.learning_rate or 1.0)
    return {variable: share * factor for variable, factor in encoder.rate_factors(text.layer_decay).items()}
