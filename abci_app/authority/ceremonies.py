"""How an attempt begins, ends and is followed by the next (authority.md, The ceremony)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from abci_app.authority import epochs, faults, parties, record, rules
from abci_app.codes import Code
from abci_app.errors import Refusal, StateBroken
from abci_app.execution.context import Context
from abci_app.execution.transitions import Transitions, complete
from abci_app.identities import documents
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import FIDUCIARY_CEREMONIES, OPEN_CEREMONIES, REFRESH
from abci_app.state.overlay import Overlay
from abci_app.state.records import AUTHORITIES, CEREMONIES, EPOCHS

DUE_OF: Final = complete(pb.CeremonyPhase, {
    pb.CEREMONY_PHASE_CONSENT: None,
    pb.CEREMONY_PHASE_ACCEPT: DueKind.ACCEPT_CEREMONY,
    pb.CEREMONY_PHASE_DEAL: DueKind.DEAL_SHARES,
    pb.CEREMONY_PHASE_DISPUTE: DueKind.DISPUTE_DEALINGS,
    pb.CEREMONY_PHASE_CONFIRM: DueKind.CONFIRM_SHARE,
    pb.CEREMONY_PHASE_DONE: None,
    pb.CEREMONY_PHASE_FAILED: None,
}, but=("CEREMONY_PHASE_UNSPECIFIED",))  # fmt: skip
"""What hooks owe in each phase; None: nothing, it is people's, or over."""

PHASES: Final = Transitions(pb.CeremonyPhase, {
    pb.CEREMONY_PHASE_CONSENT: (pb.CEREMONY_PHASE_ACCEPT, pb.CEREMONY_PHASE_FAILED),
    pb.CEREMONY_PHASE_ACCEPT: (pb.CEREMONY_PHASE_DEAL, pb.CEREMONY_PHASE_FAILED),
    pb.CEREMONY_PHASE_DEAL: (pb.CEREMONY_PHASE_DISPUTE, pb.CEREMONY_PHASE_FAILED),
    pb.CEREMONY_PHASE_DISPUTE: (pb.CEREMONY_PHASE_CONFIRM, pb.CEREMONY_PHASE_FAILED),
    pb.CEREMONY_PHASE_CONFIRM: (pb.CEREMONY_PHASE_DONE, pb.CEREMONY_PHASE_FAILED),
    pb.CEREMONY_PHASE_DONE: (),
    pb.CEREMONY_PHASE_FAILED: (),
})  # fmt: skip
"""An attempt begins in one of the first two, and goes on by this table alone."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an attempt is to do. ``dealers``: the previous epoch's members who may deal; none for a first key."""

    kind: pb.CeremonyKind
    candidates: Sequence[bytes]
    dealers: Sequence[pb.MemberRecord]
    threshold: int
    needs_consent: bool
    retry: int = 0
    consents: Mapping[bytes, int] = field(default_factory=dict)
    """Heights of the consents that an earlier attempt carries over to this one."""


def get(context: Context, ceremony_id: bytes, phase: pb.CeremonyPhase) -> pb.CeremonyRecord:
    """The ceremony, in that phase and its window. Refused with UNKNOWN_CEREMONY, WRONG_PHASE."""
    ceremony = find(context, ceremony_id)
    if ceremony.phase != phase or context.height > ceremony.deadline_height:
        raise Refusal(Code.WRONG_PHASE, phase_name(ceremony.phase))
    return ceremony


def find(context: Context, ceremony_id: bytes) -> pb.CeremonyRecord:
    """The ceremony, refused with UNKNOWN_CEREMONY where there is none."""
    ceremony = CEREMONIES.find(context.state, ceremony_id)
    if ceremony is None:
        raise Refusal(Code.UNKNOWN_CEREMONY, ceremony_id.hex())
    return ceremony


def put(state: Overlay, ceremony: pb.CeremonyRecord) -> None:
    """Write the ceremony's leaf."""
    CEREMONIES.put(state, ceremony, ceremony.id)


