"""Token ids that a file has itself, as MMSA's `text_bert`: taken where they are the encoder's own, else refused."""

import dataclasses

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, load
from plumkeras.data_pipelines.transforms.tokenizing import Tokenizer, tokenize
from tests.testing.text_encoders import make_texts, write_tokenizer

pytest.importorskip("tokenizers", reason="the extra `text` is not installed")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return Tokenizer(write_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture
def tree(mmsa_tree, tokenizer):
    """MMSA's tree, whose `text_bert` holds the tokenizer's ids of its `raw_text`."""
    tree = mmsa_tree(aligned=False)
    for seed, part in enumerate(tree.values()):
        texts = make_texts(len(part["id"]), seed)[0]
        ids, lengths, _ = tokenizer.encode(texts, part["text_bert"].shape[2])
        part["raw_text"], part["text_bert"][:] = np.array(texts), 0
        part["text_bert"][:, 0, : ids.shape[1]] = ids
        part["text_bert"][:, 1] = np.arange(part["text_bert"].shape[2]) < lengths[:, None]
    return tree


def tokens(dataset, name="train"):
    split = dataset[name]
    return as_lists(split.features["text"].ids, split.lengths["text"])


def as_lists(ids, lengths):
    return [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]


def without(dataset, field):
    return dataset.replace({name: dataclasses.replace(split, **{field: None}) for name, split in dataset.items()})


@pytest.mark.parametrize(("max_tokens", "keep_end"), [(64, False), (5, False), (5, True)])
def test_own_ids_are_taken(tree, write_pickle, tokenizer, max_tokens, keep_end):
    dataset = load(write_pickle(tree))
    taken = tokenize(dataset, tokenizer, max_tokens, keep_end)
    # Without its texts there is nothing else that they could come from.
    silent = tokenize(without(dataset, "raw_text"), tokenizer, max_tokens, keep_end)
    read = tokenize(without(dataset, "token_ids"), tokenizer, max_tokens, keep_end)
    assert tokens(taken) == tokens(silent) == tokens(read)
    assert not any("token ids" in told for told in taken.report.warnings)


def test_padded_in_front(tree, write_pickle, tokenizer):
    expected = tokens(tokenize(load(write_pickle(tree)), tokenizer, 64))
    for part in tree.values():
        part["text_bert"] = np.stack(
            [np.roll(row, row.shape[1] - int(row[1].sum()), axis=1) for row in part["text_bert"]]
        )
    assert tokens(tokenize(load(write_pickle(tree)), tokenizer, 64)) == expected


def test_ids_of_another_vocabulary_are_refused(tree, write_pickle, tokenizer):
    for part in tree.values():
        part["text_bert"][:, 0] += part["text_bert"][:, 1]
    dataset = load(write_pickle(tree))
    taken = tokenize(dataset, tokenizer, 64)
    assert any("raw_text is read" in told and "not this encoder's" in told for told in taken.report.warnings)
    assert tokens(taken) == as_lists(*tokenizer.encode(list(dataset["train"].raw_text), 64)[:2])
    silent = without(dataset, "raw_text")
    with pytest.raises(DataError, match=r"no raw_text.*token ids are not this encoder's: texts begin with"):
        tokenize(silent, tokenizer, 64)


def test_ids_beyond_the_vocabulary_are_refused(mmsa_tree, write_pickle, tokenizer):
    dataset = load(write_pickle(mmsa_tree(aligned=True)))
    silent = without(dataset, "raw_text")
    with pytest.raises(DataError, match=rf"go up to \d+, and the encoder has {tokenizer.size} tokens"):
        tokenize(silent, tokenizer, 64)
