"""`plumkeras extract`: known tones, bad clips, and what the csv says."""

import struct

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, load, save_npz
from plumkeras.data_pipelines.extraction import AudioOptions, TextOptions, VisionOptions, extract
from plumkeras.recipes.cli import main
from tests.testing.clips import loudest_band, mel, tone, write_sound, write_table

needs_io = pytest.mark.skipif(
    any(__import__("importlib.util").util.find_spec(name) is None for name in ("tensorflow_io", "soundfile")),
    reason="the extra io (tensorflow-io, soundfile) isn't installed",
)


@needs_io
@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_tone_is_the_loudest_band(tmp_path, ending, rate):
    for frequency in (440, 3000):
        write_sound(tmp_path / f"{frequency}.{ending}", tone(frequency, rate), rate)
    split = extract(tmp_path).dataset["all"]
    assert split.ids.tolist() == ["3000", "440"]
    for name, frames, length in zip(split.ids, split.features["audio"], split.lengths["audio"], strict=True):
        # Forty frames a second, the last ones filled up; MP3 and OGG may be some samples longer.
        assert abs(int(length) - 40) <= 3
        frequency, step = loudest_band(frames[:length])
        assert abs(mel(frequency) - mel(float(name))) <= step


@needs_io
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_every_kind_of_wav_has_the_same_loudness(tmp_path, subtype):
    """A sine of amplitude 0.5 fills its bin by 0.5 * (sum of the window) / 2."""
    write_sound(tmp_path / "a.wav", tone(1000), subtype=subtype)
    options = AudioOptions(mel_bins=64)
    frames = extract(tmp_path, audio_options=options).dataset["all"].features["audio"][0]
    magnitude = 10 ** (frames[5:-5].max(axis=1) / 20)
    # The triangle of the band weighs each bin by 1 at the most, and the window's lobe is a few bins wide.
    assert np.all(magnitude > 0.25 * 0.5 * 400 / 2) and np.all(magnitude < 4 * 0.5 * 400 / 2)


@needs_io
def test_stereo_is_the_mean_of_its_channels(tmp_path):
    left, right = tone(500), tone(2500, loud=0.1)
    write_sound(tmp_path / "stereo.wav", np.stack([left, right], axis=1), subtype="PCM_16")
    write_sound(tmp_path / "mono.wav", (left + right) / 2, subtype="PCM_16")
    split = extract(tmp_path).dataset["all"]
    np.testing.assert_allclose(split.features["audio"][0], split.features["audio"][1], atol=0.5)
    assert split.ids.tolist() == ["mono", "stereo"]


@needs_io
def test_features_are_those_of_numpy(tmp_path):
    """Spectrum, mel scale and decibels once more, by numpy."""
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.5, 0.5, 4000)
    write_sound(tmp_path / "a.wav", samples, subtype="PCM_16")
    found = extract(tmp_path).dataset["all"].features["audio"][0]
    heard = np.concatenate([np.round(samples * 32768) / 32768, np.zeros(800)])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    frames = np.stack([heard[at : at + 800] * window for at in range(0, 4000, 400)])
    spectrum = np.abs(np.fft.rfft(frames, 1024))
    edges = np.linspace(0, mel(8000), 66)
    bins = mel(np.arange(513) * 16_000 / 1024)[:, None]
    up, down = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0, np.minimum(up, down))
    weights[0] = 0
    wanted = 10 * np.log10(np.maximum((spectrum @ weights) ** 2, 1e-10))
    np.testing.assert_allclose(found, np.maximum(wanted, wanted.max() - 80), atol=0.05)


@needs_io
def test_long_clips_are_cut_and_said_to_be(tmp_path):
    write_sound(tmp_path / "long.flac", tone(440, seconds=3))
    write_sound(tmp_path / "short.flac", tone(440, seconds=0.2))
    found = extract(tmp_path, audio_options=AudioOptions(max_frames=20, mel_bins=8)).dataset
    assert found["all"].lengths["audio"].tolist() == [20, 8]
    assert not found["all"].features["audio"][1, 8:].any()
    assert any("1 clips are longer than 0.525 seconds" in text for text in found.report.warnings)


