"""Several results in one transaction: as many as the ledger takes (docs/spec/transactions.md, Bundles)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from abci_app import limits
from abci_app.errors import Refusal
from abci_app.execution.spec import MessageSpec
from abci_app.messages.submit_results import RESULTS
from abci_app.pb.dta.v1 import params_pb2, tx_pb2
from dta.base.errors import UsageError
from dta.node.hooks.plan import Job

_FIELD_OF = {spec.message.DESCRIPTOR.full_name: field for field, spec in RESULTS.items()}


def bundles(results: Sequence[Message], params: params_pb2.Params) -> list[Message]:
    """The messages to send for these results, which keep their order: each a bundle, or a result that is alone.

    A bundle has at most 16 KiB, 256 results and an eighth of a block's cost by ``params``; what is larger goes alone,
    and so does what the ledger would refuse for its form: a bundle with it in it would be refused whole. Raises
    UsageError for a message that is no hook's result.
    """
    groups: list[tx_pb2.SubmitResults] = []
    cost, is_closed = 0, True
    most = params.max_block_cost // limits.BUNDLE_COST_PART
    for message in results:
        spec, one = _result(message)
        its_cost, is_malformed = spec.cost(message), not _is_well_formed(spec, message)
        if not is_closed and not is_malformed:
            bundle = groups[-1]
            bundle.results.append(one)
            count, cost = len(bundle.results), cost + its_cost
            if count <= limits.MAX_BUNDLE_RESULTS and bundle.ByteSize() <= limits.MAX_BUNDLE_BYTES and cost <= most:
                continue
            del bundle.results[-1]
        groups.append(tx_pb2.SubmitResults(results=[one]))
        cost, is_closed = its_cost, is_malformed
    return [bundle if len(bundle.results) > 1 else parts_of(bundle)[0] for bundle in groups]


def parts_of(message: Message) -> list[Message]:
    """The results that a message of :func:`bundles` carries, in their order."""
    if not isinstance(message, tx_pb2.SubmitResults):
        return [message]
    return [getattr(one, one.WhichOneof("message") or "") for one in message.results]


def result_for(message: Message, job: Job) -> Message | None:
    """The part of such a message that answers ``job``."""
    return next((part for part in parts_of(message) if _job_of(part) == job), None)


def jobs_of(message: Message) -> list[Job]:
    """What such a message answers, part by part. Raises UsageError for a message that is no hook's result."""
    return [job for job in map(_job_of, parts_of(message)) if job is not None]


def _job_of(part: Message) -> Job | None:
    spec = _spec_of(part)
    return None if spec.due is None else Job(*spec.due(part))


def _is_well_formed(spec: MessageSpec[Any], message: Message) -> bool:
    try:
        spec.validate(message)
    except Refusal:
        return False
    return True


def _spec_of(message: Message) -> MessageSpec[Any]:
    field = _FIELD_OF.get(message.DESCRIPTOR.full_name)
    if field is None:
        raise UsageError(f"{message.DESCRIPTOR.full_name} is not a result of a hook")
    return RESULTS[field]


def _result(message: Message) -> tuple[MessageSpec[Any], tx_pb2.Result]:
    """The message's type, and it as a part of a bundle."""
    spec = _spec_of(message)
    result = tx_pb2.Result()
    getattr(result, spec.field).CopyFrom(message)
    return spec, result
