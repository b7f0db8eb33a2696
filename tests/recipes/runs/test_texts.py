"""A run whose network has a text encoder predicts texts as they come."""

import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import DataError, Dataset, Split
from plumkeras.recipes.runs.run import DataWarning
from plumkeras.recipes.runs.texts import as_texts
from tests.testing.text_encoders import make_texts

TEXTS = ["a good film", "the plot was awful", "great , great !"]
READS = {"text": 0, "audio": 3}
# Of every sample of texts alone.
pytestmark = pytest.mark.filterwarnings("ignore:no audio, which the network reads")


@pytest.fixture(scope="module")
def run(text_run):
    return plumkeras.load_run(text_run)


def test_every_way_to_give_texts_is_the_same(run):
    expected = run.predict(TEXTS)["prediction"]
    assert expected.shape == (3,) and len(np.unique(expected)) == 3
    split = Split.from_arrays(raw_text=TEXTS)
    with pytest.warns(UserWarning, match="missing for every sample"):
        arrays = run.predict({"raw_text": TEXTS})
    for outputs in (
        *(run.predict(tuple(TEXTS)), run.predict(np.array(TEXTS)), run.predict(np.array(TEXTS, object))),
        *(run.predict(split), run.predict(Dataset({"test": split})), arrays),
    ):
        np.testing.assert_allclose(outputs["prediction"], expected, atol=1e-6)
        assert outputs["text_present"].all() and not outputs["audio_present"].any()
    np.testing.assert_allclose(run.predict(TEXTS[0])["prediction"], expected[:1], atol=1e-6)


def test_one_sentence_says_what_is_missing(run):
    with pytest.warns() as caught:
        run.predict(TEXTS)
    assert [str(w.message) for w in caught] == ["no audio, which the network reads: missing for every sample"]
    assert caught[0].filename == __file__


def test_texts_beside_another_modality_and_token_ids(run, text_run):
    audio = [np.ones((4, 3)), None, np.ones((2, 3))]
    expected = run.predict({"raw_text": TEXTS, "audio": audio})["prediction"]
    tokenizer = plumkeras.recipes.runs.protocol.tokenizer_of(run.config, text_run)
    ids, lengths, _ = tokenizer.encode(TEXTS, 16)
    found = run.predict({"text_ids": ids.tolist(), "text_length": lengths, "audio": audio})["prediction"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(expected - run.predict(TEXTS)["prediction"]).max() > 1e-4
    with pytest.raises(DataError, match="text_ids holds 999; the encoder has the tokens"):
        run.predict({"text_ids": [[2, 999, 3]], "audio": audio[:1]})
    with pytest.raises(DataError, match=r"audio has \(2,\) samples, text_ids has 3"):
        run.predict({"raw_text": TEXTS, "audio": audio[:2]})


def test_many_texts_stay_in_order(run):
    texts = make_texts(50, seed=7)[0]
    expected = run.predict(texts)
    for name, values in run.predict(texts, batch_size=8).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5, err_msg=name)


def test_some_texts_are_empty(run):
    with pytest.warns(DataWarning, match=r"3 of 5 texts are empty \(number 1, 2, 4\): their predictions say nothing"):
        outputs = run.predict(["good", "", None, "bad", " \t "])
    assert outputs["text_present"].tolist() == [True, False, False, True, False]
    assert np.isfinite(outputs["prediction"]).all()


def test_a_long_text_is_cut_and_told(run):
    with pytest.warns(DataWarning, match="1 of 2 texts were cut to 16 tokens"):
        outputs = run.predict(["good " * 10_000, "bad"])
    np.testing.assert_allclose(outputs["prediction"][0], run.predict("good " * 14)["prediction"][0], atol=1e-6)


@pytest.mark.parametrize(
    "text", ["\ud800 bad", "a\x00film", "\x1b[31mgood", "это хорошо", "电影", "\u202egood", "🎬" * 3]
)
def test_any_characters_give_a_number(run, text):
    outputs = run.predict(["good", text])
    assert np.isfinite(outputs["prediction"]).all() and outputs["text_present"].all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (["", None], "all 2 texts are empty"),
        ([], "the list is empty"),
        (["good", 3.5], "text 1 is a float; a str is expected"),
        ([b"good"], "text 0 is a bytes"),
        ("absent.npz", "absent.npz: there is no such file"),
        ("runs/absent", "there is no such file"),
        (" ", "the text is empty"),
        ({"raw_text": "good"}, "the texts are a single str"),
        ({"text_ids": [[2, 3], [2]]}, "text_ids has rows of different lengths"),
    ],
)
def test_what_is_refused(run, data, words):
    with pytest.raises(DataError, match=words):
        run.predict(data)


def test_what_is_a_text(tmp_path):
    for text in ("Great!", "I'd say 8/10", "He laughed.", "so\nbad"):
        assert as_texts(text, READS) == [text]
    for other in (str(tmp_path), {}, tmp_path, Split.from_arrays(raw_text=["good"])):
        assert as_texts(other, READS) is None
    assert as_texts("new", {"text": 8}) is None and as_texts("not bad", {"text": 8}) == ["not bad"]


def test_a_network_of_vectors_says_what_to_do(tiny_run):
    run = plumkeras.load_run(tiny_run)
    for data in (["good"], "a good film"):
        with pytest.raises(DataError, match=r"reads feature vectors of text, not text; train one with --text\.encoder"):
            run.predict(data)


def test_a_split_of_texts_alone():
    split = Split.from_arrays(raw_text=["good", "bad"], labels=[1.0, -1.0], ids=["a", "b"])
    assert split.modalities == ("text",) and split.lengths["text"].tolist() == [0, 0]
    with pytest.raises(DataError, match="labels has 1 samples"):
        Split.from_arrays(raw_text=["good", "bad"], labels=[1.0])
    with pytest.raises(DataError, match="raw_text is a single str"):
        Split.from_arrays(raw_text="good")
