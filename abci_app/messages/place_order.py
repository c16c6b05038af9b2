"""PlaceOrder: a principal entrusts a secret, sealed in an envelope, to fiduciaries of its vault."""

from __future__ import annotations

from abci_app import cid, events, limits, text
from abci_app.authority import extractions
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.custody import naming, orders, policy
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.identities import concerns, documents
from abci_app.params import find_custodian
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, params_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_HEIGHT, DEADLINE_TIME, DUE, PRINCIPAL_ORDERS, VAULT_ORDERS, block_named
from abci_app.state.records import CONCERNS, COUNTERS, FIDUCIARIES, ORDERS, VAULT_KEYS, VAULTS


def _validate(message: tx_pb2.PlaceOrder) -> None:
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    if not text.is_label(message.custodian, limits.MAX_CUSTODIAN_CHARS):
        raise Refusal(Code.UNKNOWN_CUSTODIAN, "malformed name", reason="order-name")
    if message.authority:
        _validate_authority_fields(message)
    else:
        _validate_vault_fields(message)
    try:
        cid.digest_of(message.envelope_cid)
    except cid.BadCid as error:
        raise Refusal(Code.BAD_CID, str(error), reason="metadata") from None
    policy.check_form(message.policy, message.rule)
    if message.expires_at_time_s > limits.MAX_TIME_S or message.expires_at_height > limits.MAX_HEIGHT:
        raise Refusal(Code.BAD_EXPIRY, "too far ahead", reason="too-far")


def _validate_authority_fields(message: tx_pb2.PlaceOrder) -> None:
    need_bytes(message.authority, limits.ID_BYTES, "authority")
    if message.vault or message.fiduciaries or message.threshold:
        raise Refusal(
            Code.FIELD_INVALID, "an authority key, or a vault with its fiduciaries and a threshold",
            reason="authority-or-vault",
        )
    if message.share_commitments or message.key_commitment:
        raise Refusal(Code.BAD_COMMITMENTS, "an order under an authority key has none", reason="under-authority")


def _validate_vault_fields(message: tx_pb2.PlaceOrder) -> None:
    need_bytes(message.vault, limits.ID_BYTES, "vault")
    count = len(message.fiduciaries)
    if not 1 <= count <= limits.MAX_ORDER_FIDUCIARIES or len(dict.fromkeys(message.fiduciaries)) != count:
        raise Refusal(
            Code.FIELD_INVALID, f"fiduciaries: 1 to {limits.MAX_ORDER_FIDUCIARIES}, each once",
            reason="order-fiduciaries",
        )
    for fiduciary in message.fiduciaries:
        need_bytes(fiduciary, limits.ID_BYTES, "fiduciaries")
    if not 1 <= message.threshold <= count:
        raise Refusal(Code.BAD_THRESHOLD, f"{message.threshold} of {count}", reason="order")
    commitments = [*message.share_commitments, message.key_commitment]
    if len(commitments) != count + 1 or any(len(commitment) != 32 for commitment in commitments):
        raise Refusal(Code.BAD_COMMITMENTS, reason="of-shares")


def _check_against_vault(context: Context, message: tx_pb2.PlaceOrder) -> None:
    vault = VAULTS.read(context.state, message.vault)
    if vault is None:
        raise Refusal(Code.UNKNOWN_VAULT, message.vault.hex(), reason="order")
    context.require(
        vault.principal == context.signer, Code.NOT_PRINCIPAL, "the vault is somebody else's", reason="place-order"
    )
    context.require(
        vault.status == custody_pb2.VAULT_STATUS_OPEN, Code.VAULT_NOT_OPEN, vault.id.hex(), reason="place-order"
    )
    context.require(
        message.custodian == vault.custodian, Code.UNKNOWN_CUSTODIAN, message.custodian, reason="other-than-vault"
    )
    named = list(vault.fiduciaries)
    for fiduciary in message.fiduciaries:
        if not FIDUCIARIES.exists(context.state, fiduciary):
            raise Refusal(Code.UNKNOWN_FIDUCIARY, fiduciary.hex(), reason="order")
        if fiduciary not in named:
            raise Refusal(Code.NOT_NAMED, fiduciary.hex(), reason="vault")
        if not documents.is_active_fiduciary(context.state, fiduciary, context.time_s):
            raise Refusal(Code.FIDUCIARY_NOT_ACTIVE, fiduciary.hex(), reason="order")
        if not VAULT_KEYS.exists(context.state, vault.id, fiduciary):
            raise Refusal(Code.FIDUCIARY_WITHOUT_KEY, fiduciary.hex(), reason="order")


