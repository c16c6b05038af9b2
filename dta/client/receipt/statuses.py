"""The status of each record in a receipt, as the block that proves it finds it (docs/spec/receipt.md, Statuses)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, governance_pb2, identity_pb2
from abci_app.state import as_of
from abci_app.state.as_of import Moment
from abci_app.state.collection import Records
from abci_app.state.records import EXTRACTIONS, IDENTITIES, ORDERS, PROPOSALS, REQUESTS, VAULTS
from dta.client.receipt.order import read_record

_SHOWN: Final[tuple[tuple[Records[Any, bytes], Any, str], ...]] = (
    (ORDERS, custody_pb2.OrderStatus, "ORDER_STATUS_"),
    (REQUESTS, custody_pb2.RequestStatus, "REQUEST_STATUS_"),
    (VAULTS, custody_pb2.VaultStatus, "VAULT_STATUS_"),
    (PROPOSALS, governance_pb2.ProposalStatus, "PROPOSAL_STATUS_"),
    (EXTRACTIONS, extraction_pb2.ExtractionStatus, "EXTRACTION_STATUS_"),
    (IDENTITIES, identity_pb2.IdentityStatus, "IDENTITY_STATUS_"),
)


def statuses(states: Mapping[bytes, bytes | None], at: Moment) -> dict[bytes, str]:
    """The statuses at ``at``, in lower case with spaces, of the leaves that have one, by key.

    A request's depends on its order where that is shown too. What this version can't read has none.
    """
    found: dict[bytes, str] = {}
    for key in sorted(states):
        for records, names, prefix in _SHOWN:
            record = _read(records, states, key) if records.holds(key) else None
            if record is None:
                continue
            seen = as_of.seen(record, at)
            if records is REQUESTS:
                order = _read(ORDERS, states, ORDERS.key(record.order))
                seen = seen if order is None else as_of.seen_request(record, order, at)
            if seen.status in names.values():
                found[key] = names.Name(seen.status).removeprefix(prefix).lower().replace("_", " ")
    return found


def _read(records: Records[Any, bytes], states: Mapping[bytes, bytes | None], key: bytes) -> Any:
    value = states.get(key)
    return None if value is None else read_record(records.record, value)
