"""Libraries that only extraction needs, and that an extra of the package brings."""

import importlib
import warnings

from plumkeras.data_pipelines.schema.validation import DataError


def require(module, extra, purpose):
    """Imports a module.

    Args:
        module: str. Its name.
        extra: str. The extra of `plumkeras` that brings it.
        purpose: str. What it is needed for.

    Returns:
        The module.

    Raises:
        DataError: it can't be imported; names the extra.
    """
    try:
        with warnings.catch_warnings():
            # What tensorflow-io says where its native library doesn't load; its functions in pure TensorFlow do.
            warnings.filterwarnings("ignore", message="unable to load libtensorflow_io_plugins")
            warnings.filterwarnings("ignore", message="file system plugins are not loaded")
            return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"{purpose} needs {module}, which can't be imported ({' '.join(str(error).split())}); "
            f"pip install 'plumkeras[{extra}]'"
        ) from None
