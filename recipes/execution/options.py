"""The options of a command that trains many times."""

import dataclasses
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """Where the runs are trained."""

    jobs: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Runs to train at a time, each in a process of its own; by default as many as the machine carries."""
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Train on a Dask cluster: the address of its scheduler, as tcp://10.0.0.1:8786."""
