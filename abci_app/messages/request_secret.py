"""RequestSecret: the beneficiary asks for an order's secret, with one fresh key for each fiduciary's answer."""

from __future__ import annotations

from abci_app import cid, events, limits
from abci_app.authority import extractions
from abci_app.authority.extractions import Item
from abci_app.authority.proofs import check_transport_form
from abci_app.codes import Code
from abci_app.crypto import ed25519, statements
from abci_app.crypto.curve import G1
from abci_app.custody import allowance, naming, orders, releases
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.identities import concerns
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, identity_pb2, tx_pb2
from abci_app.state import as_of
from abci_app.state.indexes import OPEN_REQUESTS, ORDER_KEYS
from abci_app.state.records import (
    CONCERNS,
    DECISIONS,
    IDENTITIES,
    ORDERS,
    REQUEST_NUMBERS,
    REQUESTS,
    USED_POINTS,
)


def _validate(message: tx_pb2.RequestSecret) -> None:
    need_bytes(message.order, limits.ID_BYTES, "order")
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    need_bytes(message.beneficiary, limits.ID_BYTES, "beneficiary")
    if len(message.authorisation) not in (0, limits.ED25519_SIGNATURE_BYTES):
        raise Refusal(Code.AUTHORISATION_INVALID, "an authorisation has 64 bytes", reason="length")
    if message.transport_key:
        if message.key_digests or message.keys_cid:
            raise Refusal(Code.BAD_REQUEST_KEYS, "a transport key, or keys for each fiduciary", reason="both")
        check_transport_form(G1, message.transport_key, message.possession)
        return
    if message.possession:
        raise Refusal(Code.BAD_REQUEST_KEYS, "possession of no transport key", reason="possession")
    digests = list(message.key_digests)
    if not 1 <= len(digests) <= limits.MAX_ORDER_FIDUCIARIES or any(len(digest) != 32 for digest in digests):
        raise Refusal(Code.BAD_REQUEST_KEYS, reason="digest")
    if len(dict.fromkeys(digests)) != len(digests):
        # One key for two fiduciaries: reporting one of them would reveal the other's answer.
        raise Refusal(Code.BAD_REQUEST_KEYS, "a key is named twice", reason="twice")
    try:
        cid.digest_of(message.keys_cid)
    except cid.BadCid as error:
        raise Refusal(Code.BAD_CID, str(error), reason="content") from None


def _check_beneficiary(
    context: Context, order: custody_pb2.OrderRecord, request: bytes, message: tx_pb2.RequestSecret
) -> None:
    context.require(
        message.beneficiary == context.signer, Code.NOT_BENEFICIARY, "the beneficiary signs the request",
        reason="signer",
    )
    if order.rule.identity:
        context.require(
            order.rule.identity == context.signer, Code.NOT_BENEFICIARY, context.signer.hex(), reason="rule"
        )
        return
    if context.signer == order.principal:
        return
    principal = IDENTITIES.get(context.state, order.principal)
    active = principal.status == identity_pb2.IDENTITY_STATUS_ACTIVE and as_of.is_in_date(principal, context.time_s)
    statement = statements.authorisation_statement(context.gid, request, message)
    authorised = active and ed25519.verify(principal.tx_key, statement, message.authorisation)
    context.require(authorised, Code.AUTHORISATION_INVALID, order.principal.hex(), reason="signature")


def _execute(context: Context, message: tx_pb2.RequestSecret) -> bytes:
    order = orders.get_open(context, message.order)
    context.require(
        not releases.is_signing(order), Code.NOT_ALLOWED, "a signing order has its one request", reason="signing-order"
    )
    request_id = statements.request_id(context.gid, order.id, context.signer, message.nonce)
    _check_beneficiary(context, order, request_id, message)
    is_active = order.status == custody_pb2.ORDER_STATUS_ACTIVE
    context.require(is_active, Code.ORDER_NOT_ACTIVE, order.id.hex(), reason="request")
    named = len(message.key_digests) == len(order.fiduciaries) and bool(message.transport_key) == bool(order.authority)
    context.require(named, Code.BAD_REQUEST_KEYS, reason="count")
    most = context.params.max_open_requests_per_order
    context.require(
        order.open_requests < most, Code.TOO_MANY, f"an order has at most {most} open requests", reason="open-requests"
    )
    context.require(
        REQUESTS.find(context.state, request_id) is None, Code.DUPLICATE, request_id.hex(), reason="request"
    )
    allowance.require_room(context, order)
    if order.authority:
        item = Item(b"", context.signer, message.transport_key, message.possession)
        extractions.claim_transport(
            context, request_id, order.authority, extraction_pb2.USE_CUSTODY, order.id, item
        )
    request = custody_pb2.RequestRecord(
        id=request_id, order=order.id, beneficiary=context.signer, keys_cid=message.keys_cid,
        key_digests=message.key_digests, transport_key=message.transport_key,
        content_digest=statements.request_content_digest(context.gid, request_id, message),
    )  # fmt: skip
    orders.open_request(context, order, request)
    naming.note_receiver(context, order, request)
    ORDERS.put(context.state, order, order.id)
    return request_id


SPEC = MessageSpec(
    field="request_secret",
    message=tx_pb2.RequestSecret,
    message_class=MessageClass.USER,
    cost=lambda message: (
        500 + 20 * len(message.key_digests) + (1_200 if message.transport_key else 0)
        + (concerns.NAME_COST if message.authorisation else 0)
    ),
    validate=_validate,
    execute=_execute,
    writes=(
        ORDERS, REQUESTS, REQUEST_NUMBERS, DECISIONS, ORDER_KEYS, CONCERNS, OPEN_REQUESTS, USED_POINTS,
        *releases.GRANT_WRITES,
    ),
    codes=(
        Code.FIELD_INVALID, Code.BAD_REQUEST_KEYS, Code.AUTHORISATION_INVALID, Code.BAD_CID, Code.UNKNOWN_ORDER,
        Code.ORDER_NOT_OPEN, Code.NOT_BENEFICIARY, Code.ORDER_NOT_ACTIVE, Code.POLICY_NOT_IN_FORCE, Code.TOO_MANY,
        Code.DUPLICATE, Code.NOT_ALLOWED, Code.ORDER_REQUESTS_SPENT, Code.KEY_REQUESTS_SPENT,
        *extractions.CLAIM_CODES,
    ),
    events=(events.REQUEST_OF_ORDER, events.REQUEST, events.EXTRACTION),
)  # fmt: skip
