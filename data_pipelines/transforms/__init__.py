"""Data sets made of data sets: context, normalisation, validation carved from training."""