@needs_io
def test_bad_clips_are_skipped_and_reported(tmp_path, capsys):
    """Whatever is wrong with a clip, the others come through, and each is named in report and summary."""
    good = write_sound(tmp_path / "clips" / "good.wav", tone(440), subtype="PCM_16").read_bytes()
    deep = write_sound(tmp_path / "deep.wav", tone(440), subtype="PCM_24").read_bytes()
    flac = write_sound(tmp_path / "clips" / "fine.flac", tone(440)).read_bytes()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    half = write_sound(tmp_path / "half.flac", noise).read_bytes()
    bad = {
        "half.flac": half[: len(half) // 2],
        "cut.wav": good[: len(good) // 2],
        "cut24.wav": deep[: len(deep) // 2],
        "empty.wav": b"",
        "hiss.mp3": b"\xff\xfb" + bytes(500),
        "noise.flac": flac[:60] + bytes(range(256)) * 4,
        "rate.wav": good[:24] + struct.pack("<I", 2**31 - 1) + good[28:],
        "silent.wav": good[:40] + bytes(4),
        "text.ogg": b"this is no sound",
    }
    for name, content in bad.items():
        (tmp_path / "clips" / name).write_bytes(content)
    write_sound(tmp_path / "clips" / "nan.wav", np.full(100, np.nan), subtype="FLOAT")
    found = extract(tmp_path / "clips")
    names = {*(name.split(".")[0] for name in bad if name != "noise.flac"), "nan"}
    assert found.dataset["all"].ids.tolist()[:2] == ["fine", "good"]
    # A damaged FLAC may still hold some samples; it never ends the others.
    assert names <= set(found.skipped) <= names | {"noise"}
    assert found.listed == 12
    for name in names:
        assert any(text.startswith(f"clip {name} skipped: audio: ") for text in found.dataset.report.warnings)
    with pytest.raises(DataError, match="none of 1 clips is left; clip half: audio: "):
        (tmp_path / "only").mkdir()
        (tmp_path / "only" / "half.flac").write_bytes(bad["half.flac"])
        extract(tmp_path / "only")
    assert main(["extract", str(tmp_path / "clips"), "--output", str(tmp_path / "out.npz")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "clip cut skipped" in said and "is empty" in said and "skipped for what is wrong" in said
    assert load(tmp_path / "out.npz")["all"].ids.tolist()[:2] == ["fine", "good"]


@needs_io
def test_a_wav_file_that_declares_no_length_is_read_whole(tmp_path):
    whole = write_sound(tmp_path / "whole.wav", tone(440), subtype="PCM_16").read_bytes()
    unknown = b"\xff" * 4
    (tmp_path / "stream.wav").write_bytes(whole[:4] + unknown + whole[8:40] + unknown + whole[44:])
    split = extract(tmp_path).dataset["all"]
    np.testing.assert_array_equal(*split.features["audio"])


@needs_io
def test_the_csv_decides(tmp_path):
    """Its order, splits, texts, labels and groups; parallel work changes nothing of it."""
    rng = np.random.default_rng(1)
    rows, frequencies = [], {}
    for at in rng.permutation(24):
        video, clip = f"v{at % 5}", f"{at:04d}"
        frequencies[f"{video}$_${clip}"] = 300 + 200 * at
        rate = (8000, 16_000, 22_050)[at % 3]
        sound = tone(frequencies[f"{video}$_${clip}"], 16_000 if at > 15 else rate, seconds=0.2 + at / 20)
        ending = ("wav", "flac")[at % 2]
        write_sound(tmp_path / "Raw" / video / f"{clip}.{ending}", sound, 16_000 if at > 15 else rate)
        mode = ("train", "dev", "test")[at % 3]
        rows.append({"video_id": video, "clip_id": clip, "text": f"said {at}", "label": at / 10, "mode": mode})
    write_table(tmp_path / "label.csv", rows)
    dataset = extract(tmp_path).dataset
    assert list(dataset) == ["train", "valid", "test"] and dataset.task == "regression"
    for name, mode in (("train", "train"), ("valid", "dev"), ("test", "test")):
        split, mine = dataset[name], [row for row in rows if row["mode"] == mode]
        assert split.ids.tolist() == [f"{row['video_id']}$_${row['clip_id']}" for row in mine]
        assert split.raw_text.tolist() == [row["text"] for row in mine]
        assert split.groups.tolist() == [row["video_id"] for row in mine]
        np.testing.assert_allclose(split.labels, [row["label"] for row in mine], rtol=1e-6)
        for key, frames, length in zip(split.ids, split.features["audio"], split.lengths["audio"], strict=True):
            if frequencies[key] < 3500:
                found, step = loudest_band(frames[:length])
                assert abs(mel(found) - mel(frequencies[key])) <= step


@needs_io
def test_columns_id_and_path(tmp_path):
    for name in ("a", "b", "inner/c"):
        write_sound(tmp_path / f"{name}.wav", tone(440, seconds=0.1))
    table = write_table(tmp_path / "t.csv", [{"id": "x", "path": "inner/c.wav", "label": 1, "split": "test"},
                                             {"id": "y", "path": "./a.wav", "label": 0, "split": "train"}])  # fmt: skip
    dataset = extract(tmp_path, table, task="classification").dataset
    assert dataset.task == "classification" and dataset["train"].ids.tolist() == ["y"]
    assert dataset["test"].ids.tolist() == ["x"] and dataset["test"].labels.tolist() == [1]
    assert any("1 clips in the folder are in no line" in text for text in dataset.report.warnings)
    table = write_table(tmp_path / "t.csv", [{"id": "b", "label": 1}, {"id": "../a", "label": 2}])
    found = extract(tmp_path, table)
    assert found.dataset["all"].ids.tolist() == ["b"]
    assert found.skipped == {"../a": "has no sound, frames or text to extract"}


@needs_io
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"clip": "a", "label": 1}], "video_id and clip_id, id, or path is expected; its columns are clip, label"),
        ([{"id": "a", "label": "good"}], "line 2: label is 'good'"),
        ([{"id": "a", "label": 1}, {"id": "b", "label": ""}], "1 of 2 samples have no label (nan or blank): b"),
        ([{"id": "a", "label": 1}, {"id": "a", "label": 1}], "lines 2 and 3 list the same clip, 'a': delete"),
        ([{"id": "a", "mode": "all"}], "no clip's mode is among train"),
        ([{"id": "a", "label": 7}], "outside the label range"),
        ([{"id": "z", "label": 1}], "no clip of the csv has audio; clip z is looked for as z"),
    ],
)
def test_a_wrong_csv_is_one_error(tmp_path, rows, message):
    write_sound(tmp_path / "a.wav", tone(440, seconds=0.1))
    table = write_table(tmp_path / "t.csv", rows)
    with pytest.raises(DataError) as error:
        extract(tmp_path, table)
    assert message in str(error.value)


