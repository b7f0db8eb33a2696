"""Starting a run from the network of an earlier one: `--init-from`, `train(init_from=...)`."""

from pathlib import Path

from plumkeras.features import reads_text
from plumkeras.recipes.config import ConfigError, to_dict
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.output_checks import check_run
from plumkeras.recipes.runs.own_data import is_own
from plumkeras.recipes.runs.protocol import tokenizer_of
from plumkeras.tasks import get_task

# The fields of a network that do not shape its weights.
_WEIGHTLESS = {"dropout", "modality_dropout", "label_temperature", "normalize_labels"}
# What Keras calls the first factor of a low-rank addition.
_DRAWN = "lora_kernel_a"


def check_source(source, config, dataset):
    """Whether a run of a recipe on a data set can start from the network of an earlier run. Starts no backend.

    Args:
        source: path of the earlier run.
        config: `RecipeConfig` of the new run.
        dataset: `Dataset` of the new run.

    Raises:
        ConfigError: there is no finished run; a modality, a width, the task or a field of the network differs (it
            is named, with both values); the text encoders have different tokenizers; or the new run tests folds that
            the earlier one may have learned.
    """
    check_run(source)
    path = Path(source) / run_directory.CONFIG
    then = run_directory.read_network(path)
    classes, modalities = then.pop("num_classes"), list(then["feature_dims"])
    then |= _shape(run_directory.read_config(path), modalities)
    now = {
        "model": config.model,
        "feature_dims": {m: dataset.feature_dims[m] for m in config.modalities or dataset.modalities},
        "task": dataset.task,
        **_shape(config, modalities),
    }
    if not get_task(dataset.task).has_classes:
        then["label_classes"] = _plain(run_directory.read_config(path).label_classes)
        now["label_classes"] = _plain(config.label_classes)
    else:
        then["num_classes"], now["num_classes"] = classes, dataset.num_classes
    for field, value in now.items():
        if then.get(field) != value:
            raise ConfigError(
                f"--init-from {source}: {field} is {then.get(field)!r} there and {value!r} here; the networks must "
                "have the same shape"
            )
    if reads_text(now["feature_dims"]):
        own = tokenizer_of(run_directory.read_config(path), Path(source))
        if own is not tokenizer_of(config):
            raise ConfigError(
                f"--init-from {source}: its text encoder has another tokenizer than {config.text.encoder}, so that its "
                "weights belong to other tokens"
            )
    if "all" in dataset and is_own(path, run_directory.read_config(path), dataset):
        raise ConfigError(
            f"--init-from {source}: was trained on {dataset.path or 'these data'}, whose folds this run tests: each "
            "fold must be tested by a network that has not seen it"
        )


def _shape(config, modalities):
    values = {name: value for name, value in to_dict(config)["network"].items() if name not in _WEIGHTLESS}
    for name in {"signed_log1p", "strided"} & values.keys():
        values[name] = sorted(m for m in values[name] if m in modalities)
    if not values.get("strided"):
        values.pop("stride", None)
    return {"model": config.model, **{f"network.{name}": value for name, value in values.items()}}


def _plain(scheme):
    return scheme if isinstance(scheme, str) else list(scheme)


def take_weights(network, source):
    """Gives a network the weights of an earlier run's: its prototypes and standardisation with them.

    A saved network has low-rank additions merged into its kernels, and both of their factors zero, of which nothing
    can be learned. They begin anew here: by the first factor that the network has drawn.

    Raises:
        ConfigError: the file cannot be read, or holds other weights.
    """
    from plumkeras.recipes.runs.run import load_run

    weights = load_run(source).network.get_weights()
    if [w.shape for w in weights] != [tuple(w.shape) for w in network.weights]:
        raise ConfigError(f"--init-from {source}: its network has other weights than this recipe's")
    for variable, values in zip(network.weights, weights, strict=True):
        if variable.name != _DRAWN:
            variable.assign(values)


def recorded_source(directory, given):
    """The earlier run that an unfinished run is to start from: what it was begun with.

    Args:
        directory: path of the unfinished run.
        given: path or None, what is asked for now.

    Returns:
        Path, or None.

    Raises:
        ConfigError: another run is asked for than the one that it was begun with.
    """
    recorded = run_directory.read_description(Path(directory) / run_directory.CONFIG).get("init_from")
    if given is not None and (recorded or {}).get("run_id") != run_directory.run_id(given):
        begun = f"from {recorded['path']}" if recorded else "without it"
        raise ConfigError(f"--init-from {given}: the run in {directory} was begun {begun}; leave out --init-from")
    return Path(recorded["path"]) if recorded else None
