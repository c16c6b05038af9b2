"""Several results in one transaction: as many as the ledger takes (docs/spec/transactions.md, Bundles)."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from abci_app import limits
from abci_app.messages.submit_results import RESULTS
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from dta.base.errors import UsageError

_FIELD_OF = {spec.message.DESCRIPTOR.full_name: field for field, spec in RESULTS.items()}


def bundles(results: Sequence[Message], params: params_pb2.Params) -> list[Message]:
    """The messages to send for these results, which keep their order: each a bundle, or a result that is alone.

    A bundle has at most 16 KiB, 256 results and an eighth of a block's cost by ``params``; what is larger goes alone.
    Raises UsageError for a message that is no hook's result.
    """
    made: list[Message] = []
    bundle, cost = tx_pb2.SubmitResults(), 0
    most = params.max_block_cost // limits.BUNDLE_COST_PART
    for message in results:
        one, its_cost = _result(message)
        bundle.results.append(one)
        cost += its_cost
        count = len(bundle.results)
        fits = count <= limits.MAX_BUNDLE_RESULTS and bundle.ByteSize() <= limits.MAX_BUNDLE_BYTES and cost <= most
        if count > 1 and not fits:
            del bundle.results[-1]
            made.append(_alone_or_bundled(bundle))
            bundle, cost = tx_pb2.SubmitResults(results=[one]), its_cost
    return [*made, _alone_or_bundled(bundle)] if bundle.results else made


def _result(message: Message) -> tuple[tx_pb2.Result, int]:
    """The message as a part of a bundle, and its cost."""
    field = _FIELD_OF.get(message.DESCRIPTOR.full_name)
    if field is None:
        raise UsageError(f"{message.DESCRIPTOR.full_name} is not a result of a hook")
    result = tx_pb2.Result()
    getattr(result, field).CopyFrom(message)
    return result, RESULTS[field].cost(message)


def _alone_or_bundled(bundle: tx_pb2.SubmitResults) -> Message:
    if len(bundle.results) > 1:
        return bundle
    (result,) = bundle.results
    message: Message = getattr(result, result.WhichOneof("message") or "")
    return message
