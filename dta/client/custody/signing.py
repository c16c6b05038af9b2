"""Signatures of a signing key: asking for one, seeing what is signed, checking what came out (docs/howto/sign.md)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256

from abci_app import limits
from abci_app.authority.bases import SIGNING_SUITE
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.crypto.bls import verify_min_sig
from abci_app.custody import naming
from abci_app.custody.releases import signed_bytes
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, extraction_pb2
from abci_app.signing import signing_orders
from abci_app.state.records import AUTHORITIES, SIGNING_POLICIES, SIGNINGS
from dta.base.errors import NotFound, UsageError
from dta.client.custody.errors import RequestEnded, WouldBeRefused
from dta.client.custody.receiving import status_name
from dta.client.custody.session import Session, Step, timed_out
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger, RequestView

MAX_MESSAGE_BYTES = limits.MAX_SIGNED_MESSAGE_BYTES
_LIVING = (custody_pb2.REQUEST_STATUS_PENDING, custody_pb2.REQUEST_STATUS_GRANTED)


@dataclass(frozen=True, slots=True)
class SigningView:
    """A signing order: what is signed, its request and order, and the key; each proved by the ledger."""

    record: extraction_pb2.SigningRecord
    request: RequestView
    authority: authority_pb2.AuthorityRecord
    gid: bytes

    @property
    def bytes_signed(self) -> bytes:
        """The very bytes that the signature is over: any BLS library verifies them with :data:`SIGNING_SUITE`."""
        return signed_bytes(self.gid, self.record)

    @property
    def is_valid(self) -> bool:
        """Whether there is a signature, and it verifies under the key."""
        return verify_min_sig(self.authority.public_key_g2, self.bytes_signed, self.record.signature)

    def is_of(self, content: bytes) -> bool:
        """Whether ``content`` is what was asked to be signed: the message itself, or what the digest is of."""
        if self.record.digest:
            return sha256(content).digest() == self.record.digest
        return content == self.record.message


def place(
    session: Session,
    authority: bytes,
    kind: str,
    content: bytes,
    *,
    raw: bool = False,
    policy: custody_pb2.Policy | None = None,
    nonce: bytes | None = None,
) -> SigningView:
    """Ask for a signature over ``content``: as it is up to 2,048 bytes, by its SHA-256 above.

    The same ``nonce`` (32 bytes) is the same signing order: a retry can't make a second one.

    The view may be of a request that others have to approve still. Raises WouldBeRefused, RefusedByLedger, UsageError.
    """
    record = session.ledger.get(leaves.of(AUTHORITIES, authority))
    if record.purpose != authority_pb2.PURPOSE_SIGNING:
        raise WouldBeRefused(Code.WRONG_PURPOSE, authority.hex(), reason="client-sign")
    nonce = secrets.token_bytes(limits.NONCE_BYTES) if nonce is None else nonce
    message = extraction_pb2.PlaceSigningOrder(nonce=nonce, authority=authority, kind=kind, raw=raw)
    if len(content) <= MAX_MESSAGE_BYTES:
        message.message = content
    elif raw:
        raise UsageError(f"what is signed raw has at most {MAX_MESSAGE_BYTES} bytes", hint="sign it under a kind")
    else:
        message.digest = sha256(content).digest()
    if policy is not None:
        message.policy.CopyFrom(policy)
    message.names = _names(session, record, message.policy)
    session.progress(Step("submit", "placing the signing order"))
    committed = session.send(message)
    return view(session.ledger, request_of(session, nonce), at_least=committed.height)


def request_of(session: Session, nonce: bytes) -> bytes:
    """The id of the request that the acting identity's signing order with this nonce is, or would be."""
    me = session.party.identity
    return statements.request_id(session.gid, statements.order_id(session.gid, me, nonce), me, nonce)


def _names(session: Session, authority: authority_pb2.AuthorityRecord, added: custody_pb2.Policy) -> int:
    """How many identities the order will name: who asks, and the parties and vetoers of both policies."""
    found = session.ledger.find(leaves.of(SIGNING_POLICIES, authority.id))
    if found is not None:
        needed = found.policy
    else:
        members = session.ledger.authority_members(authority.id).members
        needed = signing_orders.default_policy(list(members), threshold=1)
    if added.nodes:
        needed = signing_orders.both(needed, added)
    me = session.party.identity
    return len(naming.of_order(me, needed, custody_pb2.BeneficiaryRule(identity=me)))


def view(ledger: Ledger, request: bytes, at_least: int = 0) -> SigningView:
    """The signing order of ``request``. Raises NotFound, also for a request of another kind."""
    found = ledger.request_view(request, at_least)
    # Of that state or a later one: a request that is complete there has its signature here.
    record = ledger.get(leaves.of(SIGNINGS, request), found.height)
    if record.signed_height > found.height:
        found = ledger.request_view(request, record.signed_height)
    if found.order.identity or found.order.authority != record.authority:
        raise NotFound(f"{request.hex()} is not a signing order")
    return SigningView(record, found, ledger.get(leaves.of(AUTHORITIES, record.authority), at_least), ledger.trust.gid)


def wait(session: Session, request: bytes, wait_s: float) -> SigningView:
    """The signing order once it is signed. Raises RequestEnded (vetoed, expired), TimedOut."""
    found, decided = session.wait_for(
        lambda: view(session.ledger, request),
        lambda found: bool(found.record.signature) or found.request.record.status not in _LIVING,
        show,
        wait_s,
    )
    if not decided:
        raise timed_out(
            f"the signing order {request.hex()} is {status_name(found.request.record)}: not signed yet",
            "`dta sign show` says who has to approve it; `dta sign wait` goes on",
            request=request.hex(),
        )
    if not found.record.signature:
        raise RequestEnded(
            f"the signing order {request.hex()} is {status_name(found.request.record)}: it is not signed",
            hint="place another one",
            data={"request": request.hex(), "status": status_name(found.request.record)},
        )
    return found


def show(found: SigningView) -> Step:
    """How far it has come, for a progress display."""
    request = found.request
    return Step("sign", f"{status_name(request.record)}: shares", request.answered, request.threshold)


def text_of(message: bytes) -> str | None:
    """The message as text; None where it is not: no UTF-8, or with control characters that are no white space."""
    try:
        text = message.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if any((ord(char) < 0x20 and char not in "\n\r\t") or 0x7F <= ord(char) < 0xA0 for char in text):
        return None
    return text


__all__ = [
    "MAX_MESSAGE_BYTES",
    "SIGNING_SUITE",
    "SigningView",
    "place",
    "request_of",
    "show",
    "text_of",
    "view",
    "wait",
]
