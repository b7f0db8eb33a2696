"""Keeps what libraries print about themselves out of what a command prints."""

import contextlib
import importlib.machinery
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

from plumkeras.backends import check_backend
from plumkeras.recipes.cli.parsing import EXPECTED_ERRORS, UsageError, warn

# They print while they are imported. Whoever imports them: to save a network, Keras imports TensorFlow on any backend.
_LOUD = ("tensorflow", "tensorflow_io", "jax", "torch")


def check_start(arguments):
    """Raises `UsageError` when the command of a command line starts a backend, and what names it is wrong."""
    if arguments[0] not in ("inspect", "convert", "compare", "report") and not {"-h", "--help"} & set(arguments):
        _check_backend(installed=False)


def _check_backend(installed):
    try:
        check_backend(installed)
    except ImportError as error:
        raise UsageError(str(error)) from error


@contextlib.contextmanager
def quiet():
    """Around a whole command: libraries neither log nor warn, errors apart. Our own warnings become one line each."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    disabled, shown, finder = logging.root.manager.disable, warnings.showwarning, _QuietImports()
    logging.disable(logging.WARNING)
    warnings.showwarning = _show
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        warnings.showwarning = shown
        logging.disable(disabled)


@contextlib.contextmanager
def quiet_start(backend=True):
    """Around what starts a backend: holds back what its native code prints, unless that fails.

    Args:
        backend: bool. Whether the backend that is chosen is needed, and not TensorFlow or a package of sound alone.

    Raises:
        UsageError: the backend is not installed, or a package cannot be imported.
    """
    if backend:
        _check_backend(installed=True)
    with _held_back():
        try:
            yield
            tensorflow = sys.modules.get("tensorflow")
            if "keras" in sys.modules and hasattr(tensorflow, "config"):
                # The first to look for GPUs is told at length where there are none.
                tensorflow.config.list_physical_devices()
        except ImportError as error:
            raise UsageError(f"a package cannot be imported: {error}; reinstall it") from error


def _show(message, category, filename, lineno, file=None, line=None):
    ours = (sys.modules[name] for name in ("plumkeras", "plumkeras.data_pipelines", "plumkeras.recipes"))
    is_ours = category.__module__.startswith("plumkeras.") or any(
        Path(filename).is_relative_to(module.__path__[0]) for module in ours
    )
    if issubclass(category, UserWarning) and is_ours:
        warn(message)


class _QuietImports:
    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target) if name in _LOUD else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def held(module):
                with _held_back():
                    execute(module)

            spec.loader.exec_module = held
        return spec


@contextlib.contextmanager
def _held_back():
    """Native code's standard error goes to a file, which is shown after an unexpected error; Python's is untouched."""
    sys.stderr.flush()
    real = os.dup(2)
    python = sys.stderr
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        if python is sys.__stderr__:
            # Left open: a library that is imported now may keep it for its errors.
            sys.stderr = open(os.dup(real), "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
        try:
            yield
        except (ImportError, *EXPECTED_ERRORS):
            raise
        except Exception:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            sys.stderr = python
            os.dup2(real, 2)
            os.close(real)
