"""Networks that one test module has for itself: another shape, or one that is not to be used after it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from dta.localnet.network import Plan
from tests.localnet.abci_calls import WatchedNetwork

N = TypeVar("N", bound=WatchedNetwork)
PORT_BASE = 31_000
# From here on the kernel gives ports to whoever connects anywhere: one of ours would be taken now and then.
FIRST_EPHEMERAL_PORT = 32_768


@contextmanager
def own_network_of(kind: Callable[[Path], N], plan: Plan, parameters: Sequence[str] = ()) -> Iterator[N]:
    """A running network of this kind, gone afterwards. ``parameters``: of its genesis, ``name=value``."""
    assert plan.port_base + 10 * plan.validators + 20 < FIRST_EPHEMERAL_PORT
    root = Path(tempfile.mkdtemp(prefix="dta-own-"))
    network = kind(root / "n")
    try:
        network.create(plan, parameters)
        network.up()
        yield network
        network.calls.check()
    finally:
        if network.exists:
            network.down()
        if os.environ.get("DTA_KEEP_LOCALNET"):
            print(f"kept {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


def own_network(plan: Plan, parameters: Sequence[str] = ()) -> AbstractContextManager[WatchedNetwork]:
    """One whose cables are whole."""
    return own_network_of(WatchedNetwork, plan, parameters)


def eventually(what: str, is_so: Callable[[], bool], timeout_s: float = 180.0) -> None:
    """Wait until it is so. Fails with ``what`` when it does not come about."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s still not: {what}"
        time.sleep(0.3)
