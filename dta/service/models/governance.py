"""Bodies of /v1/governance."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from dta.service.models.base import Asked, Extension, Id, Policy, Shown, Who


class AdmitFiduciary(Asked):
    """``card``: the admission.json of whoever is to be admitted, as an object."""

    kind: Literal["admit-fiduciary"]
    card: dict[str, Any]
    power: int = Field(10, ge=1, le=2**31)


class RemoveFiduciary(Asked):
    kind: Literal["remove-fiduciary"]
    fiduciary: Who


class RevokeIdentity(Asked):
    kind: Literal["revoke-identity"]
    identity: Who


class ChangeParams(Asked):
    """``params``: those that change (docs/spec/parameters.md), by name."""

    kind: Literal["change-params"]
    params: dict[Annotated[str, StringConstraints(max_length=64)], Annotated[int, Field(ge=0, lt=2**63)]] = Field(
        min_length=1, max_length=64
    )


class Upgrade(Asked):
    """From ``height`` on, another version of the protocol."""

    kind: Literal["upgrade"]
    height: int = Field(ge=1, lt=2**63)
    protocol_version: int = Field(ge=1, lt=2**32)


class SetSigningPolicy(Asked):
    """Who has to agree before a signing key signs."""

    kind: Literal["set-signing-policy"]
    authority: Who
    policy: Policy
    not_before: int = Field(0, ge=0)
    not_after: int = Field(0, ge=0)
    veto_window: int = Field(0, ge=0)
    vetoers: list[Who] = Field(default_factory=list, max_length=64)
    raw_allowed: bool = False


Action = Annotated[
    AdmitFiduciary | RemoveFiduciary | RevokeIdentity | ChangeParams | Upgrade | SetSigningPolicy,
    Field(discriminator="kind"),
]


class Propose(Asked):
    """POST /v1/governance. Keys and realms are proposed at /v1/authority and /v1/realm."""

    action: Action
    extension: Extension = Field(default_factory=dict)


class Vote(Asked):
    """A vote is on a content: ``contentDigest`` of the proposal that was looked at. Once, for good."""

    content_digest: Id
    against: bool = False


class Proposal(Shown):
    """A proposal, proved. ``action``: every field of it, as the ledger's message has them."""

    proposal: Id
    status: str
    proposes: str
    action: dict[str, Any]
    proposer: Id
    content_digest: Id
    proposed: int = Field(validation_alias="proposed_time_s", serialization_alias="proposedAt")
    proposed_height: int
    proposed_tx: str
    deadline: int = Field(validation_alias="deadline_time_s", serialization_alias="deadlineAt")
    votes: int
    power_for: int
    power_against: int
    power_total: int
    passed_height: int
    deciding_tx: str
    ended_height: int
    ended_tx: str
    failure_code: int | None
    failure: str | None
    impact: dict[str, Any] | None


class VoteCast(Shown):
    """``vote``: for, against, or null: not yet."""

    fiduciary: Id
    power: int
    vote: str | None
    height: int


class AffectedOrder(Shown):
    order: Id
    threshold: int
    left: int
    below_threshold: bool


class ProposalShown(Proposal):
    """``affectedOrders``: of a removal, the open orders that it would leave with less, as the node's index finds them.
    ``affectedOrdersCut``: there are more."""

    votes_cast: list[VoteCast]
    affected_orders: list[AffectedOrder] = Field(default_factory=list)
    affected_orders_cut: bool = False


class ProposalList(Shown):
    """As the node's index finds them, each proved, the newest first. ``isCut``: there are more."""

    proposals: list[Proposal]
    next: str | None
    is_cut: bool


class ProposalChanged(Proposal):
    """A proposal after a step of this identity's, in the block at ``height``; null: the ledger had it already."""

    height: int | None
