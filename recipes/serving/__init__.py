"""Exports of runs for TensorFlow Serving."""
