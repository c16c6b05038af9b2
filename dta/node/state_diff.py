"""Where the states of two stopped nodes differ, and hashes of a state by prefix: what an operator compares."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from abci_app.messages.registry import LEAVES
from abci_app.storage import diff
from abci_app.storage.leveldb import LevelDbStore
from abci_app.storage.statedb import StateDB, VersionPruned, VersionUnknown
from dta.base.errors import UsageError


@dataclass(frozen=True, slots=True)
class StateDifference:
    """The first key at which two states differ at ``height``, both values (None: no such leaf), and how many differ."""

    height: int
    key: bytes
    value_a: bytes | None
    value_b: bytes | None
    count: int


def first_state_difference(home_a: Path, home_b: Path, height: int | None = None) -> StateDifference | None:
    """Where the states of two stopped nodes differ (None: nowhere); ``height`` None: the lower of their last ones.

    Raises :class:`UsageError` for a store that is missing, in use, damaged, or has no such height.
    """
    with _reading_stores():
        found = diff.first_difference(_state_of(home_a), _state_of(home_b), height)
    if found is None:
        return None
    return StateDifference(found.height, found.key, found.value_a, found.value_b, found.count)


def state_prefix_hashes(home: Path) -> tuple[int, dict[str, str]]:
    """A stopped node's last height, and for each prefix of its leaves a hash over them (hex). Raises UsageError."""
    with _reading_stores():
        store = LevelDbStore(_state_of(home), create=False)
        try:
            view = StateDB(store).view()
            return view.committed_height(), diff.prefix_hashes(view, [leaves.prefix for leaves in LEAVES])
        finally:
            store.close()


@contextlib.contextmanager
def _reading_stores() -> Iterator[None]:
    try:
        yield
    except (OSError, VersionPruned, VersionUnknown) as error:
        hint = "stop the node first; both are homes, or the directories of their states"
        raise UsageError(f"the state can't be read: {error}", hint=hint) from None


def _state_of(home: Path) -> Path:
    inside = home / "state"
    return inside if inside.is_dir() else home
