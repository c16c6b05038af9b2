"""Leaves that are proved before they are believed: what an agent reads before it releases or destroys something.

The application's store may have lost a part of what it wrote, and say old things
(docs/adr/0021-a-hole-in-the-history.md). The root that it pinned is the one that FinalizeBlock answered, and other
nodes agreed to that: a leaf that is proved against it is what the ledger decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol, runtime_checkable

from abci_app.state.proof import ProofRefused, verify_absence, verify_existence
from abci_app.state.view import StateView
from dta.base.errors import NotVerified
from dta.node.agent.kept import Found, asked, keep


class StateNotProved(NotVerified):
    """The application says a thing of its state that does not follow from the root. ``key`` is the leaf's."""

    def __init__(self, key: bytes, height: int, reason: str) -> None:
        super().__init__(
            "proof", f"the application does not prove the leaf {key.hex()} at height {height}: {reason}",
            hint="its state is damaged: docs/runbooks/damaged-state.md", data={"key": key.hex(), "height": height},
        )  # fmt: skip
        self.key = key
        self.height = height


class Prover(StateView, Protocol):
    """A view that can prove its leaves."""

    def prove(self, key: bytes) -> tuple[bytes | None, bytes]:
        """The leaf at ``key`` by the tree (None: there is none), and the proof of that."""


@runtime_checkable
class ProvesMany(Prover, Protocol):
    """One that answers many questions at once."""

    def prove_all(self, keys: Sequence[bytes]) -> list[tuple[bytes | None, bytes]]:
        """What :meth:`Prover.prove` gives of each."""


class ProvenView:
    """A StateView over one pin of ``prover``: what it gives of leaves is proved under ``root`` (32 bytes).

    ``proved``: what was proved under this root before, by this view or by another one of the same root; it grows.

    A scan proves each leaf that it gives; that none is missing it can't. Index entries are not in the tree: they say
    where to look, never what is so. Raises StateNotProved, and what the prover raises.
    """

    def __init__(
        self, prover: Prover, root: bytes, height: int, proved: Found | None = None
    ) -> None:
        self._prover = prover
        self._root = root
        self._height = height
        self._proved: Found = {} if proved is None else proved

    def get(self, key: bytes) -> bytes | None:
        """See :class:`abci_app.state.view.StateView`."""
        return asked(self._proved, key, self._prove)

    def prove_ahead(self, keys: Iterable[bytes]) -> None:
        """Ask for what is not proved of these leaves, all at once, where the prover can.

        One that is not proved by the answer is asked for again when it is read: then that is raised. Raises what the
        prover does.
        """
        wanted = [key for key in dict.fromkeys(keys) if key not in self._proved]
        if not wanted or not isinstance(self._prover, ProvesMany):
            return
        for key, proof in zip(wanted, self._prover.prove_all(wanted), strict=True):
            with suppress(StateNotProved):
                keep(self._proved, {key: self._checked(key, *proof)})

    def _prove(self, key: bytes) -> bytes | None:
        return self._checked(key, *self._prover.prove(key))

    def _checked(self, key: bytes, value: bytes | None, proof: bytes) -> bytes | None:
        try:
            if value is None:
                verify_absence(self._root, key, proof)
            else:
                verify_existence(self._root, key, value, proof)
        except ProofRefused as error:
            raise StateNotProved(key, self._height, str(error)) from None
        return value

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`abci_app.state.view.StateView`."""
        for key, value in self._prover.scan(prefix, after, limit):
            if self.get(key) != value:
                raise StateNotProved(key, self._height, "the leaf has another value than the tree")
            yield key, value

    def index_get(self, key: bytes) -> bytes | None:
        """See :class:`abci_app.state.view.StateView`."""
        return self._prover.index_get(key)

    def index_scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """See :class:`abci_app.state.view.StateView`."""
        return self._prover.index_scan(prefix, after, limit)
