"""An authority's key is passed on to other members, or to the same ones again: a ceremony that makes its next epoch."""

from __future__ import annotations

from abci_app import limits
from abci_app.authority import ceremonies, epochs, rules
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.governance.create_authority import ceremony_cost, check_members, members_cost, validate_members
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.records import AUTHORITIES, CEREMONIES, EPOCHS


def _validate(message: pb.ReshareAuthority) -> None:
    """The message's form."""
    need_bytes(message.authority, limits.ID_BYTES, "authority")
    validate_members(message.members, message.threshold)


def _check(context: Context, message: pb.ReshareAuthority) -> None:
    """Whether it could begin now. A ceremony that waits for consent gives way to it, and a refresh to a reshare.

    A refresh that nobody consented to is never in the way of one: with a short interval, a silent member would keep
    the authority busy but for that many blocks, and leaving it out takes a proposal and its votes.
    """
    authority = AUTHORITIES.find(context.state, message.authority)
    if authority is None:
        raise Refusal(Code.UNKNOWN_AUTHORITY, message.authority.hex(), reason="reshared")
    context.require(
        authority.status == pb.AUTHORITY_STATUS_ACTIVE, Code.AUTHORITY_NOT_ACTIVE, authority.id.hex(), reason="reshared"
    )
    check_members(context, message.members)
    if not authority.ceremony:
        ceremonies.require_room(context)
        return
    under_way = CEREMONIES.get(context.state, authority.ceremony)
    asked_nobody = under_way.kind == pb.CEREMONY_KIND_REFRESH and not under_way.asks_consent
    gives_way = under_way.phase == pb.CEREMONY_PHASE_CONSENT
    gives_way = gives_way or (asked_nobody and _plan(context, authority, message).needs_consent)
    context.require(gives_way, Code.CEREMONY_UNDER_WAY, under_way.id.hex())


def _plan(context: Context, authority: pb.AuthorityRecord, message: pb.ReshareAuthority) -> ceremonies.Plan:
    """What an active authority's ceremony is to do: a refresh, or a reshare, which takes consent."""
    epoch = EPOCHS.get(context.state, authority.id, authority.epoch)
    members = epochs.members(context.state, authority.id, authority.epoch)
    threshold = message.threshold or rules.default_threshold(len(message.members))
    same = list(message.members) == sorted(member.fiduciary for member in members)
    is_refresh = same and threshold == epoch.threshold
    kind = pb.CEREMONY_KIND_REFRESH if is_refresh else pb.CEREMONY_KIND_RESHARE
    return ceremonies.Plan(kind, list(message.members), members, threshold, needs_consent=not is_refresh)


def _execute(context: Context, message: pb.ReshareAuthority) -> None:
    """Begin it. What gives way has changed nothing: until a take-over the epoch in force is what it was."""
    _check(context, message)
    authority = AUTHORITIES.get(context.state, message.authority)
    if authority.ceremony:
        under_way = CEREMONIES.get(context.state, authority.ceremony)
        ceremonies.fail(context, under_way, pb.FAILURE_SUPERSEDED)
        authority = AUTHORITIES.get(context.state, message.authority)
    ceremonies.begin(context, authority, _plan(context, authority, message))


ACTION = Action(
    field="reshare_authority",
    message=pb.ReshareAuthority,
    validate=_validate,
    check=_check,
    execute=_execute,
    cost=ceremony_cost,
    proposing_cost=members_cost,
    codes=(
        Code.FIELD_INVALID, Code.BAD_MEMBERS, Code.BAD_THRESHOLD, Code.UNKNOWN_AUTHORITY, Code.AUTHORITY_NOT_ACTIVE,
        Code.CEREMONY_UNDER_WAY, Code.TOO_MANY_CEREMONIES,
    ),
)  # fmt: skip
