"""Data sets and splits, whatever file they come from, and the checks of their parts."""
