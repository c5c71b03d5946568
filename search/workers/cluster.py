"""Where workers run: Ray on this machine, or a Ray cluster to join; how many workers it holds."""

from __future__ import annotations

import atexit
import logging
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import ray
import torch

from himap.errors import first_line
from objectives.evaluation.cores import available_cores
from search.errors import UsageError, WorkersLostError
from search.workers import ray_session

_OBJECT_STORE_BYTES = 100 * 1024**2  # measurements are small
_CONNECT_SECONDS = 5.0
_STARTS = 3  # of Ray, before it is given up


@dataclass
class Cluster:
    """The machines that workers run on.

    Without an `address` Ray is started on this machine for one search, and stopped with it. With one the search joins
    the cluster there and at the end leaves it: its own workers end, nothing else does.

    Args:
        address: HOST:PORT of the cluster's head, ray://HOST:PORT, or auto for one on this machine.
        gpus_per_worker: a part of one GPU, or whole GPUs; None takes 1 where there are GPUs.

    Attributes:
        logs: the folder of the Ray that was started last.
        growing: whether nodes that join later get workers too: where no number of workers was requested.

    Raises:
        UsageError: a number of GPUs that Ray cannot assign.
    """

    address: str | None = None
    gpus_per_worker: float | None = None
    logs: Path | None = field(default=None, init=False)
    growing: bool = field(default=False, init=False)
    _keep_logs: bool = field(default=False, init=False)
    _connected: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        gpus = self.gpus_per_worker
        if gpus is not None and not (0 <= gpus <= 1 or (gpus > 1 and float(gpus).is_integer())):
            raise UsageError(f"got --gpus-per-worker {gpus:g}; expected a part from 0 to 1, or whole GPUs")

    def workers(self, requested: int | None) -> int:
        """Return how many workers to start: as many as requested, else as many as fit; join the cluster, if any.

        Raises:
            UsageError: more than there is room for.
            WorkersLostError: the cluster cannot be joined.
        """
        self._join()
        self.growing = requested is None and self.address is not None
        room, capacity = self.room(), self._capacity()
        if requested is None and room:
            return room
        if requested is None or not 1 <= requested <= room:
            got = f"got --workers {requested}" if requested is not None else "there is no room for a worker"
            expected = f"expected 1 to {room}" if room else "expected fewer --gpus-per-worker"
            raise UsageError(f"{got}; {capacity}, {expected}")
        return requested

    def room(self) -> int:
        """Return how many workers fit, whoever else uses the machines."""
        return sum(fit(node.get("CPU", 0), node.get("GPU", 0), self.gpus) for node in self._nodes())

    @property
    def gpus(self) -> float:
        """GPUs of one worker."""
        if self.gpus_per_worker is not None:
            return self.gpus_per_worker
        return float(any(node.get("GPU", 0) for node in self._nodes()))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def start(self, workers: int) -> None:
        """Start Ray on this machine, unless a cluster was joined."""
        logging.getLogger("ray").setLevel(logging.ERROR)
        for left in range(_STARTS if self.address is None else 0, 0, -1):
            self._connected = True
            try:
                self._remove_logs()
                self.logs, self._keep_logs = ray_session.temporary_folder(), False
                atexit.register(self._remove_logs)  # after Ray, which ends what an interrupted start left only then
                ray_session.init(
                    address="local",
                    num_cpus=workers,
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    _temp_dir=str(self.logs),
                )
                return
            except UsageError:
                raise
            except Exception:  # Ray gives its processes half a minute, too little on a busy machine
                ray.shutdown()
                if left == 1:
                    raise

    @property
    def broken(self) -> bool:
        """Whether processes of a Ray that was started here have died."""
        node = getattr(ray._private.worker, "_global_node", None)  # Ray has no public way to ask
        if self.address is not None or node is None:
            return False
        return any(kind in ("raylet", "gcs_server") for kind, _ in node.dead_processes())

    def leave(self, *, keep_logs: bool = False) -> None:
        """Stop the Ray that was started, or leave the cluster that was joined; do nothing the second time."""
        if self._connected:
            self._connected = False
            ray.shutdown()
            self._keep_logs = keep_logs
            self._remove_logs()

    def _remove_logs(self) -> None:
        if self.logs is not None and self._keep_logs:
            ray_session.keep(self.logs)
        elif self.logs is not None:
            ray_session.remove(self.logs)

    def _join(self) -> None:
        if self.address is None or self._connected:
            return
        logging.getLogger("ray").setLevel(logging.ERROR)
        try:
            _check_listening(self.address)
            self._connected = True
            ray_session.init(address=self.address)
        except Exception as error:  # Ray raises a bare one for much of what can go wrong here
            self.leave()
            raise WorkersLostError(
                f"cannot join a Ray cluster at {self.address}: {first_line(error)}; expected HOST:PORT as printed by "
                "`ray start --head`, and the same versions of Ray and Python there and here"
            ) from error

    def _nodes(self) -> list[Mapping[str, float]]:
        """Return the resources of each node; of this machine the cores it may use, or as many CPUs as its GPUs need."""
        if self.address is not None:
            return [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = torch.cuda.device_count()
        cores = float("inf") if gpus and self.gpus_per_worker != 0 else available_cores()
        return [{"CPU": cores, "GPU": gpus}]

    def _capacity(self) -> str:
        nodes = self._nodes()
        cpus, gpus = (_total(nodes, name) for name in ("CPU", "GPU"))
        if self.address is None:
            return f"this machine has {gpus} GPU(s)" if self.gpus else f"this machine has {cpus} core(s)"
        held = f"{len(nodes)} node(s), {cpus} CPU(s) and {gpus} GPU(s)"
        needs = f"a worker needs 1 CPU and {self.gpus:g} GPU(s)" if self.gpus else "a worker needs 1 CPU"
        return f"the cluster at {self.address} has {held}, {needs}"


def fit(cpus: float, gpus: float, gpus_each: float) -> int:
    """Return how many workers of one CPU and so many GPUs a node holds; a part of a GPU is of one GPU alone."""
    if gpus_each == 0:
        return int(cpus)
    held = int(gpus) * int(1 / gpus_each + 1e-9) if gpus_each <= 1 else int(gpus // gpus_each)
    return int(min(cpus, held))


def _total(nodes: Iterable[Mapping[str, float]], name: str) -> int | float:
    total = sum(node.get(name, 0) for node in nodes)
    return int(total) if total < float("inf") else total


def _check_listening(address: str) -> None:
    """Raise OSError where nothing listens; Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
