"""Cleaning of features while they are read."""
