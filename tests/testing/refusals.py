"""Files that must be refused."""

import pytest

from plumkeras.data_pipelines import DataError, load


def check_refused(path, *parts):
    """`load` raises a `DataError` that names the file and says every part."""
    with pytest.raises(DataError) as caught:
        load(path)
    for part in (*parts, str(path)):
        assert part in str(caught.value)
