"""FulfilSecret: a fiduciary's hook releases its share, sealed to the request's key for it."""

from __future__ import annotations

from abci_app import events, limits
from abci_app.authority import answers, extractions
from abci_app.authority.proofs import check_blinded_form
from abci_app.codes import Code
from abci_app.crypto import hpke
from abci_app.crypto.curve import G1
from abci_app.custody import orders, releases
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec, need_bytes
from abci_app.params import find_custodian
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2, tx_pb2
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import DEADLINE_TIME, DUE, OPEN_REQUESTS, ORDER_ANSWERERS
from abci_app.state.records import ANSWERS, ORDERS, PARTIALS, REQUESTS


def _check_size(context: Context, order: custody_pb2.OrderRecord, sealed: bytes) -> None:
    custodian = find_custodian(context.params, order.custodian)
    assert custodian is not None, "no change of parameters takes one away"
    expected = hpke.SEALED_OVERHEAD_BYTES + custodian.contribution_bytes
    context.require(len(sealed) == expected, Code.FIELD_INVALID, "sealed", reason="sealed")


def _execute(context: Context, message: tx_pb2.FulfilSecret) -> bytes:
    order, request = orders.get_open_request(context, message.request)
    if order.authority:
        return _fulfil_by_partial(context, order, request, message)
    context.require(not message.HasField("partial"), Code.WRONG_FORM, "the answer is a sealed share", reason="sealed")
    orders.index_of(order, context.signer)
    answered = ANSWERS.find(context.state, request.id, context.signer) is not None
    context.require(not answered, Code.ALREADY_DONE, reason="answer")
    context.require(request.status != custody_pb2.REQUEST_STATUS_PENDING, Code.NOT_GRANTED, reason="sealed")
    context.require(orders.is_released(request, context), Code.NOT_RELEASED_YET, reason="sealed")
    _check_size(context, order, message.sealed)
    answer = custody_pb2.AnswerRecord(
        sealed=message.sealed, height=context.height, tx_hash=context.tx_hash, tx_item=context.item
    )
    ANSWERS.put(context.state, answer, request.id, context.signer)
    due.remove(context.state, context.signer, DueKind.FULFIL_SECRET, request.id)
    request.answers += 1
    orders.count_answer(context, order, order.threshold)
    if request.status == custody_pb2.REQUEST_STATUS_GRANTED and request.answers >= order.threshold:
        orders.complete_request(context, order, request)
    if request.answers == len(order.fiduciaries):
        orders.forget_open(context, order, request)
    REQUESTS.put(context.state, request, request.id)
    ORDERS.put(context.state, order, order.id)
    releases.emit_request(context, request, "answered", fiduciary=context.signer)
    context.emit("fiduciary", context.signer, "secret-fulfilled", request=request.id, order=order.id)
    return b""


def _fulfil_by_partial(
    context: Context, order: custody_pb2.OrderRecord, request: custody_pb2.RequestRecord, message: tx_pb2.FulfilSecret
) -> bytes:
    """An order under an authority key: the answer is a blinded partial, and verified here."""
    context.require(message.HasField("partial"), Code.WRONG_FORM, "the answer is a blinded partial", reason="partial")
    context.require(request.status != custody_pb2.REQUEST_STATUS_PENDING, Code.NOT_GRANTED, reason="partial")
    context.require(request.released_height, Code.NOT_RELEASED_YET, reason="partial")
    record = answers.submit(context, message.request, DueKind.FULFIL_SECRET, message.epoch, [message.partial])
    orders.count_answer(context, order, record.threshold)
    ORDERS.put(context.state, order, order.id)
    releases.emit_request(context, request, "answered", fiduciary=context.signer)
    context.emit("fiduciary", context.signer, "secret-fulfilled", request=request.id, order=order.id)
    if record.status == extraction_pb2.EXTRACTION_STATUS_COMPLETED:
        orders.finish_extracted(context, order, request, record)
    return b""


def _validate(message: tx_pb2.FulfilSecret) -> None:
    need_bytes(message.request, limits.ID_BYTES, "request")
    if message.sealed and message.HasField("partial"):
        raise Refusal(Code.FIELD_INVALID, "a sealed share or a partial, not both", reason="sealed-or-partial")
    if len(message.sealed) > limits.MAX_SEALED_ANSWER_BYTES:
        raise Refusal(
            Code.FIELD_INVALID, f"sealed: at most {limits.MAX_SEALED_ANSWER_BYTES} bytes", reason="sealed-size"
        )
    if message.HasField("partial"):
        check_blinded_form(G1, message.partial)


SPEC = MessageSpec(
    field="fulfil_secret",
    message=tx_pb2.FulfilSecret,
    message_class=MessageClass.RESULT,
    cost=lambda message: 300 + (extractions.BLINDED_COST_G1 if message.HasField("partial") else 0),
    validate=_validate,
    execute=_execute,
    due=lambda message: (DueKind.FULFIL_SECRET, message.request),
    writes=(
        ORDERS, REQUESTS, ANSWERS, PARTIALS, DUE, DEADLINE_TIME, OPEN_REQUESTS, ORDER_ANSWERERS,
        *releases.FORGET_WRITES,
    ),
    codes=(
        Code.FIELD_INVALID, Code.UNKNOWN_REQUEST, Code.ORDER_NOT_OPEN, Code.REQUEST_NOT_OPEN, Code.DEADLINE_PASSED,
        Code.NOT_NAMED, Code.ALREADY_DONE, Code.NOT_GRANTED, Code.NOT_RELEASED_YET,
        Code.WRONG_FORM, Code.UNKNOWN_EXTRACTION, Code.EXTRACTION_ENDED, Code.WRONG_EPOCH, Code.NOT_A_MEMBER,
        Code.BAD_PARTIAL, Code.REQUESTER_REVOKED,
    ),
    events=(events.SECRET_BY, events.REQUEST_OF_ORDER, events.REQUEST, events.EXTRACTION),
)  # fmt: skip
