"""RequestSecret: the beneficiary asks for an order's secret, with one fresh key for each fiduciary's answer."""

from __future__ import annotations

from abci_app import cid, limits
from abci_app.codes import Code
from abci_app.crypto import ed25519, statements
from abci_app.custody import orders, policy
from abci_app.errors import Refusal
from abci_app.messages import identities
from abci_app.messages.context import Context
from abci_app.messages.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, identity_pb2, tx_pb2
from abci_app.state import keys
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.records import DECISIONS, IDENTITIES, ORDERS, REQUESTS


def _validate(message: tx_pb2.RequestSecret) -> None:
    need_bytes(message.order, limits.ID_BYTES, "order")
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    need_bytes(message.beneficiary, limits.ID_BYTES, "beneficiary")
    digests = list(message.key_digests)
    if not 1 <= len(digests) <= limits.MAX_ORDER_FIDUCIARIES or any(len(digest) != 32 for digest in digests):
        raise Refusal(Code.BAD_REQUEST_KEYS)
    if len(dict.fromkeys(digests)) != len(digests):
        # One key for two fiduciaries: reporting one of them would reveal the other's answer.
        raise Refusal(Code.BAD_REQUEST_KEYS, "a key is named twice")
    if len(message.authorisation) not in (0, limits.ED25519_SIGNATURE_BYTES):
        raise Refusal(Code.AUTHORISATION_INVALID, "an authorisation has 64 bytes")
    try:
        cid.digest_of(message.keys_cid)
    except cid.BadCid as error:
        raise Refusal(Code.BAD_CID, str(error)) from None


def _check_beneficiary(context: Context, order: custody_pb2.OrderRecord, message: tx_pb2.RequestSecret) -> None:
    context.require(message.beneficiary == context.signer, Code.NOT_BENEFICIARY, "the beneficiary signs the request")
    if order.rule.identity:
        context.require(order.rule.identity == context.signer, Code.NOT_BENEFICIARY, context.signer.hex())
        return
    if context.signer == order.principal:
        return
    principal = IDENTITIES.get(context.state, order.principal)
    active = principal.status == identity_pb2.IDENTITY_STATUS_ACTIVE and identities.valid_at(principal, context.time_s)
    keys_digest = statements.request_keys_digest(list(message.key_digests))
    statement = statements.authorisation_statement(context.gid, order.id, message.beneficiary, keys_digest)
    authorised = active and ed25519.verify(principal.tx_key, statement, message.authorisation)
    context.require(authorised, Code.AUTHORISATION_INVALID, order.principal.hex())


def _execute(context: Context, message: tx_pb2.RequestSecret) -> bytes:
    order = orders.get_open(context, message.order)
    _check_beneficiary(context, order, message)
    context.require(order.status == custody_pb2.ORDER_STATUS_ACTIVE, Code.ORDER_NOT_ACTIVE, order.id.hex())
    context.require(len(message.key_digests) == len(order.fiduciaries), Code.BAD_REQUEST_KEYS)
    context.require(policy.in_force(order.policy, context.time_s), Code.POLICY_NOT_IN_FORCE)
    most = context.params.max_open_requests_per_order
    context.require(order.open_requests < most, Code.TOO_MANY, f"an order has at most {most} open requests")
    request_id = statements.request_id(context.gid, order.id, context.signer, message.nonce)
    context.require(REQUESTS.find(context.state, request_id) is None, Code.DUPLICATE, request_id.hex())
    request = custody_pb2.RequestRecord(
        id=request_id, order=order.id, beneficiary=context.signer, keys_cid=message.keys_cid,
        key_digests=message.key_digests,
        content_digest=statements.request_content_digest(context.gid, request_id, message),
        status=custody_pb2.REQUEST_STATUS_PENDING, requested_height=context.height,
        requested_time_s=context.time_s, requested_tx=context.tx_hash,
        deadline_time_s=context.time_s + context.params.request_ttl_s,
    )  # fmt: skip
    order.open_requests += 1
    context.state.index_put(keys.order_requests(order.id, request_id))
    context.state.index_put(keys.open_requests(order.id, request_id))
    context.state.index_put(keys.deadline_time(request.deadline_time_s, DeadlineKind.REQUEST, request_id))
    orders.emit_request(context, request, "requested")
    if context.signer in policy.parties(order.policy):
        # Who asks, and is a party, has thereby approved.
        own = custody_pb2.DecisionRecord(veto=False, height=context.height, tx_hash=context.tx_hash)
        DECISIONS.put(context.state, own, request_id, context.signer)
    orders.grant_if_satisfied(context, order, request)
    REQUESTS.put(context.state, request, request_id)
    ORDERS.put(context.state, order, order.id)
    return request_id


SPEC = MessageSpec(
    field="request_secret",
    message=tx_pb2.RequestSecret,
    message_class=MessageClass.USER,
    cost=lambda message: 500 + 20 * len(message.key_digests),
    validate=_validate,
    execute=_execute,
    writes=(
        keys.ORDER, keys.REQUEST, keys.DECISION, keys.DUE, keys.DEADLINE_TIME, keys.ORDER_REQUESTS,
        keys.OPEN_REQUESTS,
    ),
    codes=(
        Code.FIELD_INVALID, Code.BAD_REQUEST_KEYS, Code.AUTHORISATION_INVALID, Code.BAD_CID, Code.UNKNOWN_ORDER,
        Code.ORDER_NOT_OPEN, Code.NOT_BENEFICIARY, Code.ORDER_NOT_ACTIVE, Code.POLICY_NOT_IN_FORCE, Code.TOO_MANY,
        Code.DUPLICATE,
    ),
    events=("order", "request"),
)  # fmt: skip
