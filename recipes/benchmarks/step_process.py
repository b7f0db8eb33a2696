"""The process that `plumkeras benchmark step` times: both stages of one checkout's network, on orders from its parent.

It is run as a file, with another checkout's `plumkeras` first on the path or with this one's, and uses nothing but the
public names that every version has. Orders come as lines of JSON on its input, answers go as such to its output.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path


def main():
    # Answers have a stream of their own: libraries print to the other one.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    settings = json.loads(sys.argv[1])
    if settings["checkout"]:
        sys.path.insert(0, settings["checkout"])
    measured = PlainTorch(settings) if settings["torch_network"] else Stages(settings)
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(measured, order.pop("do"))(**order)
        print(json.dumps(answer), file=answers, flush=True)


class Clock:
    """Wall and CPU seconds of this process since it was made or last asked."""

    def __init__(self):
        self.ask()

    def ask(self):
        now = time.perf_counter(), time.process_time()
        before, self.now = getattr(self, "now", now), now
        return [after - earlier for after, earlier in zip(now, before, strict=True)]


class Stages:
    """The two trainers of PLUM-Net on random features, every frame valid."""

    def __init__(self, settings):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Several processes share a GPU.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import keras
        import numpy as np

        keras.config.set_dtype_policy(settings["precision"])
        keras.utils.set_random_seed(0)
        import plumkeras

        if settings["checkout"]:
            # Its data pipelines lie beside it. Without this the installed version's would be found, or none.
            plumkeras.__path__.append(settings["checkout"])
        try:
            from plumkeras.trainers.backend import Adam, AdamW
        except ImportError:
            from keras.optimizers import Adam, AdamW
        self.settings = settings
        self.batch_size = settings["batch_size"]
        frames, widths = settings["frames"], settings["feature_dims"]
        random = np.random.default_rng(0)
        count = self.batch_size * settings["batches"]
        self.inputs = {m: random.standard_normal((count, frames[m], width), "float32") for m, width in widths.items()}
        self.inputs |= {f"{m}_length": np.full(count, frames[m], "int32") for m in widths}
        self.labels = random.uniform(-3, 3, count).astype("float32")
        self.network = plumkeras.PLUMNet(widths, **settings["network"])
        self.network.adapt(self.inputs)
        options = dict(settings["optimizer"])
        adam = AdamW if options.get("weight_decay") else Adam
        self.trainers = {
            "alignment": plumkeras.AlignmentTrainer(self.network),
            "refinement": plumkeras.RefinementTrainer(self.network),
        }
        for trainer in self.trainers.values():
            trainer.compile(adam(**options))

    def _batches(self, count):
        """Some batches; on TensorFlow, from the version's own pipeline."""
        import keras
        import numpy as np

        rows = np.arange(count * self.batch_size) % len(self.labels)
        if keras.backend.backend() != "tensorflow":
            return [
                ({name: values[part] for name, values in self.inputs.items()}, self.labels[part])
                for part in np.split(rows, count)
            ]
        from plumkeras.data_pipelines import Split, make_dataset

        features = {m: self.inputs[m][rows] for m in self.settings["feature_dims"]}
        lengths = {m: self.inputs[f"{m}_length"][rows] for m in features}
        return make_dataset(
            Split([str(i) for i in range(len(rows))], features, lengths, self.labels[rows]), self.batch_size
        )

    def fit(self, stage, steps):
        """Trains some steps; wall and CPU seconds of the whole call, and of each step after the first."""
        import keras

        class Steps(keras.callbacks.Callback):
            def __init__(self):
                super().__init__()
                self.clock, self.seconds = Clock(), []

            def on_train_batch_end(self, batch, logs=None):
                # A GPU goes on by itself until a value is read.
                float(keras.ops.convert_to_numpy(logs["loss"]))
                self.seconds.append(self.clock.ask())

        data = self._batches(steps)
        given = {"x": _listed(data) if isinstance(data, list) else data, "prototype_data": self._batches(1)}
        callback, clock = Steps(), Clock()
        self.trainers[stage].fit(**given, epochs=1, verbose=0, callbacks=[callback])
        return {"call": clock.ask(), "steps": callback.seconds[1:]}

    def nodes(self, stage):
        """Nodes of the graph of a training step, those of its functions counted once; `None` without TensorFlow."""
        import keras

        if keras.backend.backend() != "tensorflow":
            return None
        import tensorflow as tf

        spec, trainer = self._batches(1).element_spec, self.trainers[stage]
        graph = tf.function(trainer.train_step, autograph=False).get_concrete_function(spec).graph.as_graph_def()
        return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)

    def matmul(self):
        """Floating-point operations a second of a product of two float32 matrices, by wall and by CPU seconds."""
        import keras

        size = product_size(self.device())
        first, second = keras.ops.unstack(keras.random.normal((2, size, size), dtype="float32"))
        keras.ops.convert_to_numpy(keras.ops.matmul(first, second)[0, 0])
        clock = Clock()
        keras.ops.convert_to_numpy(keras.ops.matmul(first, second)[0, 0])
        return [2 * size**3 / seconds for seconds in clock.ask()]

    def device(self):
        """What the steps run on, `"gpu"` or `"cpu"`."""
        import keras

        place = keras.ops.convert_to_tensor([0.0]).device
        return "cpu" if "cpu" in str(place() if callable(place) else place).lower() else "gpu"

    def memory(self):
        """Peak memory in bytes: on a GPU that of the backend there, otherwise that of this process."""
        import keras

        if self.device() == "cpu":
            return peak_memory()
        if keras.backend.backend() == "jax":
            import jax

            return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]
        if keras.backend.backend() == "torch":
            import torch

            return torch.cuda.max_memory_allocated()
        import tensorflow as tf

        return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def _listed(batches):
    """Batches as `fit` takes them where they are arrays: a list would be taken for one batch."""
    import keras

    class Listed(keras.utils.PyDataset):
        def __len__(self):
            return len(batches)

        def __getitem__(self, index):
            return batches[index]

    return Listed()


