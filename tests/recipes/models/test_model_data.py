"""What is said before training of a model and data that do not go together."""

import pytest

from plumkeras.data_pipelines import make_synthetic
from plumkeras.recipes import find_recipe
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError, with_values
from plumkeras.recipes.models import MODELS, with_model
from plumkeras.recipes.runs.data_checks import check_dataset, chosen_models, model_warnings

WIDTHS = {"text": 5, "audio": 3}


def data(text, audio, **options):
    """Samples of up to so many frames."""
    sizes = {"train": 12, "valid": 6, "test": 6}
    return make_synthetic(sizes, feature_dims=WIDTHS, max_lengths={"text": text, "audio": audio}, **options)[0]


def of(model, **fields):
    return with_values(with_model(find_recipe("mosi_frozen"), model), fields)


def test_frames_that_are_cut():
    long = data(text=70, audio=4)
    (said,) = model_warnings(of("dmd"), long)
    assert "dmd reads the first 50 frames" in said and "12 training samples text is longer" in said
    longest = int(long["train"].lengths["text"].max())
    assert f"network.frames={longest} reads them all" in said
    assert model_warnings(of("dmd", **{"network.frames": longest}), long) == []
    # Behind a context the utterance itself would be cut off.
    behind = of("dmd", context_frames=30)
    with pytest.raises(
        ConfigError, match=rf"behind a context the utterance comes last.*set network.frames to {longest}"
    ):
        check_dataset(behind, long)
    assert "dmd" not in chosen_models(with_values(find_recipe("mosi_frozen"), {"context_frames": 30}), long)
    assert "dmd" in chosen_models(find_recipe("mosi_frozen"), long)


@pytest.mark.parametrize("model", ["mag", "bbfn", "cubemlp"])
def test_frames_that_are_not_aligned(model):
    (said,) = model_warnings(of(model), data(text=9, audio=20))
    assert f"{model} matches frames by position" in said and "audio has neither one frame nor as many as text" in said
    assert model_warnings(of(model), data(text=9, audio=1)) == []
    assert model_warnings(of("mult"), data(text=9, audio=20)) == []


def test_a_correlation_of_nothing():
    (said,) = model_warnings(of("iccn"), data(text=9, audio=1))
    assert "its correlation is 0" in said
    with pytest.raises(ConfigError, match=r"batch_size must be above network.code_width.*batch_size=8"):
        of("iccn", batch_size=8)


def test_models_to_choose_from(capsys):
    recipe = with_values(find_recipe("mosi_frozen"), {"task": "classification"})
    found = chosen_models(recipe, data(text=9, audio=4, task="classification", num_classes=2))
    assert found == [model for model in MODELS if model != "self_mm"]
    with pytest.raises(ConfigError, match=r"--models: self_mm.*supports regression only"):
        chosen_models(recipe, data(text=9, audio=4, task="classification", num_classes=2), ("self_mm",))
    # Said on the line before anything is trained.
    line = ["experiment", "comparison", "synthetic", "--modalities", "text", "--models", "mult", "--output", "nowhere"]
    assert main(line) == 2
    assert "--models: mult needs 2 modalities or more; used here: text" in " ".join(capsys.readouterr().err.split())