def require_room(context: Context) -> None:
    """Refuse with TOO_MANY_CEREMONIES where as many are under way as may be."""
    most = context.params.max_open_ceremonies
    under_way = sum(1 for _ in OPEN_CEREMONIES.entries(context.state, limit=most))
    context.require(under_way < most, Code.TOO_MANY_CEREMONIES)


def begin(context: Context, authority: pb.AuthorityRecord, plan: Plan) -> pb.CeremonyRecord:
    """Begin an attempt of ``authority`` (which is put) after this block."""
    epoch = authority.epoch + 1
    authority.attempts += 1
    ceremony = pb.CeremonyRecord(
        id=record.ceremony_id(context.gid, authority.id, epoch, authority.attempts), authority=authority.id,
        purpose=authority.purpose, kind=plan.kind, epoch=epoch, attempt=authority.attempts, retry=plan.retry,
        threshold=plan.threshold, proposed=len(plan.candidates), begun_height=context.height,
    )  # fmt: skip
    if plan.kind != pb.CEREMONY_KIND_KEY:
        ceremony.previous_epoch = authority.epoch
        ceremony.previous_threshold = EPOCHS.get(context.state, authority.id, authority.epoch).threshold
    old = {member.fiduciary: member for member in plan.dealers}
    everybody = sorted(dict.fromkeys([*plan.candidates, *old]))
    for position, fiduciary in enumerate(everybody, start=1):
        party = pb.CeremonyParty(
            fiduciary=fiduciary, position=position, candidate=fiduciary in plan.candidates,
            consent_height=plan.consents.get(fiduciary, 0),
        )  # fmt: skip
        if fiduciary in old:
            party.old_index = old[fiduciary].index
            party.old_share = old[fiduciary].public_share
        parties.put(context.state, ceremony, party)
        FIDUCIARY_CEREMONIES.put(context.state, fiduciary, ceremony.id)
    ceremony.parties = len(everybody)
    authority.ceremony = ceremony.id
    unschedule(context, authority)
    AUTHORITIES.put(context.state, authority, authority.id)
    OPEN_CEREMONIES.put(context.state, ceremony.id)
    if plan.needs_consent:
        enter(context, ceremony, pb.CEREMONY_PHASE_CONSENT, context.params.ceremony_consent_blocks)
        context.emit_named(everybody, "consent-asked", ceremony=ceremony.id)
    else:
        open_accept(context, ceremony, parties.of(context.state, ceremony.id))
    return ceremony


def open_accept(context: Context, ceremony: pb.CeremonyRecord, everybody: Sequence[pb.CeremonyParty]) -> None:
    """The record's known part stands: members may accept. ``everybody``: all parties; those with a fault are out."""
    taking_part = [party for party in everybody if party.fault == pb.FAULT_NONE]
    candidates = [party.fiduciary for party in taking_part if party.candidate]
    ceremony.candidates = len(candidates)
    ceremony.known_digest = record.known_digest(context.gid, ceremony, taking_part)
    enter(context, ceremony, pb.CEREMONY_PHASE_ACCEPT, _window(context, ceremony), candidates)


def enter(
    context: Context,
    ceremony: pb.CeremonyRecord,
    phase: pb.CeremonyPhase,
    blocks: int | None = None,
    owing: Sequence[bytes] = (),
) -> None:
    """From the next block on it is in ``phase``; ``owing`` are the fiduciaries whose hooks have something to do."""
    _move(ceremony, phase)
    ceremony.phase_height = context.height
    ceremony.deadline_height = context.height + (_window(context, ceremony) if blocks is None else blocks)
    ceremony.blocks = 0
    put(context.state, ceremony)
    kind = DUE_OF[phase]
    if kind is not None:
        for fiduciary in owing:
            due.add(context.state, fiduciary, kind, ceremony.id)
    emit(context, ceremony, phase_name(phase))


