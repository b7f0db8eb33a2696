"""Features of video frames, by a network of keras.applications."""

import dataclasses
import math
import os
import re
import struct
from typing import Literal

import numpy as np

from plumkeras.arguments import known_arguments_only
from plumkeras.data_pipelines.containers import hdf5
from plumkeras.data_pipelines.containers.budget import Budget
from plumkeras.data_pipelines.extraction.clips import IMAGE_ENDINGS
from plumkeras.data_pipelines.schema.validation import DataError

_MAX_SIDE = 16_384


@known_arguments_only()
@dataclasses.dataclass(frozen=True, kw_only=True)
class VisionOptions:
    """How frames become features."""

    frames: str | None = None
    """Frames of the clips: a folder with a folder of images per clip, or an HDF5 with `[T, H, W, 3]` uint8 per clip."""
    vision_network: Literal["MobileNetV2", "ResNet50"] = "MobileNetV2"
    """The network of keras.applications, without its top; its last maps are averaged."""
    vision_weights: str | None = None
    """File of the network's weights without top. Nothing is downloaded."""
    random_weights: bool = False
    """Use random weights where there is no file: for trials, not for results."""
    image_size: int = 224
    """Height and width that frames are brought to."""
    max_images: int = 100
    """Frames kept of a clip, evenly spread over it."""
    seed: int = 0
    """Seed of random weights."""

    def __post_init__(self):
        for name, low in (("image_size", 32), ("max_images", 1)):
            if getattr(self, name) < low:
                raise DataError(f"{name} must be at least {low}. Received: {getattr(self, name)}")


