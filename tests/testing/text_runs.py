"""Finished runs whose network has a tiny text encoder."""

import plumkeras
from tests.testing.text_encoders import make_data, write_encoder

FIELDS = {
    "network": {"hidden_dim": 8, "num_heads": 2, "num_layers": 1},
    "alignment": {"epochs": 1},
    "refinement": {"epochs": 1},
    "batch_size": 8,
    "verbose": 0,
}


def train_text_run(folder, audio=True, **text):
    """A `Run` in `folder/run` on texts, and audio unless told otherwise; its encoder is in `folder/encoder`."""
    encoder = write_encoder(folder / "encoder")
    text = {"max_tokens": 16, "tuning": "lora", "lora_rank": 2, "learning_rate": 0.01, **text}
    fields = {**FIELDS, "text": {"encoder": str(encoder), **text}}
    return plumkeras.train("mosi_frozen", make_data(audio=audio), folder / "run", **fields)
