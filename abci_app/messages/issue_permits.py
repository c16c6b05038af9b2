"""IssuePermits: the registrar or a server asks for a day's time permits, for clients by their numbers.

A client that is revoked is left out, whoever asks; so is one whose permit for the day is there or under way. So the
same batch may be asked for again, by a job that runs every hour for instance, and nothing is issued twice.
"""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.mfa import issuing, realms
from abci_app.mfa.points import SECONDS_PER_DAY
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import PERMITS, REALM_CLIENT_NUMBERS, REALM_CLIENTS


def _validate(message: mfa_pb2.IssuePermits) -> None:
    need_bytes(message.realm, limits.ID_BYTES, "realm")
    issuing.check_suite(message.suite)
    if not 1 <= message.count <= limits.MAX_EXTRACTION_ITEMS:
        raise Refusal(Code.FIELD_INVALID, f"count: 1 to {limits.MAX_EXTRACTION_ITEMS}", reason="count")


def _check_day(context: Context, day: int) -> None:
    """Not a day that is over by block time, nor one that begins more than ``permit_ahead_s`` later."""
    over = (day + 1) * SECONDS_PER_DAY <= context.time_s
    context.require(not over, Code.BAD_PERMIT_DAY, f"day {day} is over", reason="over")
    early = day * SECONDS_PER_DAY > context.time_s + context.params.permit_ahead_s
    context.require(not early, Code.BAD_PERMIT_DAY, f"day {day} is too far ahead", reason="early")


def _wanting(context: Context, realm: mfa_pb2.RealmRecord, message: mfa_pb2.IssuePermits) -> list[bytes]:
    """The clients of the range that are enrolled and have no permit for the day, in the order of their numbers."""
    clients = []
    for number in range(message.first, min(message.first + message.count, realm.clients)):
        client = REALM_CLIENT_NUMBERS.get(context.state, realm.id, number).client
        record = REALM_CLIENTS.get(context.state, realm.id, client)
        permit = PERMITS.find(context.state, realm.id, message.day, client)
        asked = permit is not None and issuing.is_alive(context, permit.request)
        if record.status == mfa_pb2.MFA_CLIENT_STATUS_ENROLLED and not asked:
            clients.append(client)
    return clients


def _execute(context: Context, message: mfa_pb2.IssuePermits) -> bytes:
    realm = realms.get(context, message.realm)
    may = context.signer == realm.terms.registrar or context.signer in realm.servers
    context.require(may, Code.NOT_REGISTRAR, "the registrar or a server asks for permits", reason="permits")
    realms.require_suite(context, realm, message.suite)
    context.require(realm.terms.permits_required, Code.NO_PERMITS, realm.id.hex())
    _check_day(context, message.day)
    clients = _wanting(context, realm, message)
    context.require(clients, Code.ALREADY_DONE, "no client of these numbers wants a permit", reason="no-client-left")
    request = issuing.ask_permits(context, realm, message.day, clients)
    for item, client in enumerate(clients):
        record = mfa_pb2.PermitRecord(request=request, item=item, height=context.height, tx_hash=context.tx_hash)
        PERMITS.put(context.state, record, realm.id, message.day, client)
    realms.emit(context, realm, "permits-asked", day=message.day, clients=len(clients), extraction=request)
    return request


def _cost(message: mfa_pb2.IssuePermits) -> int:
    count = min(message.count, limits.MAX_EXTRACTION_ITEMS)
    return issuing.BATCH_COST + issuing.PERMIT_COST.get(message.suite, 0) * count


SPEC = MessageSpec(
    field="issue_permits",
    message=mfa_pb2.IssuePermits,
    message_class=MessageClass.USER,
    cost=_cost,
    validate=_validate,
    execute=_execute,
    writes=(PERMITS, *issuing.ASK_WRITES),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_REALM, Code.NOT_REGISTRAR, Code.WRONG_SUITE, Code.NO_PERMITS,
        Code.BAD_PERMIT_DAY, Code.ALREADY_DONE, *issuing.PERMIT_CODES,
    ),
    events=(events.EXTRACTION, events.PERMITS_ASKED),
)  # fmt: skip
