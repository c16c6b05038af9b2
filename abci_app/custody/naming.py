"""Whom an order and its requests name (docs/spec/concerns.md)."""

from __future__ import annotations

from abci_app import limits
from abci_app.custody import policy
from abci_app.execution.context import Context
from abci_app.identities import concerns
from abci_app.pb.dta.v1 import concern_pb2
from abci_app.pb.dta.v1 import custody_pb2 as pb


def of_order(
    principal: bytes, chosen: pb.Policy, rule: pb.BeneficiaryRule
) -> dict[bytes, list[concern_pb2.ConcernRole]]:
    """The identities that such an order names, each with its roles: principal, beneficiary, parties, vetoers.

    Not its fiduciaries: what an order asks of them is their nodes' (``due/``), and they run nodes.
    """
    by_role = (
        (concern_pb2.CONCERN_ROLE_PRINCIPAL, [principal]),
        (concern_pb2.CONCERN_ROLE_BENEFICIARY, [rule.identity] if rule.identity else []),
        (concern_pb2.CONCERN_ROLE_PARTY, policy.parties(chosen)),
        (concern_pb2.CONCERN_ROLE_VETOER, policy.vetoers(chosen, principal)),
    )
    found: dict[bytes, list[concern_pb2.ConcernRole]] = {}
    for role, identities in by_role:
        for identity in identities:
            found.setdefault(identity, []).append(role)
    return found


def count(chosen: pb.Policy, rule: pb.BeneficiaryRule) -> int:
    """What an order with them is charged for: the identities that they name, and its principal.

    Also of what no rule has looked at yet: what has too many nodes or vetoers is not read.
    """
    if len(chosen.nodes) > limits.MAX_POLICY_NODES or len(chosen.vetoers) > limits.MAX_VETOERS:
        return limits.MAX_NAMED_IDENTITIES
    others = dict.fromkeys([*policy.parties(chosen), *chosen.vetoers, rule.identity])
    return 1 + len(others) - (not rule.identity)


def note_order(context: Context, order: pb.OrderRecord) -> None:
    """A new order: it concerns all whom it names."""
    named = of_order(order.principal, order.policy, order.rule)
    concerns.note_roles(context, concern_pb2.CONCERN_KIND_ORDER, order.id, named)


def note_receiver(context: Context, order: pb.OrderRecord, request: pb.RequestRecord) -> None:
    """A new request: whom the order names can count its requests; whom the principal authorised, it names itself."""
    if order.rule.identity or request.beneficiary in of_order(order.principal, order.policy, order.rule):
        return
    role = concern_pb2.CONCERN_ROLE_RECEIVER
    concerns.note(context, concern_pb2.CONCERN_KIND_REQUEST, request.id, role, request.beneficiary)
