"""TFRecord shards: a data set that stays on disk."""
