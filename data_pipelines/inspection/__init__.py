"""What is in a data set, what is suspicious about it, and whether other features look like it."""
