"""ReenrolClients: a further issue for clients that are enrolled. A message of its own: it never passes for a first."""

from __future__ import annotations

from abci_app import events
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.mfa import issuing, realms
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import REALM_CLIENTS


def _validate(message: mfa_pb2.ReenrolClients) -> None:
    issuing.check_enrolments(message)


def _execute(context: Context, message: mfa_pb2.ReenrolClients) -> bytes:
    realm = realms.get_as_registrar(context, message.realm)
    realms.require_suite(context, realm, message.suite)
    records = []
    for enrolment in message.clients:
        record = REALM_CLIENTS.find(context.state, realm.id, enrolment.client)
        if record is None:
            raise Refusal(Code.UNKNOWN_CLIENT, enrolment.client.hex(), reason="reenrol")
        revoked = record.status == mfa_pb2.MFA_CLIENT_STATUS_REVOKED
        context.require(not revoked, Code.CLIENT_REVOKED, enrolment.client.hex(), reason="reenrol")
        records.append(record)
    request = issuing.ask_client_secrets(context, realm, message.clients)
    for item, record in enumerate(records):
        record.enrolments += 1
        record.request, record.item = request, item
        record.enrolled_height, record.enrolled_tx = context.height, context.tx_hash
        REALM_CLIENTS.put(context.state, record, realm.id, record.client)
    realms.emit(context, realm, "clients-reenrolled", clients=len(records), extraction=request)
    return request


SPEC = MessageSpec(
    field="reenrol_clients",
    message=mfa_pb2.ReenrolClients,
    message_class=MessageClass.USER,
    cost=issuing.enrolments_cost,
    validate=_validate,
    execute=_execute,
    writes=(REALM_CLIENTS, *issuing.ASK_WRITES),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_REALM, Code.NOT_REGISTRAR, Code.WRONG_SUITE, Code.CLIENT_REVOKED,
        Code.UNKNOWN_CLIENT, *issuing.ASK_CODES,
    ),
    events=(events.EXTRACTION, events.REALM_CLIENTS),
)  # fmt: skip
