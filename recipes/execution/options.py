"""The options of a command whose tasks an executor runs."""

import dataclasses
from typing import Annotated

import tyro

from plumkeras.recipes.execution import check_choice


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """Where runs are trained."""

    jobs: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes of this machine that train at a time; by default as its memory and cores carry, or one for each GPU."""
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """Train on the workers of a Dask scheduler, as tcp://host:8786. Trust all who can reach it."""

    def __post_init__(self):
        check_choice(self.jobs, self.scheduler)
