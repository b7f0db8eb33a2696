"""Runs: training, directories, checkpoints, folds, predictions."""
