"""Starts a backend without what TensorFlow prints about itself."""

import contextlib
import os
import sys
import tempfile

from plumkeras.cli.words import UsageError


@contextlib.contextmanager
def quiet_start():
    """Around what starts the backend: holds back what TensorFlow's C++ prints on standard error, unless that fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        real = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except ImportError as error:
            backend = os.environ.get("KERAS_BACKEND", "tensorflow")
            raise UsageError(f"the {backend} backend (KERAS_BACKEND) cannot be imported: {error}") from error
        except BaseException:
            os.dup2(real, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
