"""What a caller of an export must know, in sentences: they are in the model card and in `signature.json`."""

# As the batching parameters say it to the server.
MAX_BATCH = 32
_NOTES = (
    "Batch and time are free. A length counts the valid leading frames; what is past it is not read. Length 0: the "
    "sample lacks the modality.",
    "NaN, infinities and magnitudes above 1e6 become 0, as when a file is read.",
    "A wrong shape, another batch size, a negative length or one beyond the frames is an error that names the input; "
    "a wrong type one that names its position among the inputs, in alphabetical order. An empty batch gives empty "
    "outputs.",
    "JSON has no array without frames: for a sample that lacks a modality send one frame of zeros with length 0. With "
    "batching switched on do so by gRPC too.",
    f"With batching switched on a request of more than {MAX_BATCH} samples is refused, and a wrong request fails those "
    "that it was joined with.",
    # The server pads every dimension but the first, and the network sees the padded request alone.
    "With batching switched on a request that is too narrow, or whose length is beyond its own frames, may be padded "
    "by the server until it passes; the answer to it then means nothing. Without batching it is always refused.",
)


def serving_notes(config, modalities, text=None):
    """The notes of an export: first what was done to the data before the network saw them, then what holds for all.

    Args:
        config: `RecipeConfig` of the run.
        modalities: those of the network.
        text: what `plumkeras.json` says of the text encoder, a dict, or None.

    Returns:
        A list of str.
    """
    notes = []
    if normalized := [m for m in modalities if m in config.sample_norm]:
        notes.append(
            f"What is sent of {', '.join(normalized)} must be standardised within each sample: every feature, over the "
            "valid frames, to (x - mean) / (std + 1e-6). The network was trained on such features and does not do it."
        )
    if config.context_frames:
        notes.append(
            f"The network was trained on utterances with up to {config.context_frames} frames of what was said before "
            "in front of them, the last ones; the length counts both. Send them so."
        )
    return [*notes, *(_text_notes(text) if text else ()), *_NOTES]


def _text_notes(text):
    m, most, which = text["modality"], text["max_tokens"], text["kept"]
    yield (
        f"{m}_ids are token ids of the encoder that model_card.md names, special tokens at both ends among them, as "
        f"assets.extra/tokenizer.json makes them. The network was trained on the {which} {most} tokens of a text: cut "
        f"longer ones so. An id beyond {text['vocabulary_size'] - 1}, or more than {text['longest']} tokens, is an "
        "error."
    )
    if text["no_strings_because"]:
        yield f"Strings are not taken, token ids alone, because {text['no_strings_because']}."
        return
    yield (
        f"The signature from_text takes {m} as strings, one a sample, in place of {m}_ids and {m}_length, and keeps "
        f"the {which} {most} tokens of each. A text without tokens, such as an empty one, is missing. The token ids "
        "are those that assets.extra/tokenizer.json makes."
    )
    yield (
        "from_text uses an operation of TensorFlow Text, WordpieceTokenizeWithOffsets. TensorFlow Serving has the "
        "operations of TensorFlow Text built in (pull request 1405 of tensorflow/serving); use an image of the version "
        "of TensorFlow that exported this, or a later one. Newer operations can be missing in a server (issue 2064), "
        "which is why this older one alone is used."
    )
    yield (
        "In Python, import tensorflow_text before tf.saved_model.load; without it nothing of this export can be loaded."
    )