def test_nothing_to_extract(tmp_path, capsys):
    with pytest.raises(DataError, match="no such file"):
        extract(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is empty: no WAV, FLAC, MP3 or OGG"):
        extract(tmp_path / "empty")
    for options in ({"hop": 0.1}, {"mel_bins": 0}, {"sample_rate": 1}, {"max_frames": 0}, {"top_db": float("nan")}):
        with pytest.raises(DataError, match=next(iter(options))):
            AudioOptions(**options)
    assert main(["extract", str(tmp_path / "empty"), "--output", str(tmp_path / "o.npz"), "--max-tokens", "1"]) == 2
    assert "max_tokens must be at least 3" in capsys.readouterr().err


@needs_io
def test_the_output_is_never_overwritten_unasked(tmp_path, capsys):
    write_sound(tmp_path / "clips" / "a.wav", tone(440, seconds=0.1))
    output = tmp_path / "o.npz"
    output.write_bytes(b"mine")
    line = ["extract", str(tmp_path / "clips"), "--output", str(output)]
    assert main(line) == 2 and output.read_bytes() == b"mine"
    assert "--overwrite" in capsys.readouterr().err
    assert main([*line, "--overwrite", "--mel-bins", "20"]) == 0
    assert load(output).feature_dims == {"audio": 20}


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    import sys

    (tmp_path / "a.wav").write_bytes(b"RIFF")
    for name in ("scipy.signal", "soundfile", "tensorflow_io"):
        with monkeypatch.context() as lacking:
            lacking.setitem(sys.modules, name, None)
            with pytest.raises(DataError, match=rf"sound needs {name}.*pip install 'plumkeras\[io\]'"):
                extract(tmp_path)
    # First, for it imports tokenizers itself.
    pytest.importorskip("keras_hub")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text('{"model_type": "bert", "max_position_embeddings": 8, "hidden_size": 4, '
                                     '"vocab_size": 9}')  # fmt: skip
    from plumkeras.data_pipelines.extraction.text import TextEncoder

    with pytest.raises(DataError, match=r"needs tokenizers.*pip install 'plumkeras\[tf,text\]'"):
        TextEncoder(tmp_path)


def write_frames(folder, clip, count, size=(24, 40)):
    """Images of a clip, each of one grey, as PNG; returns them as an array."""
    import keras

    (folder / clip).mkdir(parents=True)
    frames = np.stack([np.full((*size, 3), 7 * at + 10, dtype="uint8") for at in range(count)])
    for at, frame in enumerate(frames):
        # Without leading zeros, so that the order of names isn't that of numbers.
        keras.utils.save_img(folder / clip / f"frame{at}.png", frame, scale=False)
    return frames


def test_frames_of_images_and_of_hdf5_give_the_same(tmp_path):
    import h5py

    frames = {clip: write_frames(tmp_path / "frames", clip, count) for clip, count in (("v/0", 12), ("v/1", 3))}
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        for clip, array in frames.items():
            file[clip] = array
        file["v/2"] = np.zeros((4, 5))
    (tmp_path / "frames" / "v" / "2").mkdir()
    (tmp_path / "frames" / "v" / "2" / "0.png").write_bytes(b"no image")
    rows = [{"video_id": "v", "clip_id": clip, "label": 1} for clip in ("1", "2", "0")]
    table = write_table(tmp_path / "t.csv", rows)
    (tmp_path / "clips").mkdir()
    found = {}
    for source in ("frames", "frames.h5"):
        options = VisionOptions(frames=str(tmp_path / source), random_weights=True, image_size=32, max_images=6)
        found[source] = extract(tmp_path / "clips", table, vision_options=options)
    split = found["frames"].dataset["all"]
    assert split.ids.tolist() == ["v$_$1", "v$_$0"] and split.lengths["vision"].tolist() == [3, 6]
    assert split.features["vision"].shape == (2, 6, 1280)
    for other in found.values():
        assert list(other.skipped) == ["v$_$2"]
        np.testing.assert_allclose(other.dataset["all"].features["vision"], split.features["vision"], atol=1e-4)
    # Even greys, evenly spread: the order of frames is that of the numbers in their names.
    import keras

    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3))
    greys = np.array([0, 2, 4, 7, 9, 11]) * 7.0 + 10
    wanted = network.predict_on_batch(np.broadcast_to((greys / 127.5 - 1)[:, None, None, None], (6, 32, 32, 3)))
    np.testing.assert_allclose(split.features["vision"][1], wanted, atol=1e-4)
    assert any("random weights" in text for text in found["frames"].dataset.report.warnings)
    assert any("1 clips have more than 6 frames" in text for text in found["frames"].dataset.report.warnings)


