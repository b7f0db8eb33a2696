"""What this machine has for processes that train: cores, memory and GPUs."""

import contextlib
import math
import os
from pathlib import Path

# What a process takes that trains one of the recipes on a CPU: its backend, its graphs and its data.
PROCESS_BYTES = 3.5e9
_CGROUPS = Path("/sys/fs/cgroup")


def cores() -> list[int]:
    """Numbers of the cores that this process may use; fewer than it may be on where its share of time is limited."""
    if hasattr(os, "sched_getaffinity"):
        found = sorted(os.sched_getaffinity(0))
    else:
        found = list(range(os.cpu_count() or 1))
    for group in _own_cgroups():
        with contextlib.suppress(OSError, ValueError):
            quota, period = (group / "cpu.max").read_text().split()
            found = found[: max(1, math.ceil(int(quota) / int(period)))]
    return found


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` takes them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        names = [name.strip() for name in chosen.split(",")]
        # What stands behind an unknown one is not visible.
        return names[: next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))]
    return [str(i) for i in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def available_bytes() -> float:
    """Bytes of memory that are free for more processes; infinity where the system does not say."""
    found = math.inf
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for group in _own_cgroups():
        with contextlib.suppress(OSError, ValueError):
            limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            # Files that are cached give way.
            found = min(found, limit - used + int(stat.get("inactive_file", 0)))
    return found


def _own_cgroups():
    """The control groups of this process, whose limits hold for it: those of a container or of a job of SLURM."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), None)
    if own is None:
        return []
    group = _CGROUPS / own
    return [folder for folder in (group, *group.parents) if folder.is_relative_to(_CGROUPS)]
