"""Several hosts at one training: who is there, and how they find each other.

The first host keeps the tracker, all speak by XGBoost's own collective, and a host that is lost ends the job on all of
them within seconds. Source: XGBoost 3.2, Python API, Collective; SageMaker Developer Guide, resourceconfig.json.
"""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xgboost import collective
from xgboost.core import XGBoostError
from xgboost.tracker import RabitTracker

from contracts.errors import ContractError, ServiceError

PORT = 9099
MEETING_SECONDS = 30  # hosts start within some seconds of each other
SILENCE_SECONDS = 30  # longer than any host computes between two sums
RETRY_SECONDS = 1.0
LOST_SECONDS = 3.0  # the host that has the reason ends first

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hosts:
    """The host that this runs on, and all of them, in the order of their names."""

    name: str = "algo-1"
    names: tuple[str, ...] = ("algo-1",)

    @property
    def is_first(self) -> bool:
        """The first host keeps the tracker, and saves."""
        return self.name == self.names[0]

    @property
    def are_several(self) -> bool:
        """Tell if there are others."""
        return len(self.names) > 1


def read_hosts(ml_dir: Path) -> Hosts:
    """Read who is there; one host where the service wrote nothing."""
    path = ml_dir / "input" / "config" / "resourceconfig.json"
    if not path.is_file():
        return Hosts()
    document = json.loads(path.read_text(encoding="utf-8"))
    return Hosts(document["current_host"], tuple(sorted(document["hosts"])))


@contextmanager
def together(hosts: Hosts) -> Iterator[None]:
    """Join the others for what is done inside; one host alone needs nobody.

    Raises
    ------
    ServiceError
        If a host does not come or does not answer any more; never after more than a minute.
    """
    if not hosts.are_several:
        yield
        return
    address = resolve(hosts.names[0])
    tracker = None
    try:
        if hosts.is_first:
            tracker = RabitTracker(len(hosts.names), host_ip=address, port=PORT, sortby="task", timeout=MEETING_SECONDS)
            tracker.start()
        join(hosts, address)
        try:
            yield
        finally:
            with suppress(XGBoostError):  # who can't take leave has lost the others, which is said where it showed
                collective.finalize()
        if tracker:
            tracker.wait_for(MEETING_SECONDS)
    except XGBoostError as error:
        time.sleep(LOST_SECONDS)
        raise ServiceError(
            "hosts lost each other, or one of them failed",
            where=f"host {hosts.name} of {', '.join(hosts.names)}",
            why=str(error).partition("\n")[0][:200],
            fix="look at the other hosts' logs; start again: training goes on from its last checkpoint",
        ) from error


def resolve(name: str) -> str:
    """Return the address of a host; names are known some seconds after the hosts are."""
    deadline = time.monotonic() + MEETING_SECONDS
    while True:
        try:
            return socket.gethostbyname(name)
        except OSError as error:
            if time.monotonic() > deadline:
                raise ServiceError(f"host {name} has no address", why=str(error), fix="start again") from error
            time.sleep(RETRY_SECONDS)


def join(hosts: Hosts, address: str) -> None:
    """Connect with the tracker, which may be there some seconds later."""
    deadline = time.monotonic() + MEETING_SECONDS
    while True:
        try:
            collective.init(
                dmlc_tracker_uri=address,
                dmlc_tracker_port=PORT,
                dmlc_task_id=str(hosts.names.index(hosts.name)),
                dmlc_timeout=SILENCE_SECONDS,
                dmlc_retry=3,
            )
            return
        except XGBoostError:
            if time.monotonic() > deadline:
                raise
            logger.info("waiting for %s", hosts.names[0])
            time.sleep(RETRY_SECONDS)


def add_up(number: int) -> int:
    """Add a number over all hosts."""
    return int(collective.allreduce(np.array([number], dtype=np.int64), collective.Op.SUM)[0])


def unite(mine: tuple[str, ...]) -> tuple[str, ...]:
    """Return the sorted texts of all hosts."""
    found: set[str] = set()
    for host in range(collective.get_world_size()):
        found.update(json.loads(share(json.dumps(mine).encode(), host)))
    return tuple(sorted(found))


def share(mine: bytes, host: int) -> bytes:
    """Return one host's bytes on all of them; as numbers, for XGBoost's own broadcast would unpickle them."""
    is_here = collective.get_rank() == host
    content = np.frombuffer(mine if is_here else b"", dtype=np.uint8)
    size = add_up(len(content))
    if not size:
        return b""
    numbers = content.copy() if is_here else np.zeros(size, dtype=np.uint8)
    return bytes(collective.allreduce(numbers, collective.Op.SUM))


def refuse_hosts(hosts: Hosts, rows: int, smallest: int) -> None:
    """Stop if there are more hosts than the work needs.

    Raises
    ------
    ContractError
        If several hosts are to learn from a small table, which is cross-validated on one.
    """
    if hosts.are_several and rows <= smallest:
        raise ContractError(
            f"{len(hosts.names)} instances are too many for {rows:,} rows",
            where="pipeline parameter TrainingInstanceCount",
            why=f"up to {smallest:,} rows one instance cross-validates everything",
            fix="start with TrainingInstanceCount=1",
        )
