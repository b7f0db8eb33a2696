"""Errors of recipes and of runs."""


class ConfigError(ValueError):
    """A recipe, a field or a value that does not exist or does not fit."""


class TrainingError(RuntimeError):
    """A run that cannot continue: it diverged, or what it keeps cannot be written or read."""