def _execute(context: Context, message: tx_pb2.PlaceOrder) -> bytes:
    order_id = statements.order_id(context.gid, context.signer, message.nonce)
    context.require(not ORDERS.exists(context.state, order_id), Code.DUPLICATE, order_id.hex(), reason="order")
    verifier = params_pb2.VERIFIER_EXTRACTION if message.authority else params_pb2.VERIFIER_NONE
    custodian = find_custodian(context.params, message.custodian)
    known = custodian is not None and custodian.verifier == verifier
    context.require(known, Code.UNKNOWN_CUSTODIAN, message.custodian, reason="order")
    if message.authority:
        extractions.require_authority(context, message.authority, authority_pb2.PURPOSE_CUSTODY)
    else:
        _check_against_vault(context, message)
    most = context.params.max_order_fiduciaries
    context.require(
        len(message.fiduciaries) <= most, Code.FIELD_INVALID, f"fiduciaries: at most {most}",
        reason="too-many-fiduciaries",
    )
    policy.check_bounds(message.policy, message.rule, context.params)
    counter = COUNTERS.find(context.state, context.signer) or custody_pb2.CounterRecord(identity=context.signer)
    context.require(
        counter.open_orders < context.params.max_open_orders_per_identity, Code.TOO_MANY, "open orders",
        reason="open-orders",
    )
    order = custody_pb2.OrderRecord(
        id=order_id, principal=context.signer, custodian=message.custodian, vault=message.vault,
        fiduciaries=message.fiduciaries, threshold=message.threshold, share_commitments=message.share_commitments,
        key_commitment=message.key_commitment, envelope_cid=message.envelope_cid, salt=message.nonce,
        policy=message.policy, rule=message.rule, status=custody_pb2.ORDER_STATUS_PLACED,
        expires_at_time_s=message.expires_at_time_s, expires_at_height=message.expires_at_height,
        placed_height=context.height, placed_time_s=context.time_s, placed_tx=context.tx_hash,
    )  # fmt: skip
    if message.authority:
        policy_hash = statements.policy_hash(message.policy, message.rule)
        order.authority = message.authority
        order.identity = statements.custody_identity(
            context.gid, message.authority, context.signer, message.nonce, policy_hash
        )
        order.status, order.active_height = custody_pb2.ORDER_STATUS_ACTIVE, context.height
    context.require(orders.is_open(order, context), Code.BAD_EXPIRY, "it is over already", reason="over")
    counter.open_orders += 1
    counter.orders += 1
    COUNTERS.put(context.state, counter, context.signer)
    ORDERS.put(context.state, order, order_id)
    naming.note_order(context, order)
    orders.remember_deadlines(context, order)
    VAULT_ORDERS.put(
        context.state, order.vault or order.authority, order_id, value=block_named(order.envelope_cid)
    )
    PRINCIPAL_ORDERS.put(context.state, context.signer, order_id)
    for fiduciary in order.fiduciaries:
        due.add(context.state, fiduciary, DueKind.FULFIL_ORDER, order_id)
    if order.authority:
        orders.emit(context, order, "placed", authority=order.authority)
    else:
        orders.emit(context, order, "placed", vault=order.vault)
        context.emit_named(order.fiduciaries, "order-placed", order=order_id)
    return order_id


SPEC = MessageSpec(
    field="place_order",
    message=tx_pb2.PlaceOrder,
    message_class=MessageClass.USER,
    cost=lambda message: (
        300 + 20 * len(message.fiduciaries) + concerns.NAME_COST * naming.count(message.policy, message.rule)
    ),
    validate=_validate,
    execute=_execute,
    writes=(
        ORDERS, COUNTERS, CONCERNS, DUE, DEADLINE_TIME, DEADLINE_HEIGHT, VAULT_ORDERS,
        PRINCIPAL_ORDERS,
    ),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_CUSTODIAN, Code.BAD_THRESHOLD, Code.BAD_COMMITMENTS, Code.BAD_CID,
        Code.BAD_POLICY, Code.BAD_RULE, Code.BAD_EXPIRY, Code.DUPLICATE, Code.UNKNOWN_VAULT, Code.NOT_PRINCIPAL,
        Code.VAULT_NOT_OPEN, Code.UNKNOWN_FIDUCIARY, Code.NOT_NAMED, Code.FIDUCIARY_NOT_ACTIVE,
        Code.FIDUCIARY_WITHOUT_KEY, Code.TOO_MANY, Code.UNKNOWN_AUTHORITY, Code.AUTHORITY_NOT_ACTIVE,
        Code.WRONG_PURPOSE,
    ),
    events=(events.NAMED, events.ORDER),
)  # fmt: skip
