"""The restricted unpickler."""