def _move(ceremony: pb.CeremonyRecord, to: pb.CeremonyPhase) -> None:
    if ceremony.phase == pb.CEREMONY_PHASE_UNSPECIFIED:
        if to not in (pb.CEREMONY_PHASE_CONSENT, pb.CEREMONY_PHASE_ACCEPT):
            raise StateBroken("an attempt begins with consent or acceptance")
    else:
        PHASES.check(ceremony.phase, to)
    ceremony.phase = to


def _window(context: Context, ceremony: pb.CeremonyRecord) -> int:
    return rules.window_blocks(context.params, ceremony.parties)


def clear_due(context: Context, ceremony: pb.CeremonyRecord, everybody: Sequence[pb.CeremonyParty]) -> None:
    """Nothing is owed in the phase that ends."""
    kind = DUE_OF[ceremony.phase]
    if kind is not None:
        for party in everybody:
            due.remove(context.state, party.fiduciary, kind, ceremony.id)


def finish(context: Context, ceremony: pb.CeremonyRecord) -> None:
    """It has made its epoch. A member that has not confirmed yet still owes it."""
    OPEN_CEREMONIES.delete(context.state, ceremony.id)
    _move(ceremony, pb.CEREMONY_PHASE_DONE)
    ceremony.ended_height = context.height
    put(context.state, ceremony)
    authority = AUTHORITIES.get(context.state, ceremony.authority)
    authority.ceremony = b""
    authority.last_ceremony = ceremony.id
    authority.attempts = 0
    schedule(context, authority)
    AUTHORITIES.put(context.state, authority, authority.id)
    emit(context, ceremony, "done")


def fail(context: Context, ceremony: pb.CeremonyRecord, failure: pb.Failure) -> None:
    """The attempt is over without an epoch. The next one leaves out those at fault, if enough are left and allowed."""
    everybody = parties.of(context.state, ceremony.id)
    clear_due(context, ceremony, everybody)
    OPEN_CEREMONIES.delete(context.state, ceremony.id)
    _move(ceremony, pb.CEREMONY_PHASE_FAILED)
    ceremony.failure = failure
    ceremony.ended_height = context.height
    emit(context, ceremony, "failed", reason=pb.Failure.Name(failure).removeprefix("FAILURE_").lower())
    for party in everybody:
        if faults.is_culprit(ceremony, party):
            fault = pb.Fault.Name(party.fault).removeprefix("FAULT_").lower()
            emit(context, ceremony, "culprit", fiduciary=party.fiduciary, fault=fault)
    authority = AUTHORITIES.get(context.state, ceremony.authority)
    authority.ceremony = b""
    authority.last_ceremony = ceremony.id
    plan = _next_plan(context, authority, ceremony, everybody)
    if plan is not None:
        put(context.state, ceremony)
        following = begin(context, authority, plan)
        ceremony.next = following.id
    elif ceremony.kind == pb.CEREMONY_KIND_KEY:
        authority.status = pb.AUTHORITY_STATUS_FAILED
        AUTHORITIES.put(context.state, authority, authority.id)
        context.emit("authority", authority.id, "failed", ceremony=ceremony.id)
    else:
        schedule(context, authority)
        AUTHORITIES.put(context.state, authority, authority.id)
    put(context.state, ceremony)


def drop(context: Context, ceremony: pb.CeremonyRecord) -> None:
    """End an attempt that can't even be failed: its status, and what says that it is under way. No other follows."""
    OPEN_CEREMONIES.delete(context.state, ceremony.id)
    ceremony.phase, ceremony.failure = pb.CEREMONY_PHASE_FAILED, pb.FAILURE_BROKEN
    ceremony.ended_height = context.height
    put(context.state, ceremony)
    authority = AUTHORITIES.get(context.state, ceremony.authority)
    authority.ceremony, authority.last_ceremony = b"", ceremony.id
    AUTHORITIES.put(context.state, authority, authority.id)


