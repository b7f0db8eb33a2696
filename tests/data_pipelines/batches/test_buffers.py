"""Memory is handed out again when nothing uses it, and never before."""

import concurrent.futures

import numpy as np
import pytest

from plumkeras.data_pipelines.batches import buffers
from plumkeras.data_pipelines.batches.buffers import BufferPool


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("shape", [(3, 5, 2), (1, 1, 1), (0, 4, 2), (2, 0, 3)])
def test_arrays_are_as_asked_for(shape):
    for _ in range(2):
        array = BufferPool().empty(shape)
        assert array.shape == shape and array.dtype == np.float32 and array.flags.c_contiguous and array.flags.writeable
        assert not array.size or address(array) % 64 == 0


def test_memory_is_used_again_once_it_is_free():
    pool = BufferPool()
    first = pool.empty((100, 10))
    view = first[3:].reshape(-1)[::2]
    where = address(first)
    del first
    other = pool.empty((100, 10))
    assert not np.shares_memory(other, view)
    del view
    assert address(pool.empty((90, 10))) == where
    # Far more than is needed isn't kept.
    assert address(pool.empty((2, 10))) != where and [len(memory) for memory, _ in pool._held] == [4000, 80]


def test_what_lives_shares_nothing():
    pool = BufferPool()
    arrays = [pool.empty((20, 10)) for _ in range(30)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert all((array == number).all() for number, array in enumerate(arrays))
    del arrays, array
    assert len(pool._held) <= 6


def test_threads_get_memory_of_their_own():
    pool = BufferPool()

    def work(number):
        for _ in range(200):
            array = pool.empty((50, 4))
            array[:] = number
            assert (array == number).all()

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))


def test_large_arrays_are_not_kept(monkeypatch):
    monkeypatch.setattr(buffers, "_LARGEST", 1000)
    pool = BufferPool()
    pool.empty((251,))
    assert pool._held == []
    pool.empty((250,))
    assert len(pool._held) == 1
