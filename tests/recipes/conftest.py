"""A small run whose network reads text, made once."""

import pytest


@pytest.fixture(scope="session")
def text_run(tmp_path_factory):
    """Directory of a finished run on text and audio with a tiny encoder. Tests must not change it."""
    from tests.testing.text_runs import train_text_run

    return train_text_run(tmp_path_factory.mktemp("texts")).directory