def _next_plan(
    context: Context,
    authority: pb.AuthorityRecord,
    ceremony: pb.CeremonyRecord,
    everybody: Sequence[pb.CeremonyParty],
) -> Plan | None:
    """The next attempt, with the same threshold and those who are left and active; None where there is none.

    It leaves out all culprits. Where too few would be left, those who were but silent are given another chance.
    """
    if ceremony.failure in (pb.FAILURE_SUPERSEDED, pb.FAILURE_BROKEN, pb.FAILURE_TOO_FEW_CONSENTED):
        return None
    if ceremony.retry + 1 >= context.params.max_ceremony_attempts:
        return None
    active = [
        party
        for party in everybody
        if documents.is_active_fiduciary(context.state, party.fiduciary, context.time_s)
    ]
    blameless = [party for party in active if not faults.is_culprit(ceremony, party)]
    excused = [party for party in active if not faults.is_culprit(ceremony, party) or faults.was_silent(party)]
    return _plan(context, authority, ceremony, blameless) or _plan(context, authority, ceremony, excused)


def _plan(
    context: Context, authority: pb.AuthorityRecord, ceremony: pb.CeremonyRecord, left: Sequence[pb.CeremonyParty]
) -> Plan | None:
    """An attempt after ``ceremony`` of those who are ``left``, where they are enough."""
    candidates = [party.fiduciary for party in left if party.candidate]
    consents = {party.fiduciary: party.consent_height for party in left}
    dropped = len(candidates) < ceremony.proposed
    if not rules.valid_threshold(ceremony.threshold, len(candidates)):
        return None
    if ceremony.kind == pb.CEREMONY_KIND_KEY:
        kept = {} if dropped else consents
        return Plan(ceremony.kind, candidates, (), ceremony.threshold, dropped, ceremony.retry + 1, kept)
    dealing = [party.fiduciary for party in left if party.old_index]
    members = epochs.members(context.state, authority.id, authority.epoch)
    if len(dealing) < ceremony.previous_threshold:
        return None
    kind = _reshare_kind(ceremony, candidates, members)
    dealers = [member for member in members if member.fiduciary in dealing]
    # One that drops members needs consent again; a refresh never needed any.
    consent = kind == pb.CEREMONY_KIND_RESHARE and (dropped or ceremony.kind == pb.CEREMONY_KIND_REFRESH)
    kept = {} if consent else consents
    return Plan(kind, candidates, dealers, ceremony.threshold, consent, ceremony.retry + 1, kept)


def _reshare_kind(
    ceremony: pb.CeremonyRecord, candidates: Sequence[bytes], members: Sequence[pb.MemberRecord]
) -> pb.CeremonyKind:
    same = list(candidates) == sorted(member.fiduciary for member in members)
    if same and ceremony.threshold == ceremony.previous_threshold:
        return pb.CEREMONY_KIND_REFRESH
    return pb.CEREMONY_KIND_RESHARE


def schedule(context: Context, authority: pb.AuthorityRecord) -> None:
    """The next scheduled refresh, one interval from now. The caller puts the authority."""
    unschedule(context, authority)
    if authority.refresh_interval_blocks:
        authority.refresh_height = context.height + authority.refresh_interval_blocks
        REFRESH.put(context.state, authority.refresh_height, authority.id)


def unschedule(context: Context, authority: pb.AuthorityRecord) -> None:
    """No refresh is scheduled. The caller puts the authority."""
    if authority.refresh_height:
        REFRESH.delete(context.state, authority.refresh_height, authority.id)
        authority.refresh_height = 0


def phase_name(phase: pb.CeremonyPhase) -> str:
    """The phase in lower case."""
    return pb.CeremonyPhase.Name(phase).removeprefix("CEREMONY_PHASE_").lower()


def emit(context: Context, ceremony: pb.CeremonyRecord, action: str, **attributes: bytes | int | str) -> None:
    """An event about the attempt."""
    context.emit(
        "ceremony", ceremony.id, action, authority=ceremony.authority, epoch=ceremony.epoch,
        attempt=ceremony.attempt, phase=phase_name(ceremony.phase), **attributes,
    )  # fmt: skip
