"""ReportShare: the beneficiary reveals one fiduciary's answer; the ledger opens it and says who is wrong."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.codes import Code
from abci_app.crypto import hpke, statements
from abci_app.custody import orders, releases
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.records import ANSWERS, ORDERS, REQUESTS


def _validate(message: tx_pb2.ReportShare) -> None:
    need_bytes(message.request, limits.ID_BYTES, "request")
    need_bytes(message.fiduciary, limits.ID_BYTES, "fiduciary")
    need_bytes(message.mlkem768_seed, limits.MLKEM768_SEED_BYTES, "mlkem768_seed")
    need_bytes(message.x25519_private, limits.X25519_KEY_BYTES, "x25519_private")


def _is_good(
    context: Context,
    order: custody_pb2.OrderRecord,
    message: tx_pb2.ReportShare,
    index: int,
    answer: custody_pb2.AnswerRecord,
) -> bool:
    commitment = order.share_commitments[index - 1]
    info = statements.answer_seal_info(context.gid, message.request, message.fiduciary, index, commitment)
    try:
        share = hpke.open_sealed(message.mlkem768_seed, message.x25519_private, info, answer.sealed)
    except hpke.CannotOpen:
        return False
    policy_hash = statements.policy_hash(order.policy, order.rule)
    bound = statements.order_context(context.gid, order.vault, order.principal, order.salt, policy_hash)
    return statements.share_commitment(bound, index, share) == commitment


def _execute(context: Context, message: tx_pb2.ReportShare) -> bytes:
    request = REQUESTS.find(context.state, message.request)
    if request is None:
        raise Refusal(Code.UNKNOWN_REQUEST, message.request.hex(), reason="report")
    context.require(request.beneficiary == context.signer, Code.NOT_BENEFICIARY, reason="report")
    order = ORDERS.get(context.state, request.order)
    index = orders.index_of(order, message.fiduciary)
    answer = ANSWERS.find(context.state, request.id, message.fiduciary)
    if answer is None:
        raise Refusal(Code.NO_ANSWER, message.fiduciary.hex())
    context.require(not answer.reported_height, Code.ALREADY_DONE, reason="reported")
    revealed = hpke.public_key_of(message.mlkem768_seed, message.x25519_private)
    expected = request.key_digests[index - 1]
    context.require(statements.hpke_key_digest(revealed) == expected, Code.REPORT_KEY_MISMATCH)
    context.require(not _is_good(context, order, message, index, answer), Code.REPORT_UNFOUNDED)
    answer.reported_height = context.height
    answer.reported_tx = context.tx_hash
    ANSWERS.put(context.state, answer, request.id, message.fiduciary)
    request.bad_answers += 1
    REQUESTS.put(context.state, request, request.id)
    releases.emit_request(context, request, "answer-proved-bad", fiduciary=message.fiduciary)
    context.emit("fiduciary", message.fiduciary, "answer-proved-bad", request=request.id, order=order.id)
    return b""


SPEC = MessageSpec(
    field="report_share",
    message=tx_pb2.ReportShare,
    message_class=MessageClass.USER,
    cost=lambda _: 1_500,
    validate=_validate,
    execute=_execute,
    writes=(REQUESTS, ANSWERS),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_REQUEST, Code.NOT_BENEFICIARY, Code.NOT_NAMED, Code.NO_ANSWER,
        Code.ALREADY_DONE, Code.REPORT_KEY_MISMATCH, Code.REPORT_UNFOUNDED,
    ),
    events=(events.SECRET_BY, events.REQUEST_OF_ORDER, events.REQUEST),
)  # fmt: skip
