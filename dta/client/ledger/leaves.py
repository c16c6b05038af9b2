"""Places in the state as a client reads them by proof: any record of :mod:`abci_app.state.records`.

A leaf knows its key, how its bytes are read, and what to call it to a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, TypeVarTuple

from google.protobuf.message import DecodeError, Message

from abci_app.state import records
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


def maker(collection: Records[M, *Ts]) -> Callable[[*Ts], Leaf[M]]:
    """Makes the leaves of a collection."""

    def make(*parts: *Ts) -> Leaf[M]:
        return of(collection, *parts)

    return make


chain = maker(records.CHAIN)
params = maker(records.PARAMS)
identity = maker(records.IDENTITIES)
identity_history = maker(records.IDENTITY_HISTORY)
fiduciary = maker(records.FIDUCIARIES)
counter = maker(records.COUNTERS)
vault = maker(records.VAULTS)
vault_key = maker(records.VAULT_KEYS)
order = maker(records.ORDERS)
fulfilment = maker(records.FULFILMENTS)
request = maker(records.REQUESTS)
decision = maker(records.DECISIONS)
answer = maker(records.ANSWERS)
authority = maker(records.AUTHORITIES)
epoch = maker(records.EPOCHS)
member = maker(records.MEMBERS)
ceremony = maker(records.CEREMONIES)
ceremony_party = maker(records.CEREMONY_PARTIES)
extraction = maker(records.EXTRACTIONS)
extraction_item = maker(records.EXTRACTION_ITEMS)
partial = maker(records.PARTIALS)
realm = maker(records.REALMS)
realm_server = maker(records.REALM_SERVERS)
realm_client = maker(records.REALM_CLIENTS)
realm_client_number = maker(records.REALM_CLIENT_NUMBERS)
permit = maker(records.PERMITS)
signing = maker(records.SIGNINGS)
signing_policy = maker(records.SIGNING_POLICIES)
proposal = maker(records.PROPOSALS)
vote = maker(records.VOTES)
upgrade = maker(records.UPGRADES)
