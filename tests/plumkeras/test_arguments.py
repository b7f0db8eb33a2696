"""No public constructor swallows an argument that it does not know."""

import inspect

import pytest

import plumkeras
from plumkeras import callbacks, data_pipelines, layers, losses, metrics
from plumkeras.data_pipelines import extraction
from plumkeras.data_pipelines.batches import order
from plumkeras.data_pipelines.schema import report
from tests.testing.networks import make_network

CONSTRUCTORS = [
    value
    for module in (plumkeras, layers, losses, metrics, callbacks, data_pipelines, order, extraction, report)
    for name in getattr(module, "__all__", dir(module))
    if inspect.isclass(value := getattr(module, name))
    and value.__module__.startswith("plumkeras")
    and not issubclass(value, Exception)
    and value is not data_pipelines.StoredFeatures  # A base class: readers make what is stored.
]


def test_the_loop_reaches_every_kind():
    names = {c.__name__ for c in CONSTRUCTORS}
    assert {"PLUMNet", "AlignmentTrainer", "RefinementTrainer", "ModalityEncoder", "BranchCrossentropy"} < names
    assert {"PearsonCorrelation", "BestEpoch", "Split", "Dataset", "BatchStream", "Report", "AudioOptions"} < names


@pytest.mark.parametrize("constructor", CONSTRUCTORS, ids=lambda c: c.__name__)
def test_an_unknown_argument_is_refused_by_name(constructor):
    with pytest.raises(ValueError, match=f"^{constructor.__name__} has no argument 'qqq'.*Received: qqq=3$"):
        constructor(qqq=3)


@pytest.mark.parametrize("constructor", CONSTRUCTORS, ids=lambda c: c.__name__)
def test_a_misspelt_argument_is_told_the_right_one(constructor):
    parameters = [p for p in inspect.signature(constructor.__init__).parameters.values() if p.default is not p.empty]
    for parameter in parameters:
        with pytest.raises(ValueError, match=f"did you mean '{parameter.name}'"):
            constructor(**{f"{parameter.name}_": None})


@pytest.mark.parametrize(
    ("constructor", "misspelt", "meant"),
    [
        (lambda **k: plumkeras.PLUMNet({"text": 4}, **k), "hiden_dim", "hidden_dim"),
        (lambda **k: plumkeras.AlignmentTrainer(make_network(), **k), "alignment_wieght", "alignment_weight"),
        (lambda **k: plumkeras.RefinementTrainer(make_network(), **k), "private_targt", "private_target"),
        (lambda **k: layers.ModalityEncoder(8, **k), "nmae", "name"),
        (lambda **k: layers.PrivateRefinement(8, 3, **k), "dtyp", "dtype"),
        (lambda **k: metrics.PearsonCorrelation(**k), "dtyp", "dtype"),
    ],
)
def test_options_that_are_handed_on_count_as_known(constructor, misspelt, meant):
    with pytest.raises(ValueError, match=f"no argument '{misspelt}'; did you mean '{meant}'"):
        constructor(**{misspelt: 3})


def test_what_keras_gives_is_still_taken():
    network = plumkeras.PLUMNet({"text": 4}, hidden_dim=8, num_heads=2, name="mine", trainable=False, dtype="float32")
    again = plumkeras.PLUMNet.from_config(network.get_config())
    assert (again.name, again.trainable, again.trainable_variables) == ("mine", False, [])
    assert layers.ModalityEncoder(8, name="stem", trainable=False).trainable is False
