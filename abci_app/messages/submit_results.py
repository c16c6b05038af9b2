"""SubmitResults: several results of one fiduciary in one transaction, each as if it came alone."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from google.protobuf.message import Message

from abci_app import limits
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution import guard
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.messages import (
    accept_ceremony,
    confirm_share,
    confirm_vault_erased,
    deal_shares,
    dispute_dealings,
    fulfil_order,
    fulfil_secret,
    publish_vault_key,
    reject_order,
    submit_partials,
    submit_unblinded,
)
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2

_ALL: Final[tuple[MessageSpec[Any], ...]] = (
    publish_vault_key.SPEC,
    confirm_vault_erased.SPEC,
    fulfil_order.SPEC,
    reject_order.SPEC,
    fulfil_secret.SPEC,
    accept_ceremony.SPEC,
    deal_shares.SPEC,
    dispute_dealings.SPEC,
    confirm_share.SPEC,
    submit_partials.SPEC,
    submit_unblinded.SPEC,
)
RESULTS: Final[dict[str, MessageSpec[Any]]] = {spec.field: spec for spec in _ALL}
"""What may be in a bundle. A bundle is not among it."""

if list(RESULTS) != [field.name for field in tx_pb2.Result.DESCRIPTOR.oneofs_by_name["message"].fields]:
    raise AssertionError("RESULTS and Result's oneof must name the same messages, in the same order")


def _parts(message: tx_pb2.SubmitResults) -> list[tuple[MessageSpec[Any], Message]]:
    """Each result and its type. Refused with MALFORMED where number, size or shape is wrong."""
    count = len(message.results)
    if not 1 <= count <= limits.MAX_BUNDLE_RESULTS:
        raise Refusal(Code.MALFORMED, f"1 to {limits.MAX_BUNDLE_RESULTS} results", reason="result-count")
    if count > 1 and message.ByteSize() > limits.MAX_BUNDLE_BYTES:
        raise Refusal(
            Code.MALFORMED, f"several results have {limits.MAX_BUNDLE_BYTES} bytes at most", reason="bundle-size"
        )
    found = []
    for result in message.results:
        field = result.WhichOneof("message")
        if field is None:
            raise Refusal(Code.MALFORMED, "a result of no kind", reason="result-kind")
        found.append((RESULTS[field], getattr(result, field)))
    return found


def _validate(message: tx_pb2.SubmitResults) -> None:
    for spec, part in _parts(message):
        spec.validate(part)


def _signing_key(_gid: bytes, record: identity_pb2.IdentityRecord | None, _message: tx_pb2.SubmitResults) -> bytes:
    """The node key alone: no person decides on a bundle."""
    assert record is not None, "a newcomer only registers itself"
    if not record.node_key:
        raise Refusal(Code.NOT_ALLOWED, "a bundle is signed by a fiduciary's node key", reason="bundle-signer")
    return record.node_key


def _execute(context: Context, message: tx_pb2.SubmitResults) -> bytes:
    """Each result in order. What one is refused with, or fails by, undoes that one; its cost stays counted."""
    outcomes = tx_pb2.ResultOutcomes()
    for number, (spec, part) in enumerate(_parts(message)):
        assert spec.due is not None
        kind, subject = spec.due(part)
        outcome = outcomes.outcomes.add(kind=kind, subject=subject)
        context.item = number
        error = guard.failure_of(context, partial(_do, context, spec, part, outcome))
        if error is not None:
            outcome.code = error.code if isinstance(error, Refusal) else Code.FAILED
    return outcomes.SerializeToString(deterministic=True)


def _do(context: Context, spec: MessageSpec[Any], part: Message, outcome: tx_pb2.ResultOutcome) -> None:
    outcome.data = spec.execute(context, part)


SPEC = MessageSpec(
    field="submit_results",
    message=tx_pb2.SubmitResults,
    message_class=MessageClass.RESULT,
    cost=lambda message: sum(spec.cost(part) for spec, part in _parts(message)),
    validate=_validate,
    execute=_execute,
    signing_key=_signing_key,
    parts=_parts,
    writes=tuple(dict.fromkeys(places for spec in _ALL for places in spec.writes)),
    codes=tuple(dict.fromkeys(code for spec in _ALL for code in spec.codes)),
    events=tuple(dict.fromkeys(kind for spec in _ALL for kind in spec.events)),
)
