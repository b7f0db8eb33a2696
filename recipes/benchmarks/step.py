"""What a training step costs: its first call, and every further one, beside a matrix product of the same process."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from plumkeras.recipes.config import ConfigError

_REFERENCE = {
    "feature_dims": {"text": 768, "audio": 5, "vision": 20},
    "network": {"hidden_dim": 256, "num_layers": 2, "num_heads": 8, "dropout": 0.1},
    "optimizer": {"learning_rate": 5e-5},
}
SHAPES = {
    "reference": {**_REFERENCE, "frames": {"text": 50, "audio": 50, "vision": 50}},
    "mosi_frozen": {
        "feature_dims": {"text": 384, "audio": 73},
        "frames": {"text": 50, "audio": 1},
        "network": {"hidden_dim": 256, "num_layers": 1, "num_heads": 8, "dropout": 0.5},
        "optimizer": {"learning_rate": 3e-4, "weight_decay": 1e-2, "clipnorm": 1.0},
    },
    "unaligned": {**_REFERENCE, "frames": {"text": 50, "audio": 375, "vision": 500}},
}
BATCH_SIZE, CLASSES = 32, 3
STAGES = ("alignment", "refinement")
CLOCKS = ("wall", "CPU")  # As every time is given.


def flops(shape: dict, stage: str) -> int:
    """Floating-point operations of a training step, two for each multiplication; backward counts twice forward.

    Multiplications of a sample, with width `d`, `L` layers and, of a modality, `T` frames of `F` features:

    - stem `T F d`, the two alignment projections `2 T d^2`;
    - each of its two branches `L (12 T d^2 + 2 T^2 d)`: query, key, value and output `4 T d^2`, feed-forward
      `8 T d^2`, attention `2 T^2 d`; pool `2 T d^2 + d^2 + 2 T d`, classifier `C d`;
    - in stage 2, refinement `2 (4 T d^2 + 2 T^2 d)`, merge `2 T d^2`, label query, and attention to `C` labels
      `3 T d^2 + 2 C d^2 + 2 T C d`; the head `M d^2 + d`, of `M` modalities.

    Normalisation, softmax, dropout, the losses and the pools' query, one for all samples, do not count.
    """
    d, layers = shape["network"]["hidden_dim"], shape["network"]["num_layers"]
    count = 0
    for modality, width in shape["feature_dims"].items():
        t = shape["frames"][modality]
        branch = layers * (12 * t * d**2 + 2 * t**2 * d) + 2 * t * d**2 + d**2 + 2 * t * d + CLASSES * d
        count += t * width * d + 2 * t * d**2 + 2 * branch
        if stage == "refinement":
            count += 2 * (4 * t * d**2 + 2 * t**2 * d) + 2 * t * d**2
            count += 3 * t * d**2 + 2 * CLASSES * d**2 + 2 * t * CLASSES * d
    if stage == "refinement":
        count += len(shape["feature_dims"]) * d**2 + d
    return 3 * 2 * BATCH_SIZE * count


def benchmark_step(
    shape: str = "reference",
    against: Path | None = None,
    torch_network: Path | None = None,
    rounds: int = 5,
    steps: int = 4,
    progress=print,
) -> dict:
    """Times both stages of training on random features, each kind of network in a process of its own, in turn.

    The kinds are this version's network with a shared common branch (`shared`), one for each modality
    (`per_modality`) and 16 bits (`mixed_bfloat16`, the shared one); another checkout's (`against`); and a network in
    plain PyTorch (`torch`). Batches of 32 samples, every frame valid.

    Args:
        shape: `"reference"` (three modalities of 50 frames, two layers), `"mosi_frozen"` or `"unaligned"` (text 50,
            audio 375, vision 500 frames).
        against: folder of another checkout of plumkeras, whose trainers are timed too.
        torch_network: path of a Python file that defines `PlumNet` in PyTorch, see `step_process.PlainTorch`.
        rounds: int. How often each process has its turn.
        steps: int. Steps in a turn, after the first one, which does not count.
        progress: called with a line of text after each part.

    Returns:
        Dict: `shape`; `batch_size`; `device`, `"cpu"` or `"gpu"`; `clock`, the seconds that count there, `"CPU"` or
        `"wall"`; `kinds`, by kind a dict by stage of `first` and `step` (`[wall, CPU]` seconds; a first call is the
        whole `fit` of one step, a step the median of all), `all_steps`, `flops`, `matmul` (median of the operations a
        second of a float32 product of two matrices, by wall and by CPU seconds, measured before each turn),
        `share_of_peak` (operations of the step a second over those of the product, by the clock that counts) and
        `nodes` of the graph; and `peak_memory` in bytes, of the process or of the GPU, the matrices of the product
        included.

    Raises:
        ConfigError: an unknown shape, or a folder or file that is not what it is said to be.
    """
    if shape not in SHAPES:
        raise ConfigError(f"shape must be one of {', '.join(SHAPES)}. Received: {shape!r}")
    if against is not None and not (Path(against) / "plumkeras" / "__init__.py").is_file():
        raise ConfigError(f"{against}: is no checkout of plumkeras; it has no plumkeras/__init__.py")
    if torch_network is not None and not Path(torch_network).is_file():
        raise ConfigError(f"{torch_network}: is no file; a Python file that defines PlumNet is expected")
    kinds = {
        "shared": {},
        "per_modality": {"network": {"common_branch": "per_modality"}},
        "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    }
    if against is not None:
        kinds["against"] = {"checkout": str(Path(against).resolve())}
    if torch_network is not None:
        kinds["torch"] = {"torch_network": str(Path(torch_network).resolve())}
    processes = {}
    result = {"shape": shape, "batch_size": BATCH_SIZE, "kinds": {kind: {} for kind in kinds}}
    try:
        for kind, own in kinds.items():
            processes[kind] = _Process(kind, _settings(SHAPES[shape], own))
        # All of them have started before anything is timed, and what is wrong with one is said at once.
        for process in processes.values():
            process.ask("memory")
        devices = {kind: process.ask("device") for kind, process in processes.items()}
        if len(set(devices.values())) > 1:
            raise ConfigError(f"the networks must run on one kind of device. Received: {devices}")
        result["device"] = devices["shared"]
        result["clock"] = "wall" if result["device"] == "gpu" else "CPU"
        clock = CLOCKS.index(result["clock"])
        for stage in STAGES:
            for kind, measured in _time_stage(processes, stage, rounds, steps, progress).items():
                operations = flops(SHAPES[shape], stage)
                share = operations / measured["step"][clock] / measured["matmul"][clock]
                result["kinds"][kind][stage] = {**measured, "flops": operations, "share_of_peak": share}
        for kind, process in processes.items():
            result["kinds"][kind]["peak_memory"] = process.ask("memory")
            for stage in STAGES:
                result["kinds"][kind][stage]["nodes"] = process.ask("nodes", stage=stage)
    finally:
        for process in processes.values():
            process.close()
    return result


def _settings(shape, own):
    return {
        "checkout": None,
        "torch_network": None,
        "precision": "float32",
        "batch_size": BATCH_SIZE,
        "batches": 4,
        **shape,
        **own,
        "network": {**shape["network"], **own.get("network", {})},
    }


def _time_stage(processes, stage, rounds, steps, progress):
    measured = {kind: {"first": None, "all_steps": [], "matmul": []} for kind in processes}
    for kind, process in processes.items():
        measured[kind]["first"] = process.ask("fit", stage=stage, steps=1)["call"]
        progress(f"{stage}, {kind}: first call {measured[kind]['first'][1]:.1f} CPU s")
        # Once more, so that what the second call sets up does not count.
        process.ask("fit", stage=stage, steps=2)
    for number in range(rounds):
        for kind in list(processes) if number % 2 == 0 else reversed(processes):
            measured[kind]["matmul"].append(processes[kind].ask("matmul"))
            measured[kind]["all_steps"] += processes[kind].ask("fit", stage=stage, steps=steps + 1)["steps"]
        progress(f"{stage}: round {number + 1} of {rounds}")
    for values in measured.values():
        values["step"] = [statistics.median(seconds) for seconds in zip(*values["all_steps"], strict=True)]
        values["matmul"] = [statistics.median(rates) for rates in zip(*values["matmul"], strict=True)]
    return measured


class _Process:
    """A process of `step_process.py`, which does what it is asked and answers."""

    def __init__(self, kind, settings):
        self.kind = kind
        command = [sys.executable, str(Path(__file__).with_name("step_process.py")), json.dumps(settings)]
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `close`)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.said}
        self.process = subprocess.Popen(command, **pipes, text=True)

    def ask(self, do, **arguments):
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.said.seek(0)
            last = self.said.read().strip().splitlines()[-1:] or ["it said nothing"]
            raise ConfigError(f"the process that times {self.kind} ended: {last[0]}")
        return json.loads(answer)

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.said.close()
