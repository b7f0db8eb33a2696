"""A script: runs the command line, and kills its own process (SIGKILL) at a chosen point, whatever the machine's speed.

    python killed_run.py POINT ARGUMENTS...

POINT is words joined by `:`; epochs and steps are counted from 0.

    step:STAGE:EPOCH:STEP       after a training step
    valid:STAGE:EPOCH           in the validation of an epoch
    epoch:STAGE:EPOCH           after an epoch, its checkpoint written
    begin:STAGE                 at the start of a stage
    end:STAGE                   at its end, before the next
    half:FILE[:STAGE:EPOCH]     while a file is being written: half of it is on disk
    whole:FILE[:STAGE:EPOCH]    a file is complete on disk, and not yet moved into its place
    picture                     after the network was saved
    remove:FILE                 before a file is removed

No kill, but something else that happens:

    full:FILE:STAGE:EPOCH       the disk is full when a checkpoint is written (Linux)
    forget:WHAT                 what a checkpoint holds is not restored: seeds, optimizer, order, best or stopping
    never                       nothing
"""

import os
import signal
import sys
from pathlib import Path

from plumkeras.recipes import cli
from plumkeras.recipes.cli.quiet import quiet_start

with quiet_start():
    import keras

    from plumkeras.recipes.runs import checkpoint, stages, training


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Killer(keras.callbacks.Callback):
    """Stands behind all other callbacks of a stage."""

    def __init__(self, point, stage):
        super().__init__()
        self.point, self.stage, self.epoch = point, stage, None

    def reached(self, kind, *where):
        if self.point == [kind, self.stage, *map(str, where)]:
            die()

    def on_train_begin(self, logs=None):
        self.reached("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.reached("step", self.epoch, batch)

    def on_test_batch_end(self, batch, logs=None):
        self.reached("valid", self.epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.reached("epoch", epoch)

    def on_train_end(self, logs=None):
        self.reached("end")


def arm(point):
    """Makes the process die at the point."""
    where = []  # Stage and epoch of the checkpoint being written.
    fit, write, replace, unlink = stages.StageData.fit, checkpoint.CheckpointFile.write, Path.replace, Path.unlink
    plot = training.plot_losses

    def watched_fit(self, stage, trainer, callbacks=(), initial_epoch=0):
        return fit(self, stage, trainer, [*callbacks, Killer(point, stage)], initial_epoch)

    def watched_write(self, position):
        where[:] = [position.stage, str(position.epochs - 1)]
        if point == ["full", self.path.name, *where]:
            partial = self.path.with_name(f"{self.path.name}.partial")
            partial.unlink(missing_ok=True)
            partial.symlink_to("/dev/full")
        write(self, position)

    def watched_replace(self, target):
        if point[0] in ("half", "whole") and point[1] == Path(target).name and point[2:] in ([], where):
            if point[0] == "half":
                os.truncate(self, self.stat().st_size // 2)
            die()
        return replace(self, target)

    def watched_unlink(self, missing_ok=False):
        if point == ["remove", self.name]:
            die()
        unlink(self, missing_ok)

    def watched_plot(*arguments):
        if point == ["picture"]:
            die()
        return plot(*arguments)

    stages.StageData.fit, checkpoint.CheckpointFile.write = watched_fit, watched_write
    Path.replace, Path.unlink = watched_replace, watched_unlink
    training.plot_losses = watched_plot


def forget(what):
    """Leaves out a part of what a resumed run takes up."""
    take_up, feed = checkpoint.StageCheckpoint.on_train_begin, stages.feed

    def forgetful(self, logs=None):
        model = self.model
        if what == "optimizer":
            model.optimizer.build(model.trainable_variables)
        variables = {
            "seeds": [v for v in model.variables if "seed" in v.path],
            "optimizer": model.optimizer.variables,
        }.get(what, [])
        before = [keras.ops.convert_to_numpy(v) for v in variables]
        take_up(self, logs)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        if what == "best":
            model.keep_best.reset()
        if what == "stopping":
            self.early_stopping.on_train_begin()

    def from_the_first_order(*arguments, initial_epoch=0, **options):
        return feed(*arguments, **options)

    checkpoint.StageCheckpoint.on_train_begin = forgetful
    if what == "order":
        stages.feed = from_the_first_order


if __name__ == "__main__":
    kind, *rest = sys.argv[1].split(":")
    if kind == "forget":
        forget(*rest)
    else:
        arm([kind, *rest])
    sys.exit(cli.main(sys.argv[2:]))
