"""JAX data parallelism over two processes on this machine: the README's way over several machines."""

import json
import os
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.verify


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _start(output, options, environment):
    return subprocess.Popen(
        [sys.executable, "-m", "plumkeras", "train", "synthetic", "--output", str(output), *options],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_processes_train_what_one_trains(tiny_options, tmp_path):
    pytest.importorskip("jax")
    # 67 samples: the last batch, 3 rows, cannot be cut in two.
    options = [*tiny_options, "--synthetic.train=67"]
    addresses = ",".join(f"127.0.0.1:{port}" for port in _free_ports(2))
    processes = [
        _start(
            tmp_path / f"process_{number}",
            [*options, "--devices=2"],
            {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": addresses,
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
            },
        )
        for number in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    alone = _start(tmp_path / "alone", options, {})
    output = alone.communicate()[0]
    assert alone.returncode == 0, output
    expected = json.loads((tmp_path / "alone" / "metrics.json").read_text())
    for number in range(2):
        metrics = json.loads((tmp_path / f"process_{number}" / "metrics.json").read_text())
        for split in ("valid", "test"):
            assert metrics[split] == pytest.approx(expected[split], rel=1e-4)
