"""Data sets that stay on disk, in memory-mapped `.npy` files."""