class PlainTorch:
    """`PlumNet` of a Python file, trained as its authors would: eager, one module at a time, in float32.

    The file defines `MODALITIES`, which is set to the names that are measured, and a module `PlumNet(widths, dim=,
    heads=, layers=, dropout=)` with `forward(x, mask, stage)`, a dict whose `y` is the prediction in stage 2,
    `stage1_parameters()`, `stage1_loss(outputs, classes)` and `update_prototypes(outputs, classes)`.
    """

    def __init__(self, settings):
        import runpy

        import numpy as np
        import torch

        torch.manual_seed(0)
        self.torch, self.settings = torch, settings
        self.place = "cuda" if torch.cuda.is_available() else "cpu"
        frames, widths, network = settings["frames"], settings["feature_dims"], settings["network"]
        names = runpy.run_path(settings["torch_network"])
        # The functions of the file read the name from here.
        names["PlumNet"].forward.__globals__["MODALITIES"] = tuple(widths)
        self.network = names["PlumNet"](
            widths,
            dim=network["hidden_dim"],
            heads=network["num_heads"],
            layers=network["num_layers"],
            dropout=network["dropout"],
        ).to(self.place)
        options = settings["optimizer"]
        adam = torch.optim.AdamW if options.get("weight_decay") else torch.optim.Adam
        rest = {"lr": options["learning_rate"], "weight_decay": options.get("weight_decay", 0.0)}
        parameters = {
            "alignment": list(self.network.stage1_parameters()),
            "refinement": list(self.network.parameters()),
        }
        self.optimizers = {stage: adam(values, **rest) for stage, values in parameters.items()}
        self.parameters = parameters
        random, count = np.random.default_rng(0), settings["batch_size"]
        self.x = {
            m: torch.tensor(random.standard_normal((count, frames[m], width), "float32"), device=self.place)
            for m, width in widths.items()
        }
        self.mask = {m: torch.ones(count, frames[m], dtype=torch.bool, device=self.place) for m in widths}
        self.y = torch.tensor(random.uniform(-3, 3, count).astype("float32"), device=self.place)

    def fit(self, stage, steps):
        self.network.train()
        seconds, clock, whole = [], Clock(), Clock()
        classes = self.torch.sign(self.y).long() + 1
        for _ in range(steps):
            out = self.network(self.x, self.mask, stage=1 if stage == "alignment" else 2)
            self.network.update_prototypes(out, classes)
            loss = self.network.stage1_loss(out, classes)
            if stage == "refinement":
                loss = loss + self.torch.nn.functional.l1_loss(out["y"], self.y)
            self.optimizers[stage].zero_grad()
            loss.backward()
            if clipnorm := self.settings["optimizer"].get("clipnorm"):
                self.torch.nn.utils.clip_grad_norm_(self.parameters[stage], clipnorm)
            self.optimizers[stage].step()
            loss.item()
            seconds.append(clock.ask())
        return {"call": whole.ask(), "steps": seconds[1:]}

    def nodes(self, stage):
        return None

    def matmul(self):
        size = product_size(self.device())
        first, second = self.torch.randn(2, size, size, device=self.place)
        (first @ second)[0, 0].item()
        clock = Clock()
        (first @ second)[0, 0].item()
        return [2 * size**3 / seconds for seconds in clock.ask()]

    def device(self):
        return "gpu" if self.place == "cuda" else "cpu"

    def memory(self):
        return peak_memory() if self.place == "cpu" else self.torch.cuda.max_memory_allocated()


def product_size(device):
    """Rows and columns of the matrices whose product is timed."""
    return 4096 if device == "gpu" else 2048


def peak_memory():
    # What `resource` says begins, on Linux, with the peak of the process that this one was started from.
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