class FrameFolder:
    """A folder with a folder of images per clip; they are in the order of their names, numbers by their value."""

    def __init__(self, path, max_bytes=None):
        self.max_bytes = max_bytes
        self.clips = {}
        for where, inner, names in os.walk(path):
            inner.sort()
            images = [name for name in names if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith(".")]
            if images:
                key = os.path.relpath(where, path).replace(os.sep, "/")
                self.clips[key] = [os.path.join(where, name) for name in sorted(images, key=_natural)]

    def count(self, key):
        """How many frames a clip has."""
        return len(self.clips[key])

    def read(self, key, positions, size):
        """Some frames of a clip as float32 `[n, size, size, 3]`, 0 to 255."""
        import tensorflow as tf

        def image(path):
            found = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
            return tf.image.resize(found, (size, size))

        chosen = [self.clips[key][position] for position in positions]
        # What is decoded at a time, each by a thread of its own.
        budget = Budget(os.path.dirname(chosen[0]), self.max_bytes)
        for path in chosen:
            budget.spend(_decoded_bytes(path), path)
        paths = tf.data.Dataset.from_tensor_slices(chosen)
        stream = paths.map(image, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        try:
            return np.stack(list(stream.as_numpy_iterator()))
        except tf.errors.OpError as error:
            text = " ".join(error.message.split()).split("}} ", 1)[-1]
            raise DataError(f"{os.path.dirname(self.clips[key][0])}: an image can't be decoded: {text[:200]}") from None


class FrameFile:
    """An HDF5 with one array of frames per clip; the name may have groups in it (`video/clip`)."""

    def __init__(self, path, max_bytes=None):
        self.path, self.budget = path, Budget(path, max_bytes)
        self.file = hdf5.opened(path)
        self.clips = dict(self._walk(self.file, ""))

    def _walk(self, group, prefix):
        import h5py

        for name in hdf5.children(group, self.path):
            with hdf5.guarded(self.path):
                child = group[name]
            if isinstance(child, h5py.Group) and prefix.count("/") < 3:
                yield from self._walk(child, f"{prefix}{name}/")
            elif isinstance(child, h5py.Dataset):
                yield f"{prefix}{name}", child

    def count(self, key):
        """How many frames a clip has."""
        where = f"{self.path}: {key}"
        shape, dtype = hdf5.check(self.clips[key], where), self.clips[key].dtype
        if len(shape) != 4 or shape[3] != 3 or dtype != np.uint8 or not 0 < max(shape[1:3]) <= _MAX_SIDE:
            raise DataError(f"{where} has shape {shape} and type {dtype}; uint8 [frames, height, width, 3] is expected")
        return shape[0]

    def read(self, key, positions, size):
        """Some frames of a clip as float32 `[n, size, size, 3]`, 0 to 255."""
        import tensorflow as tf

        where = f"{self.path}: {key}"
        with hdf5.guarded(where):
            clip = self.clips[key]
            # Every chunk that a part of the frame is in is unpacked whole.
            chunks = clip.chunks or (1, *clip.shape[1:])
            touched = [-(-length // chunk) * chunk for length, chunk in zip(clip.shape[1:], chunks[1:], strict=True)]
            frames = []
            for at in positions:
                self.budget.spend(chunks[0] * math.prod(touched), where)
                frames.append(tf.image.resize(clip[int(at)], (size, size)).numpy())
            return np.stack(frames)


def _decoded_bytes(path):
    """What an image takes in memory, as its header says; 0 where it has none that is known, and can't be decoded."""
    with open(path, "rb") as file:
        head = file.read(32)
        if head.startswith(b"\x89PNG"):
            sides = struct.unpack(">II", head[16:24].ljust(8, b"\0"))
        elif head.startswith(b"BM"):
            sides = struct.unpack("<ii", head[18:26].ljust(8, b"\0"))
        elif head.startswith(b"GIF"):
            sides = struct.unpack("<HH", head[6:10].ljust(4, b"\0"))
        else:
            sides = _jpeg_sides(file)
    return 4 * abs(math.prod(sides))


def _jpeg_sides(file):
    """Height and width in a JPEG's frame header, which comes after other segments."""
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        kind, length = head[1], int.from_bytes(head[2:], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return struct.unpack(">HH", file.read(5)[1:].ljust(4, b"\0"))
        file.seek(length - 2, os.SEEK_CUR)
    return 0, 0


def open_frames(path, max_bytes=None):
    """The frames of clips: a `FrameFolder` or a `FrameFile`.

    Args:
        path: str.
        max_bytes: int or None. What the file's frames, or some of a clip's images, may be decoded to; see `budget`.

    Raises:
        DataError: it is neither a folder nor an HDF5, or holds no frames.
    """
    if os.path.isdir(path):
        frames = FrameFolder(path, max_bytes)
    elif hdf5.is_hdf5(path):
        frames = FrameFile(path, max_bytes)
    else:
        raise DataError(f"{path}: is neither a folder with images nor an HDF5 with frames")
    if not frames.clips:
        raise DataError(f"{path}: holds no frames")
    return frames


def make_network(options):
    """The network, from frames `[n, size, size, 3]` of 0 to 255 to features `[n, F]`.

    Raises:
        DataError: there are no weights, or they don't fit.
    """
    if options.vision_weights is None and not options.random_weights:
        raise DataError(
            f"frames need the weights of {options.vision_network} without top: --vision-weights FILE "
            "(nothing is downloaded; --random-weights goes without, for trials)"
        )
    if options.vision_weights is not None and not os.path.isfile(options.vision_weights):
        raise DataError(f"{options.vision_weights}: there is no such file")
    import keras

    module = {"MobileNetV2": keras.applications.mobilenet_v2, "ResNet50": keras.applications.resnet50}
    module = module[options.vision_network]
    if options.vision_weights is None:
        keras.utils.set_random_seed(options.seed)
    size = options.image_size
    network = getattr(module, options.vision_network)(
        include_top=False, weights=None, pooling="avg", input_shape=(size, size, 3)
    )
    if options.vision_weights is not None:
        try:
            network.load_weights(options.vision_weights)
        except Exception as error:
            # keras and h5py raise all sorts on damaged files.
            raise DataError(
                f"{options.vision_weights}: no weights of {options.vision_network} without top: "
                f"{' '.join(str(error).split())[:300]}"
            ) from None
    return lambda images: np.asarray(network.predict_on_batch(module.preprocess_input(images.copy())))


def extract_vision(keys, options, progress, frames):
    """Features of clips' frames, in the order of the keys.

    Args:
        keys: list of str.
        options: VisionOptions.
        progress: callable with how many are done, and of how many.
        frames: FrameFolder or FrameFile.

    Returns:
        A list with float32 `[frames, F]` per key, a text saying what is wrong in its place; and the number of clips
        of which frames were left out.
    """
    network = make_network(options)
    found, thinned = [], 0
    for key in keys:
        try:
            count = frames.count(key)
            if not count:
                raise DataError(f"{options.frames}: {key} has no frames")
            positions = np.unique(np.linspace(0, count - 1, min(count, options.max_images)).round().astype(int))
            # In batches of one size: one graph, and memory that doesn't grow with a clip.
            parts = []
            for start in range(0, len(positions), 16):
                images = frames.read(key, positions[start : start + 16], options.image_size)
                full = np.concatenate([images, np.zeros((16 - len(images), *images.shape[1:]), "float32")])
                parts.append(network(full)[: len(images)])
            found.append(np.concatenate(parts))
            thinned += count > options.max_images
        except DataError as error:
            found.append(str(error))
        progress(len(found), len(keys))
    return found, thinned


def _natural(name):
    """Sorts `frame_10` behind `frame_9`."""
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]
