"""Who asked for what, and what becomes of it when that identity is revoked (docs/spec/authority.md, Quotas).

From the block that revokes an identity on, nothing that it asked for is due any more, and no answer to it is taken:
that is looked up here, by the identity's status. The sweep cancels the requests later, within its budget.
"""

from __future__ import annotations

from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.indexes import REQUESTER_REQUESTS, REVOKED_REQUESTERS
from abci_app.state.overlay import Overlay
from abci_app.state.records import EXTRACTIONS, IDENTITIES, REQUESTS
from abci_app.state.view import StateView


def add(state: Overlay, requester: bytes, request: bytes) -> None:
    """``requester`` has asked for something that is not settled."""
    REQUESTER_REQUESTS.put(state, requester, request)


def remove(state: Overlay, requester: bytes, request: bytes) -> None:
    """It is settled, whatever came of it."""
    REQUESTER_REQUESTS.delete(state, requester, request)
    if REVOKED_REQUESTERS.exists(state, requester) and not REQUESTER_REQUESTS.has_any(state, requester):
        REVOKED_REQUESTERS.delete(state, requester)


def note_revoked(state: Overlay, identity: bytes) -> None:
    """The identity was revoked: what it asked for is to be cancelled."""
    if REQUESTER_REQUESTS.has_any(state, identity):
        REVOKED_REQUESTERS.put(state, identity)


def is_revoked(view: StateView, identity: bytes) -> bool:
    """Whether the identity is known and revoked."""
    record = IDENTITIES.read(view, identity)
    return record is not None and record.status == identity_pb2.IDENTITY_STATUS_REVOKED


def asked_by(view: StateView, request: bytes) -> bytes:
    """The beneficiary of an order's request, 32 bytes; empty where there is no such request."""
    record = REQUESTS.read(view, request)
    return b"" if record is None else record.beneficiary


def extraction_asked_by(view: StateView, request: bytes) -> bytes:
    """The requester of an extraction, 32 bytes; empty where there is none of this id."""
    record = EXTRACTIONS.read(view, request)
    return b"" if record is None else record.requester
