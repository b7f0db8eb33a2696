"""A dict of arrays in place of a data set."""

import numpy as np

from plumkeras.data_pipelines import Dataset, Split, normalize_samples
from plumkeras.data_pipelines.schema.from_arrays import padded
from plumkeras.data_pipelines.schema.token_ids import TokenIds
from plumkeras.features import TOKEN_IDS, complete_inputs, reads_text
from plumkeras.recipes.runs.data_checks import with_modalities
from plumkeras.recipes.runs.protocol import tokenizer_of
from plumkeras.recipes.runs.texts import checked_texts

_WHERE = "the dict of arrays"


def arrays_data(arrays, config, network, directory):
    """The data set of a dict of arrays, as a run's network reads it.

    Args:
        arrays: dict, see `Run.predict`.
        config: `RecipeConfig` of the run.
        network: the run's network, or that of an export.
        directory: where the run or the export keeps the tokenizer of its network.

    Returns:
        `Dataset` with one split, `all`.

    Raises:
        DataError: an array is not what it has to be.
    """
    arrays, widths, cut = dict(arrays), network.feature_dims, 0
    if reads_text(widths) and arrays.get("raw_text") is not None and "text_ids" not in arrays:
        texts, tokenizer = checked_texts(arrays["raw_text"]), tokenizer_of(config, directory)
        arrays["text_ids"], arrays["text_length"], cut = tokenizer.encode(
            texts, config.text.max_tokens, config.keeps_end
        )
    for m, width in widths.items():
        if width != TOKEN_IDS and isinstance(arrays.get(m), (list, tuple)):
            if all(item is None for item in arrays[m]):
                arrays.pop(m)  # Missing for every sample.
            else:
                arrays[m], arrays[f"{m}_length"] = padded(m, arrays[m], arrays.get(f"{m}_length"))
    complete = complete_inputs(arrays, widths, _WHERE, may_be_absent=True)
    features = {m: complete[m] for m, width in widths.items() if width != TOKEN_IDS}
    features |= {m: _token_ids(complete[f"{m}_ids"], m, network) for m in widths if m not in features}
    lengths = {m: complete[f"{m}_length"] for m in widths}
    ids = np.arange(len(next(iter(lengths.values())))).astype(str)
    split = Dataset({"all": Split(ids, features, lengths)})["all"]
    split = normalize_samples(split, [m for m in config.sample_norm if m in features])
    dataset = with_modalities(widths, Dataset({"all": split}))
    if cut:
        dataset.report.warn(f"{_WHERE}: {cut} of {len(split)} texts were cut to {config.text.max_tokens} tokens")
    return dataset


def _token_ids(ids, modality, network):
    # An export does not tell how many tokens its encoder has.
    if (encoder := getattr(network, "text_encoder", None)) is not None:
        encoder.check_ids(ids, f"{_WHERE}: {modality}_ids")
    return TokenIds(ids)
