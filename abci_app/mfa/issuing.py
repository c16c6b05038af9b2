"""How the messages of a realm ask its key's members for secrets and permits (docs/spec/mfa.md, Issuing).

An enrolment is named by a *ticket*, which the client makes and its transport key's proof of possession binds; the
registrar collects tickets into one transaction, whose extraction has an item for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from abci_app import limits
from abci_app.authority import extractions
from abci_app.authority.proofs import check_transport_form
from abci_app.codes import Code
from abci_app.crypto.curve import G1
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.hashing import tagged_hash, u32
from abci_app.mfa import points
from abci_app.params import LONGEST_PERMIT_AHEAD_S
from abci_app.pb.dta.v1 import extraction_pb2, mfa_pb2
from abci_app.state import as_of
from abci_app.state.indexes import DEADLINE_TIME, DUE
from abci_app.state.records import EXTRACTIONS, PERMITS

ASK_WRITES: Final = extractions.WRITES
ASK_CODES: Final = tuple(code for code in extractions.CODES if code != Code.WRONG_PURPOSE)
PERMIT_CODES: Final = (Code.AUTHORITY_NOT_ACTIVE, Code.AUTHORITY_BUSY, Code.BAD_ITEMS)
CANCEL_WRITES: Final = (*extractions.END_WRITES, DUE, DEADLINE_TIME)
EVENTS: Final = ("extraction",)
SUITES: Final = (mfa_pb2.MFA_SUITE_RFC9380, mfa_pb2.MFA_SUITE_AMCL)
# About the microseconds of one, by suite: AMCL's hash to the curve is in Python, and tries until it has found a point.
ENROLMENT_COST: Final = {mfa_pb2.MFA_SUITE_RFC9380: 700, mfa_pb2.MFA_SUITE_AMCL: 1_900}
PERMIT_COST: Final = {mfa_pb2.MFA_SUITE_RFC9380: 170, mfa_pb2.MFA_SUITE_AMCL: 1_300}
BATCH_COST: Final = 300


def ticket(gid: bytes, realm: bytes, client: bytes, nonce: bytes) -> bytes:
    """What names one enrolment, and its transport key's proof of possession binds. 32 bytes."""
    return tagged_hash("DTA-v1-mfa-ticket", gid, realm, client, nonce)


def server_request(gid: bytes, realm: bytes, server: bytes, nonce: bytes) -> bytes:
    """The id of a server's request for its secret: its proof of possession binds it. 32 bytes."""
    return tagged_hash("DTA-v1-mfa-server-request", gid, realm, server, nonce)


def batch_request(gid: bytes, realm: bytes, tickets: Sequence[bytes]) -> bytes:
    """The id of the extraction that answers these tickets, an item each, in their order. 32 bytes."""
    return tagged_hash("DTA-v1-mfa-enrolments", gid, realm, *tickets)


def permit_request(gid: bytes, realm: bytes, day: int, tx_hash: bytes) -> bytes:
    """The id of the batch of permits that a transaction asks for. 32 bytes."""
    return tagged_hash("DTA-v1-mfa-permits", gid, realm, u32(day), tx_hash)


def check_enrolments(message: mfa_pb2.EnrolClients | mfa_pb2.ReenrolClients) -> None:
    """Refuse a batch that is malformed: sizes, a suite, and each client and transport key once."""
    need_bytes(message.realm, limits.ID_BYTES, "realm")
    check_suite(message.suite)
    clients = message.clients
    if not 1 <= len(clients) <= limits.MAX_EXTRACTION_ITEMS:
        raise Refusal(Code.FIELD_INVALID, f"clients: 1 to {limits.MAX_EXTRACTION_ITEMS}", reason="clients")
    for enrolment in clients:
        need_bytes(enrolment.client, limits.ID_BYTES, "client")
        need_bytes(enrolment.nonce, limits.NONCE_BYTES, "nonce")
        check_transport_form(G1, enrolment.transport_key, enrolment.proof)
    if len({enrolment.client: True for enrolment in clients}) != len(clients):
        raise Refusal(Code.FIELD_INVALID, "a client is named twice", reason="client-twice")


def check_suite(suite: mfa_pb2.MfaSuite) -> None:
    """Refuse what is no suite: a message's cost depends on it, before any realm is looked at."""
    if suite not in SUITES:
        raise Refusal(Code.FIELD_INVALID, "suite", reason="suite")


def enrolments_cost(message: mfa_pb2.EnrolClients | mfa_pb2.ReenrolClients) -> int:
    """About the microseconds that the batch takes."""
    return BATCH_COST + ENROLMENT_COST.get(message.suite, 0) * len(message.clients)


