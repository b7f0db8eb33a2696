"""Memory that batches are read into, used again."""

import math
import mmap
import threading
import weakref

import numpy as np

# What is read ahead, trained on and read at one time.
_KEPT = 6
_LARGEST = 64 << 20


class BufferPool:
    """Hands out float32 arrays, in the memory of earlier ones that nothing refers to any more.

    The system clears fresh memory before it gives it away, which takes longer than to read a batch from its cache. And
    as a mapping begins at a page, TensorFlow takes the arrays over without a copy.
    """

    def __init__(self):
        # Pairs of a mapping and a weak reference to the array over it: every view of that array refers to it, and not
        # to what is below, since that is no array.
        self._held = []
        self._lock = threading.Lock()

    def empty(self, shape):
        """A little-endian float32 array of that shape, of whatever content."""
        size = math.prod(shape) * 4
        if not 0 < size <= _LARGEST:
            return np.empty(shape, dtype="<f4")
        with self._lock:
            used = [pair for pair in self._held if pair[1]() is not None]
            # Much more than is needed would be a waste to keep.
            free = [pair for pair in self._held if pair[1]() is None and size <= len(pair[0]) <= 4 * size]
            memory = free.pop()[0] if free else mmap.mmap(-1, size)
            whole = np.frombuffer(memory, dtype="<f4", count=size // 4)
            self._held = [*free, *used, (memory, weakref.ref(whole))][-_KEPT:]
        return whole.reshape(shape)