def test_weights_of_frames_are_a_file(tmp_path):
    import keras

    write_frames(tmp_path / "frames", "a", 2)
    options = {"frames": str(tmp_path / "frames"), "image_size": 32}
    (tmp_path / "clips").mkdir()
    with pytest.raises(DataError, match="--vision-weights FILE"):
        extract(tmp_path / "clips", vision_options=VisionOptions(**options))
    wrong = tmp_path / "wrong.weights.h5"
    wrong.write_bytes(b"\x89HDF\r\n\x1a\nno")
    with pytest.raises(DataError, match="no weights of MobileNetV2 without top"):
        extract(tmp_path / "clips", vision_options=VisionOptions(**options, vision_weights=str(wrong)))
    keras.utils.set_random_seed(3)
    network = keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3))
    network.save_weights(tmp_path / "right.weights.h5")
    options["vision_weights"] = str(tmp_path / "right.weights.h5")
    found = extract(tmp_path / "clips", vision_options=VisionOptions(**options)).dataset["all"]
    wanted = network.predict_on_batch(np.full((1, 32, 32, 3), 17 / 127.5 - 1))
    np.testing.assert_allclose(found.features["vision"][0, 1:], wanted, atol=1e-4)


def test_text_vectors_want_an_encoder_and_texts(tmp_path):
    def data(name, **fields):
        split = Split(ids=["a"], features={"audio": np.ones((1, 1, 2))}, lengths={"audio": [1]}, **fields)
        save_npz(Dataset({"all": split}), tmp_path / name)
        return tmp_path / name

    with pytest.raises(DataError, match="name a text encoder"):
        extract(data("plain.npz", raw_text=["said"]))
    with pytest.raises(DataError, match="has no raw_text"):
        extract(data("mute.npz"), text_options=TextOptions(text_encoder=str(tmp_path)))
    with pytest.raises(DataError, match=r"holds no config\.json; supported are encoders"):
        extract(tmp_path / "plain.npz", text_options=TextOptions(text_encoder=str(tmp_path)))
