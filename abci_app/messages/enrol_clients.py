"""EnrolClients: the registrar authorises clients, each with a transport key of its own. Once a client, ever."""

from __future__ import annotations

from abci_app import events
from abci_app.codes import Code
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.mfa import issuing, realms
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import REALM_CLIENT_NUMBERS, REALM_CLIENTS, REALMS


def _validate(message: mfa_pb2.EnrolClients) -> None:
    issuing.check_enrolments(message)


def _execute(context: Context, message: mfa_pb2.EnrolClients) -> bytes:
    realm = realms.get_as_registrar(context, message.realm)
    realms.require_suite(context, realm, message.suite)
    for enrolment in message.clients:
        known = REALM_CLIENTS.find(context.state, realm.id, enrolment.client)
        revoked = known is not None and known.status == mfa_pb2.MFA_CLIENT_STATUS_REVOKED
        context.require(not revoked, Code.CLIENT_REVOKED, enrolment.client.hex(), reason="enrol")
        context.require(known is None, Code.CLIENT_ENROLLED, enrolment.client.hex())
    request = issuing.ask_client_secrets(context, realm, message.clients)
    for item, enrolment in enumerate(message.clients):
        record = mfa_pb2.MfaClientRecord(
            realm=realm.id, client=enrolment.client, status=mfa_pb2.MFA_CLIENT_STATUS_ENROLLED, number=realm.clients,
            enrolments=1, request=request, item=item, enrolled_height=context.height, enrolled_tx=context.tx_hash,
        )  # fmt: skip
        REALM_CLIENTS.put(context.state, record, realm.id, enrolment.client)
        number = mfa_pb2.MfaClientNumber(client=enrolment.client)
        REALM_CLIENT_NUMBERS.put(context.state, number, realm.id, realm.clients)
        realm.clients += 1
    REALMS.put(context.state, realm, realm.id)
    realms.emit(context, realm, "clients-enrolled", clients=len(message.clients), extraction=request)
    return request


SPEC = MessageSpec(
    field="enrol_clients",
    message=mfa_pb2.EnrolClients,
    message_class=MessageClass.USER,
    cost=issuing.enrolments_cost,
    validate=_validate,
    execute=_execute,
    writes=(REALMS, REALM_CLIENTS, REALM_CLIENT_NUMBERS, *issuing.ASK_WRITES),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_REALM, Code.NOT_REGISTRAR, Code.WRONG_SUITE, Code.CLIENT_REVOKED,
        Code.CLIENT_ENROLLED, *issuing.ASK_CODES,
    ),
    events=(events.EXTRACTION, events.REALM_CLIENTS),
)  # fmt: skip
