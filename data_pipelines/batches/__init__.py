"""Batches of a split: their order, and how they reach each backend."""
