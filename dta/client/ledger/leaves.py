"""Places in the state as a client reads them by proof: any record of :mod:`abci_app.state.records`.

A leaf knows its key, how its bytes are read, and what to call it to a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, TypeVarTuple

from google.protobuf.message import DecodeError, Message

from abci_app.state.collection import Records
from dta.base.errors import InternalError, NotFound

M = TypeVar("M", bound=Message)
Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, slots=True)
class Leaf(Generic[M]):
    """A place in the state. ``name`` says what is there, for errors."""

    name: str
    key: bytes
    parse: Callable[[bytes], M]

    def read(self, value: bytes | None) -> M | None:
        """The record of a proved value; None stays None."""
        try:
            return None if value is None else self.parse(value)
        except DecodeError as error:
            # The validators vouch for these bytes: it is this program that can't read them.
            raise InternalError(f"the {self.name} can't be read by this version", hint="upgrade dta") from error

    def found(self, record: M | None) -> M:
        """The record. Raises NotFound where there is none."""
        if record is None:
            raise NotFound(
                f"there is no {self.name} on the ledger",
                hint="check the id; what was just committed is provable one block later",
                data={"what": self.name, "key": self.key.hex()},
            )
        return record


def of(collection: Records[M, *Ts], *parts: *Ts) -> Leaf[M]:
    """The leaf of ``collection`` whose key has these parts."""
    return Leaf(collection.name(*parts), collection.key(*parts), collection.parse)
