"""Signing orders: who has to agree before a signing key signs, and what happens then (docs/spec/authority.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Final

from abci_app.authority import epochs
from abci_app.authority.proofs import combine_signature
from abci_app.codes import Code
from abci_app.crypto.bls import verify_min_sig
from abci_app.custody import orders, releases
from abci_app.errors import Refusal
from abci_app.execution import upkeep
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.state.indexes import UNSIGNED
from abci_app.state.records import AUTHORITIES, EXTRACTIONS, ORDERS, PARTIALS, REQUESTS, SIGNING_POLICIES, SIGNINGS
from abci_app.state.view import StateView

# About the microseconds of a signature's sum and its check, and of each share in it.
SUM_COST: Final = 2_500
SHARE_COST: Final = 300


def policy_of(
    view: StateView, authority: authority_pb2.AuthorityRecord, epoch: authority_pb2.EpochRecord
) -> tuple[custody_pb2.Policy, bool]:
    """(what must be satisfied before the key signs, whether raw messages are allowed).

    Where governance has set none: the operators of threshold-many members approve, and nothing is signed raw. So
    nobody has anything signed by the group whom fewer than the threshold agree with.
    """
    found = SIGNING_POLICIES.find(view, authority.id)
    if found is not None:
        return found.policy, found.raw_allowed
    members = [member.fiduciary for member in epochs.members(view, authority.id, epoch.epoch)]
    return default_policy(members, epoch.threshold), False


def default_policy(members: Sequence[bytes], threshold: int) -> custody_pb2.Policy:
    """So many of these members."""
    gate = custody_pb2.PolicyNode(threshold=threshold, children=range(1, len(members) + 1), group="members")
    return custody_pb2.Policy(nodes=[gate, *[custody_pb2.PolicyNode(identity=member) for member in members]])


def both(first: custody_pb2.Policy, second: custody_pb2.Policy) -> custody_pb2.Policy:
    """The policy that wants both: a gate over the two trees, the narrower times, the longer veto window.

    Vetoers are those of either; where one that has a veto window names none, its parties and so everybody may veto:
    none are named then.
    """
    joined = custody_pb2.Policy(nodes=[custody_pb2.PolicyNode(threshold=2, children=[1, 1 + len(first.nodes)])])
    for policy in (first, second):
        shift = len(joined.nodes)
        for node in policy.nodes:
            moved = joined.nodes.add()
            moved.CopyFrom(node)
            moved.ClearField("children")
            moved.children.extend(child + shift for child in node.children)
    joined.not_before_s = max(first.not_before_s, second.not_before_s)
    ends = [policy.not_after_s for policy in (first, second) if policy.not_after_s]
    joined.not_after_s = min(ends) if ends else 0
    joined.veto_window_s = max(first.veto_window_s, second.veto_window_s)
    with_window = [policy for policy in (first, second) if policy.veto_window_s]
    if all(policy.vetoers for policy in with_window):
        joined.vetoers.extend(dict.fromkeys(who for policy in with_window for who in policy.vetoers))
    return joined


def answered(context: Context, record: pb.ExtractionRecord) -> None:
    """A member's share of a signature was taken: an event; at the end of the block the signature, if it is complete."""
    request = REQUESTS.get(context.state, record.id)
    order = ORDERS.get(context.state, request.order)
    orders.count_answer(context, order, record.threshold)
    ORDERS.put(context.state, order, order.id)
    releases.emit_request(context, request, "answered", fiduciary=context.signer)
    context.emit("fiduciary", context.signer, "signature-share", request=request.id, order=order.id)
    if record.status == pb.EXTRACTION_STATUS_COMPLETED:
        UNSIGNED.put(context.state, record.ended_height, record.id)


def sum_up(context: Context) -> None:
    """At the end of a block, within its budget: the signatures whose shares are complete. Of 63 it takes 20 ms.

    Those that were complete first come first: a request's id is its requester's choice.
    """
    spending = upkeep.Spending(context)
    most = 1 + context.params.max_upkeep_cost // SUM_COST
    for height, request in UNSIGNED.due(context.state, context.height, context.height, limit=most):
        record = EXTRACTIONS.get(context.state, request)
        if not spending.affords(SUM_COST + SHARE_COST * record.threshold):
            return
        work = partial(_sum_up, context, record)
        upkeep.run_or_set_aside(context, upkeep.Aside.SIGNATURE, request, UNSIGNED.key(height, request), work)


def _sum_up(block: Context, record: pb.ExtractionRecord) -> None:
    """The signature, by the share that completed it: its transaction and its height are the request's end."""
    context = dataclasses.replace(
        block, height=record.ended_height, tx_hash=record.ended_tx, item=record.ended_tx_item
    )
    UNSIGNED.delete(context.state, record.ended_height, record.id)
    request = REQUESTS.get(context.state, record.id)
    if request.status != custody_pb2.REQUEST_STATUS_GRANTED:
        return  # set aside, then ended by its deadline, and put back
    order = ORDERS.get(context.state, request.order)
    signed = SIGNINGS.get(context.state, record.id)
    signed.signature = _signature(context, record, releases.signed_bytes(context.gid, signed))
    signed.signed_height, signed.signed_tx, signed.signed_tx_item = context.height, context.tx_hash, context.item
    SIGNINGS.put(context.state, signed, record.id)
    orders.finish_extracted(context, order, request, record)
    orders.end_if_spent(context, order)


def _signature(context: Context, record: pb.ExtractionRecord, message: bytes) -> bytes:
    """The sum of the shares, checked against s*g2: the proofs vouch for each share, the check for all of it."""
    authority = AUTHORITIES.get(context.state, record.authority)
    shares = []
    for member in epochs.members(context.state, record.authority, record.epoch):
        partial = PARTIALS.find(context.state, record.id, 0, record.epoch, member.fiduciary)
        if partial is not None:
            shares.append((member.index, partial.share))
    signature = combine_signature(shares)
    if not verify_min_sig(authority.public_key_g2, message, signature):
        raise Refusal(Code.BAD_PARTIAL, "the signature does not verify", reason="signature")
    return signature
