"""Clusters: how many workers fit, what is refused, and a real second node that joins and leaves mid-run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster as Nodes

from objectives.evaluation.cores import available_cores
from search.errors import UsageError, WorkersLostError
from search.workers.cluster import Cluster, fit
from storage import StoreMissingError
from tests.search.search_helpers import descendants, launch, stored, wait_for


@pytest.mark.parametrize(
    ("cpus", "gpus", "gpus_each", "held"),
    [
        (8, 0, 0, 8),
        (8, 2, 0, 8),
        (8, 2, 1, 2),
        (8, 2, 0.5, 4),
        (3, 2, 0.5, 3),
        (8, 2, 0.3, 6),  # of each GPU a tenth is left over, which no worker can use
        (8, 3, 2, 1),
        (8, 0, 0.5, 0),
        (0, 1, 1, 0),
    ],
)
def test_how_many_workers_fit_on_a_node(cpus: float, gpus: float, gpus_each: float, held: int) -> None:
    assert fit(cpus, gpus, gpus_each) == held


@pytest.mark.parametrize("gpus", [-1, 1.5, float("nan"), float("inf")])
def test_gpus_that_cannot_be_shared_out(gpus: float) -> None:
    with pytest.raises(UsageError, match=r"got --gpus-per-worker .*; expected a part from 0 to 1, or whole"):
        Cluster(None, gpus)


def test_a_machine_without_enough_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert Cluster().workers(None) == 2
    assert Cluster(None, 0.25).workers(None) == 8
    assert Cluster(None, 0).workers(None) == available_cores()
    with pytest.raises(UsageError, match=r"got --workers 5; this machine has 2 GPU\(s\), expected 1 to 4"):
        Cluster(None, 0.5).workers(5)
    with pytest.raises(UsageError, match=r"no room .*; this machine has 2 GPU\(s\), expected fewer --gpus"):
        Cluster(None, 3).workers(None)


def test_nobody_there_is_one_line_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(WorkersLostError, match=r"cannot join a Ray cluster at 127.0.0.1:9: .*; expected HOST"):
        Cluster("127.0.0.1:9").workers(1)
    assert time.monotonic() - start < 10
    assert not ray.is_initialized()


def node(start: Callable[..., Any], **settings: Any) -> Any:
    """A node with one CPU and what passes for a GPU. Ray gives it half a minute to start, too little on a
    machine in a rush: then once more, without what is left of it."""
    before = set(descendants(os.getpid()))
    for left in (2, 1, 0):
        try:
            return start(**settings)
        except Exception:
            for pid in set(descendants(os.getpid())) - before:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                raise


@pytest.fixture
def nodes() -> Iterator[Any]:
    """A cluster of one node; its processes are real ones."""
    head = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False, "include_log_monitor": False}
    started = node(Nodes, initialize_head=True, head_node_args=head)
    yield started
    started.shutdown()


def count(folder: Path) -> int:
    """Trials stored so far; the store comes into being meanwhile."""
    try:
        return len(stored(folder))
    except (StoreMissingError, IndexError):
        return 0


def evaluators() -> list[int]:
    return [pid for pid, title in descendants(os.getpid()).items() if title.startswith("ray::_Evaluator")]


def test_a_node_joins_and_leaves_mid_run(tiny: Path, tmp_path: Path, nodes: Any) -> None:
    def search(budget: int, *options: str) -> Any:
        command = ["--model", tiny, "--benchmark", "pope", "--questions", "20", "--address", nodes.address]
        command += ["--sampler", "random"]  # it continues where nothing is left to gain
        return launch(tmp_path, *command, "--budget", str(budget), *options)

    with Cluster(nodes.address, 0.5) as cluster:
        with pytest.raises(UsageError, match=r"got --workers 2; the cluster at .* has 1 node\(s\), 1 CPU\(s\) "):
            cluster.workers(2)
        assert cluster.workers(None) == 1
    assert not ray.is_initialized()

    process = search(5000, "--gpus-per-worker", "0.5")  # more than it will have time for
    wait_for(lambda: count(tmp_path) >= 2)
    assert len(evaluators()) == 1
    second = node(nodes.add_node, num_cpus=1, num_gpus=1)
    wait_for(lambda: len(evaluators()) == 2)
    before = count(tmp_path)
    wait_for(lambda: count(tmp_path) >= before + 6)
    nodes.remove_node(second, allow_graceful=False)  # its raylet and its worker are gone at once
    wait_for(lambda: len(evaluators()) == 1)
    before = count(tmp_path)
    wait_for(lambda: count(tmp_path) >= before + 4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err

    budget = count(tmp_path) + 5
    process = search(budget, "--workers", "1")
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    trials = stored(tmp_path)
    assert [trial.number for trial in trials] == list(range(budget))
    assert not [trial.reason for trial in trials if trial.failed]
    wait_for(lambda: not evaluators())
    assert nodes.head_node.remaining_processes_alive()  # left, and not shut down