def ask_client_secrets(
    context: Context, realm: mfa_pb2.RealmRecord, clients: Sequence[mfa_pb2.ClientEnrolment]
) -> bytes:
    """Ask for s*A of each client, blinded to its transport key. Returns the extraction's id."""
    most = context.params.max_extraction_items
    context.require(len(clients) <= most, Code.BAD_ITEMS, f"1 to {most} clients", reason="client-secrets")
    suite, items, tickets = realm.terms.suite, [], []
    for enrolment in clients:
        base = points.client_point(suite, context.gid, realm.authority, realm.id, enrolment.client)
        item = extractions.Item(base.encode(), enrolment.client, enrolment.transport_key, enrolment.proof)
        name = ticket(context.gid, realm.id, enrolment.client, enrolment.nonce)
        extractions.claim_transport(context, name, realm.authority, extraction_pb2.USE_CLIENT, realm.id, item)
        items.append(item)
        tickets.append(name)
    request = batch_request(context.gid, realm.id, tickets)
    _start(context, realm, request, extraction_pb2.USE_CLIENT, items, _deadline(context))
    return request


def ask_server_secret(context: Context, realm: mfa_pb2.RealmRecord, message: mfa_pb2.RequestServerSecret) -> bytes:
    """Ask for s*Q of the signing server, blinded to its transport key in G2. Returns the extraction's id."""
    server = context.signer
    base = points.server_point(realm.terms.suite, context.gid, realm.authority, realm.id, server)
    item = extractions.Item(base.encode(), server, message.transport_key, message.proof)
    request = server_request(context.gid, realm.id, server, message.nonce)
    context.require(
        EXTRACTIONS.find(context.state, request) is None, Code.DUPLICATE, request.hex(), reason="server-secret"
    )
    extractions.claim_transport(context, request, realm.authority, extraction_pb2.USE_SERVER, realm.id, item)
    _start(context, realm, request, extraction_pb2.USE_SERVER, [item], _deadline(context))
    return request


def ask_permits(context: Context, realm: mfa_pb2.RealmRecord, day: int, clients: Sequence[bytes]) -> bytes:
    """Ask for s*D of each client for ``day``, in clear. Returns the extraction's id. It ends with the day."""
    most = context.params.max_extraction_items
    context.require(len(clients) <= most, Code.BAD_ITEMS, f"1 to {most} clients", reason="permits")
    suite, items = realm.terms.suite, []
    for client in clients:
        base = points.permit_point(suite, context.gid, realm.authority, realm.id, client, day)
        items.append(extractions.Item(base.encode(), client))
    request = permit_request(context.gid, realm.id, day, context.tx_hash)
    _start(context, realm, request, extraction_pb2.USE_PERMIT, items, (day + 1) * points.SECONDS_PER_DAY)
    return request


def is_pending(context: Context, request: bytes) -> bool:
    """Whether the extraction waits for answers still: by its deadline, whether swept or not."""
    record = EXTRACTIONS.find(context.state, request)
    pending = extraction_pb2.EXTRACTION_STATUS_PENDING
    return record is not None and as_of.extraction(record, context.moment) == pending


def is_alive(context: Context, request: bytes) -> bool:
    """Whether the extraction is answered or may still be."""
    record = EXTRACTIONS.get(context.state, request)
    return record.status == extraction_pb2.EXTRACTION_STATUS_COMPLETED or is_pending(context, request)


def cancel(context: Context, request: bytes) -> None:
    """No more partials are taken for it. Nothing happens where it is complete or over."""
    extractions.cancel(context, request)


def cancel_permits(context: Context, realm: mfa_pb2.RealmRecord, client: bytes) -> None:
    """Stop batches of permits that are under way and have this client among them: the others are asked for again.

    Of every day that there can be a batch for: ``permit_ahead_s`` may have been greater when it was asked for.
    """
    first = points.day_of(context.time_s)
    last = points.day_of(context.time_s + LONGEST_PERMIT_AHEAD_S)
    for day in range(first, last + 1):
        permit = PERMITS.find(context.state, realm.id, day, client)
        if permit is not None:
            extractions.cancel(context, permit.request)


def _deadline(context: Context) -> int:
    return context.time_s + context.params.request_ttl_s


def _start(
    context: Context,
    realm: mfa_pb2.RealmRecord,
    request: bytes,
    use: extraction_pb2.Use,
    items: Sequence[extractions.Item],
    deadline_time_s: int,
) -> None:
    extractions.start(
        context, request=request, authority=realm.authority, use=use, suite=points.SUITES[realm.terms.suite],
        subject=realm.id, items=items, deadline_time_s=deadline_time_s, requester=context.signer,
    )  # fmt: skip
