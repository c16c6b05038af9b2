"""PlaceSigningOrder: somebody asks for a signature under a signing key. Makes an order with its one request.

What has to agree is the key's signing policy, and what the order adds to it. Approvals, vetoes and deadlines are those
of any request (ApproveRequest, VetoRequest).
"""

from __future__ import annotations

from abci_app import events, limits, text
from abci_app.authority import extractions
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.custody import naming, orders, policy, releases
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.identities import concerns
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, extraction_pb2
from abci_app.signing import signing_orders
from abci_app.state.indexes import OPEN_REQUESTS, ORDER_KEYS, PRINCIPAL_ORDERS, VAULT_ORDERS, block_named
from abci_app.state.records import CONCERNS, COUNTERS, DECISIONS, ORDERS, REQUEST_NUMBERS, REQUESTS, SIGNINGS


def _validate(message: extraction_pb2.PlaceSigningOrder) -> None:
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    need_bytes(message.authority, limits.ID_BYTES, "authority")
    if not text.is_label(message.kind, limits.MAX_SIGNING_KIND_CHARS):
        raise Refusal(Code.BAD_SIGNING_ORDER, "kind: lower-case letters, digits and -._", reason="kind")
    if len(message.message) > limits.MAX_SIGNED_MESSAGE_BYTES:
        raise Refusal(Code.BAD_SIGNING_ORDER, "the message is too long: give its digest", reason="message")
    if message.digest and (message.message or message.raw or len(message.digest) != 32):
        raise Refusal(
            Code.BAD_SIGNING_ORDER, "a digest has 32 bytes, stands for the message and is not signed raw",
            reason="digest",
        )
    if not 1 <= message.names <= limits.MAX_NAMED_IDENTITIES:
        raise Refusal(Code.FIELD_INVALID, f"names: 1 to {limits.MAX_NAMED_IDENTITIES}", reason="names")
    if message.HasField("policy"):
        policy.check_form(message.policy, custody_pb2.BeneficiaryRule())


def _execute(context: Context, message: extraction_pb2.PlaceSigningOrder) -> bytes:
    order_id = statements.order_id(context.gid, context.signer, message.nonce)
    context.require(not ORDERS.exists(context.state, order_id), Code.DUPLICATE, order_id.hex(), reason="signing-order")
    authority, epoch = extractions.require_authority(context, message.authority, authority_pb2.PURPOSE_SIGNING)
    needed, raw_allowed = signing_orders.policy_of(context.state, authority, epoch)
    context.require(raw_allowed or not message.raw, Code.RAW_NOT_ALLOWED, authority.id.hex())
    if message.HasField("policy"):
        policy.check_bounds(message.policy, custody_pb2.BeneficiaryRule(), context.params)
        needed = signing_orders.both(needed, message.policy)
    counter = COUNTERS.find(context.state, context.signer) or custody_pb2.CounterRecord(identity=context.signer)
    context.require(
        counter.open_orders < context.params.max_open_orders_per_identity, Code.TOO_MANY, "open orders",
        reason="open-signing-orders",
    )
    order = custody_pb2.OrderRecord(
        id=order_id, principal=context.signer, authority=authority.id, salt=message.nonce, policy=needed,
        rule=custody_pb2.BeneficiaryRule(identity=context.signer), status=custody_pb2.ORDER_STATUS_ACTIVE,
        placed_height=context.height, placed_time_s=context.time_s, placed_tx=context.tx_hash,
        active_height=context.height,
    )  # fmt: skip
    named = len(naming.of_order(order.principal, order.policy, order.rule))
    context.require(named <= message.names, Code.TOO_FEW_NAMES, f"it names {named}")
    counter.open_orders += 1
    counter.orders += 1
    COUNTERS.put(context.state, counter, context.signer)
    naming.note_order(context, order)
    VAULT_ORDERS.put(context.state, order.authority, order_id, value=block_named(order.envelope_cid))
    PRINCIPAL_ORDERS.put(context.state, context.signer, order_id)
    orders.emit(context, order, "placed", authority=authority.id)
    request_id = statements.request_id(context.gid, order_id, context.signer, message.nonce)
    record = extraction_pb2.SigningRecord(
        request=request_id, order=order_id, authority=authority.id, kind=message.kind, message=message.message,
        digest=message.digest, raw=message.raw,
    )  # fmt: skip
    SIGNINGS.put(context.state, record, request_id)
    request = custody_pb2.RequestRecord(
        id=request_id, order=order_id, beneficiary=context.signer,
        content_digest=statements.signing_content_digest(context.gid, request_id, message),
    )  # fmt: skip
    orders.open_request(context, order, request)
    ORDERS.put(context.state, order, order_id)
    return request_id


SPEC = MessageSpec(
    field="place_signing_order",
    message=extraction_pb2.PlaceSigningOrder,
    message_class=MessageClass.USER,
    cost=lambda message: 1_000 + concerns.NAME_COST * message.names,
    validate=_validate,
    execute=_execute,
    writes=(
        ORDERS, REQUESTS, REQUEST_NUMBERS, DECISIONS, CONCERNS, SIGNINGS, VAULT_ORDERS, PRINCIPAL_ORDERS,
        ORDER_KEYS, OPEN_REQUESTS, *releases.GRANT_WRITES,
    ),
    codes=(
        Code.FIELD_INVALID, Code.BAD_SIGNING_ORDER, Code.BAD_POLICY, Code.DUPLICATE,
        Code.RAW_NOT_ALLOWED, Code.TOO_FEW_NAMES, Code.TOO_MANY, Code.POLICY_NOT_IN_FORCE, Code.UNKNOWN_AUTHORITY,
        Code.AUTHORITY_NOT_ACTIVE, Code.WRONG_PURPOSE,
    ),
    events=(events.ORDER, events.REQUEST_OF_ORDER, events.REQUEST, events.EXTRACTION),
)  # fmt: skip
