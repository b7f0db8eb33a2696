"""What a model asks of the data. Without Keras: the command line and the networks refuse by it, in the same words."""

import dataclasses

from plumkeras.features import TOKEN_IDS, listing


@dataclasses.dataclass(frozen=True)
class Needs:
    """What the data have to have.

    Attributes:
        modalities: how many there have to be, at least.
        text: whether one of them has to be `text`.
        aligned: whether its frames are matched with those of the text by position.
        tasks: names of the tasks that it knows; `None`: all.
    """

    modalities: int = 1
    text: bool = False
    aligned: bool = False
    tasks: tuple[str, ...] | None = None


# By the name of the model. A model that is not here takes anything.
NEEDS = {
    "mult": Needs(modalities=2),
    "misa": Needs(modalities=2),
    "bbfn": Needs(modalities=2, text=True, aligned=True),
    "dmd": Needs(modalities=2),
    "self_mm": Needs(modalities=2, tasks=("regression",)),
    "glomo": Needs(),
    "iccn": Needs(modalities=2, text=True),
    "mag": Needs(modalities=2, text=True, aligned=True),
    "cubemlp": Needs(aligned=True),
    "mmim": Needs(modalities=2, text=True),
    "tfn": Needs(),
    "lmf": Needs(),
}


def refusal(model: str, feature_dims: dict[str, int], task: str) -> str | None:
    """Why a model cannot be trained on such data, and what to do; `None` where it can.

    Args:
        model: its name.
        feature_dims: dict from modality to width, which is 0 of token ids.
        task: name of the task.
    """
    needs = NEEDS.get(model)
    if needs is None:
        return None
    has = listing(feature_dims)
    if TOKEN_IDS in feature_dims.values():
        return f"{model} reads feature vectors, and text is token ids here; leave out text.encoder"
    if needs.text and "text" not in feature_dims:
        return f"{model} needs the modality text; used here: {has}. Try late_fusion, which takes any"
    if len(feature_dims) < needs.modalities:
        return f"{model} needs {needs.modalities} modalities or more; used here: {has}. Try late_fusion, with any"
    if needs.tasks is not None and task not in needs.tasks:
        return f"{model} supports {' and '.join(needs.tasks)} only, and the labels are for {task}; try late_fusion"
    return None
