"""CubeMLP."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.cube import CubeBlock, CubeEncoder, CubePooling, CubeSlice, FirstFrames
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE
from plumkeras.layers.prediction import TaskOutput
from plumkeras.models.published import PublishedNetwork

# Inner width of the head, which a vector that is not wider does without.
_HEAD = 128


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class CubeMLP(PublishedNetwork):
    """Mixes a cube of time, modality and channel by small networks, one along each axis in every block.

    The text is projected to `d`; every other modality goes through two bidirectional GRUs. Each becomes `N` frames, of
    which the first ones are its own and the rest 0. Frames of several modalities meet by their position: made for
    aligned data, where all have the same length. Of unaligned ones each has its own, and the same position is not the
    same time.

    Deviations from the public code: each modality's own length says what is padding; valid frames of zeros stay zeros;
    frames past the length are 0 from there to the end, whatever the batch is padded to. (There, of the modalities with
    GRUs, they are a constant of the last normalisation up to the longest sample of the batch, and 0 beyond it.) A
    missing modality is 0 in all of its frames.

    Args:
        feature_dims: dict from modality to feature width.
        width: int `d`. Defaults to `128`.
        frames: int `N`; of longer sequences the first ones are read. Defaults to `100`.
        time_sizes, channel_sizes: ints, sizes of the cube after each block. Default to `(50, 10)` and `(128, 32)`. The
            number of modalities stays.
        time_hidden, channel_hidden: ints, inner sizes of each block; `None`: those after it. Default to `None`.
        time_pooling: `"mean"` over the frames that are left, as for MOSI; or `"concatenate"`, as for MOSEI. Defaults to
            `"mean"`.
        dropout: float, of each modality in front of the cube. Defaults to `0.1`.
        cube_dropout: float, of what every small network adds. Defaults to `0.1`.
        head_dropout: float, of the head's inner layer, which a vector of up to 128 values does without. Defaults to
            `0.1`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`, per modality `<m>_present` `[B]` bool, `cube_input` `[B, N, M, d]` and `cube_output`
        `[B, time_sizes[-1], M, channel_sizes[-1]]`.

    Raises:
        ValueError: the lists of sizes are not equally long, or empty.

    Example:
        >>> network = CubeMLP({"text": 12, "audio": 5}, width=8, frames=9, time_sizes=(6, 4), channel_sizes=(8, 3))
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 7, 5))})
        >>> tuple(outputs["cube_input"].shape), tuple(outputs["cube_output"].shape)
        ((2, 9, 2, 8), (2, 4, 2, 3))

    Reference: Sun, Wang, Liu, Chen and Lin, ACM MM 2022.
    """

    own_name = "cubemlp"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 128,
        frames: int = 100,
        time_sizes: tuple[int, ...] = (50, 10),
        channel_sizes: tuple[int, ...] = (128, 32),
        time_hidden: tuple[int, ...] | None = None,
        channel_hidden: tuple[int, ...] | None = None,
        time_pooling: str = "mean",
        dropout: float = 0.1,
        cube_dropout: float = 0.1,
        head_dropout: float = 0.1,
        num_classes: int = 3,
        task: str = "regression",
        signed_log1p=(),
        name: str | None = None,
        dtype=None,
        trainable: bool = True,
    ):
        sizes = {
            "time_sizes": list(time_sizes),
            "channel_sizes": list(channel_sizes),
            "time_hidden": None if time_hidden is None else list(time_hidden),
            "channel_hidden": None if channel_hidden is None else list(channel_hidden),
        }
        counts = {len(of_blocks) for of_blocks in sizes.values() if of_blocks is not None}
        if counts == {0} or len(counts) > 1:
            raise ValueError(f"each list of sizes must have one for every block. Received: {sizes}")
        super().__init__(
            *(feature_dims, num_classes, task, signed_log1p, name, dtype, trainable),
            width=width,
            frames=frames,
            **sizes,
            time_pooling=time_pooling,
            dropout=dropout,
            cube_dropout=cube_dropout,
            head_dropout=head_dropout,
        )

    @staticmethod
    def wire(
        sequences,
        lengths,
        task,
        num_classes,
        policy,
        *,
        width,
        frames,
        time_sizes,
        channel_sizes,
        time_hidden,
        channel_hidden,
        time_pooling,
        dropout,
        cube_dropout,
        head_dropout,
    ):
        slices = []
        for m, sequence in sequences.items():
            sequence, length = FirstFrames(frames, dtype=policy, name=f"{m}_cut")(sequence, lengths[m])
            if m == "text":
                hidden = FanInDense(width, use_bias=False, dtype=policy, name="text_projection")(sequence)
            else:
                hidden = CubeEncoder(width, dtype=policy, name=f"{m}_encoder")(sequence, length)
            hidden = Dropout(dropout, dtype=policy, name=f"{m}_drop")(hidden)
            slices.append(CubeSlice(frames, dtype=policy, name=f"{m}_slice")(hidden, length))
        cube = keras.layers.Concatenate(axis=2, dtype=policy, name="cube")(slices)
        outputs = {"cube_input": cube}
        count, sizes = len(sequences), (time_hidden or time_sizes, channel_hidden or channel_sizes)
        of_blocks = zip(*sizes, time_sizes, channel_sizes, strict=True)
        for i, (inner_time, inner_channel, time, channel) in enumerate(of_blocks):
            inner, units = (inner_time, count, inner_channel), (time, count, channel)
            cube = CubeBlock(inner, units, cube_dropout, dtype=policy, name=f"cube_{i}")(cube)
        outputs["cube_output"] = cube
        hidden = CubePooling(time_pooling, dtype=policy, name="pooling")(cube)
        if hidden.shape[-1] > _HEAD:
            hidden = FanInDense(_HEAD, "relu", dtype=policy, name="head_dense")(hidden)
            hidden = Dropout(head_dropout, dtype=policy, name="head_drop")(hidden)
        outputs["prediction"] = TaskOutput(task, num_classes, name="head")(hidden)
        return outputs
