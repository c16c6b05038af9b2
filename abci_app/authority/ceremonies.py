"""How an attempt begins, ends and is followed by the next (docs/spec/authority.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from abci_app.authority import epochs, faults, parties, record, rules
from abci_app.codes import Code
from abci_app.errors import Refusal, StateBroken
from abci_app.execution.context import Context
from abci_app.execution.transitions import Transitions, complete
from abci_app.identities import concerns, documents
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import concern_pb2
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
    """What an attempt is to do.

    ``dealers``: the previous epoch's members who may deal; none for a first key. ``after``: the attempt that it
    retries.
    """

    kind: pb.CeremonyKind
    candidates: Sequence[bytes]
    dealers: Sequence[pb.MemberRecord]
    threshold: int
    needs_consent: bool
    after: pb.CeremonyRecord | None = None
    consents: Mapping[bytes, int] = field(default_factory=dict)
    """Heights of the consents that hold for this attempt too: those of an earlier one with the same terms."""


def get(context: Context, ceremony_id: bytes, phase: pb.CeremonyPhase) -> pb.CeremonyRecord:
    """The ceremony, in that phase and its window. Refused with UNKNOWN_CEREMONY, WRONG_PHASE."""
    ceremony = find(context, ceremony_id)
    if ceremony.phase != phase or context.height > ceremony.deadline_height:
        raise Refusal(Code.WRONG_PHASE, phase_name(ceremony.phase), reason="phase")
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
    authority.attempts += 1
    ceremony = _attempt(context, authority, plan)
    old = {member.fiduciary: member for member in plan.dealers}
    everybody = sorted(dict.fromkeys([*plan.candidates, *old]))
    for position, fiduciary in enumerate(everybody, start=1):
        party = pb.CeremonyParty(fiduciary=fiduciary, position=position, candidate=fiduciary in plan.candidates)
        if fiduciary in old:
            party.old_index = old[fiduciary].index
            party.old_share = old[fiduciary].public_share
        if fiduciary in plan.consents:
            count_consent(ceremony, party, plan.consents[fiduciary])
        parties.put(context.state, ceremony, party)
        FIDUCIARY_CEREMONIES.put(context.state, fiduciary, ceremony.id)
    ceremony.parties = len(everybody)
    ceremony.old_members = len(old)
    _keep_parameters(context, ceremony, plan.after)
    authority.ceremony = ceremony.id
    unschedule(context, authority)
    AUTHORITIES.put(context.state, authority, authority.id)
    OPEN_CEREMONIES.put(context.state, ceremony.id)
    if plan.needs_consent:
        enter(context, ceremony, pb.CEREMONY_PHASE_CONSENT, ceremony.consent_blocks)
        role = concern_pb2.CONCERN_ROLE_CEREMONY_PARTY
        concerns.note(context, concern_pb2.CONCERN_KIND_CEREMONY, ceremony.id, role, *everybody)
        context.emit_named(everybody, "consent-asked", ceremony=ceremony.id)
    else:
        open_accept(context, ceremony, parties.of(context.state, ceremony.id))
    return ceremony


def _attempt(context: Context, authority: pb.AuthorityRecord, plan: Plan) -> pb.CeremonyRecord:
    """The attempt's record as its plan alone makes it, with the terms that are consented to.

    Leaving members out makes nobody honest: so many as could lie among all of them may be among the rest. So
    ``agreed`` is that of the attempt before, or of the epoch in force where all candidates are members of it.
    """
    epoch = authority.epoch + 1
    ceremony = pb.CeremonyRecord(
        id=record.ceremony_id(context.gid, authority.id, epoch, authority.attempts), authority=authority.id,
        purpose=authority.purpose, kind=plan.kind, epoch=epoch, attempt=authority.attempts,
        threshold=plan.threshold, candidates=len(plan.candidates), agreed=len(plan.candidates),
        begun_height=context.height, with_terms=1, asks_consent=plan.needs_consent,
    )  # fmt: skip
    ceremony.first = ceremony.id
    if plan.after is not None:
        ceremony.first, ceremony.retry = plan.after.first, plan.after.retry + 1
        ceremony.agreed = plan.after.agreed
    old: list[bytes] = []
    if plan.kind != pb.CEREMONY_KIND_KEY:
        previous = EPOCHS.get(context.state, authority.id, authority.epoch)
        ceremony.previous_epoch, ceremony.previous_threshold = previous.epoch, previous.threshold
        old = sorted(one.fiduciary for one in epochs.members(context.state, authority.id, previous.epoch))
        if set(plan.candidates) <= set(old):
            ceremony.agreed = max(len(plan.candidates), previous.agreed)
    ceremony.terms = record.terms_digest(ceremony.first, plan.kind, plan.threshold, sorted(plan.candidates), old)
    if plan.after is not None and plan.after.terms == ceremony.terms:
        ceremony.with_terms = plan.after.with_terms + 1
        ceremony.asks_consent = plan.after.asks_consent
    return ceremony


def _keep_parameters(context: Context, ceremony: pb.CeremonyRecord, after: pb.CeremonyRecord | None) -> None:
    """Those in force now, for this attempt and all that retry it: a change of parameters can strand neither."""
    if after is None:
        ceremony.window_blocks = rules.window_blocks(context.params, ceremony.parties)
        ceremony.consent_blocks = context.params.ceremony_consent_blocks
        ceremony.max_attempts = context.params.max_ceremony_attempts
    else:
        ceremony.window_blocks = after.window_blocks
        ceremony.consent_blocks = after.consent_blocks
        ceremony.max_attempts = after.max_attempts


def count_consent(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty, height: int) -> None:
    """The party consented at ``height``. The caller puts both."""
    party.consent_height = height
    ceremony.consented += 1
    ceremony.candidates_consented += party.candidate
    ceremony.old_consented += bool(party.old_index)


def count_decline(ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> None:
    """The party declined. The caller puts both."""
    party.declined = True
    ceremony.declined += 1
    ceremony.candidates_declined += party.candidate
    ceremony.old_declined += bool(party.old_index)


def open_accept(context: Context, ceremony: pb.CeremonyRecord, everybody: Sequence[pb.CeremonyParty]) -> None:
    """The record's known part stands: members may accept. ``everybody``: all parties; those with a fault are out."""
    taking_part = [party for party in everybody if party.fault == pb.FAULT_NONE]
    candidates = [party.fiduciary for party in taking_part if party.candidate]
    ceremony.known_digest = record.known_digest(context.gid, ceremony, taking_part)
    enter(context, ceremony, pb.CEREMONY_PHASE_ACCEPT, owing=candidates)


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
    ceremony.deadline_height = context.height + (ceremony.window_blocks if blocks is None else blocks)
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
    """The attempt is over without an epoch; the next one begins, where there is one."""
    everybody = parties.of(context.state, ceremony.id)
    clear_due(context, ceremony, everybody)
    OPEN_CEREMONIES.delete(context.state, ceremony.id)
    _move(ceremony, pb.CEREMONY_PHASE_FAILED)
    ceremony.failure = failure
    ceremony.ended_height = context.height
    emit(context, ceremony, "failed", reason=pb.Failure.Name(failure).removeprefix("FAILURE_").lower())
    for party in everybody:
        if faults.is_named(ceremony, party):
            fault = pb.Fault.Name(party.fault).removeprefix("FAULT_").lower()
            action = "culprit" if faults.is_culprit(party) else "seat-lost"
            emit(context, ceremony, action, fiduciary=party.fiduciary, fault=fault)
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


def break_off(context: Context, ceremony: pb.CeremonyRecord) -> None:
    """Execution failed, by a defect of ours: the attempt has failed, unless its epoch is in force already.

    A first key waits for more confirmations once it is in force. Were that attempt to fail, its key would be of no use
    any more, and every node would destroy what its share opens with.
    """
    if _is_in_force(context, ceremony):
        finish(context, ceremony)
    else:
        fail(context, ceremony, pb.FAILURE_BROKEN)


def drop(context: Context, ceremony: pb.CeremonyRecord) -> None:
    """End an attempt that can't even be broken off: its status, and what says that it is under way. None follows it."""
    OPEN_CEREMONIES.delete(context.state, ceremony.id)
    authority = AUTHORITIES.get(context.state, ceremony.authority)
    if _is_in_force(context, ceremony):
        ceremony.phase = pb.CEREMONY_PHASE_DONE
        authority.attempts = 0
    else:
        ceremony.phase, ceremony.failure = pb.CEREMONY_PHASE_FAILED, pb.FAILURE_BROKEN
    if not authority.epoch:
        authority.status = pb.AUTHORITY_STATUS_FAILED
    ceremony.ended_height = context.height
    put(context.state, ceremony)
    authority.ceremony, authority.last_ceremony = b"", ceremony.id
    AUTHORITIES.put(context.state, authority, authority.id)


def forget_due(context: Context, ceremony: pb.CeremonyRecord) -> None:
    """Nothing is owed to an attempt that is about to be dropped; to an epoch in force, late confirmations are."""
    if not _is_in_force(context, ceremony):
        clear_due(context, ceremony, parties.of(context.state, ceremony.id))


def _is_in_force(context: Context, ceremony: pb.CeremonyRecord) -> bool:
    return AUTHORITIES.get(context.state, ceremony.authority).epoch == ceremony.epoch


def _next_plan(
    context: Context,
    authority: pb.AuthorityRecord,
    ceremony: pb.CeremonyRecord,
    everybody: Sequence[pb.CeremonyParty],
) -> Plan | None:
    """The next attempt, with the same threshold; None where none is begun by itself.

    It is without those at fault, but who was only silent is given another chance, so often, and who lost its seat by
    rotating is no culprit. Where nobody is left out the terms are the same, and so are the consents.
    """
    if ceremony.failure in (pb.FAILURE_SUPERSEDED, pb.FAILURE_BROKEN, pb.FAILURE_TOO_FEW_CONSENTED):
        return None
    if ceremony.retry + 1 >= ceremony.max_attempts:
        return None
    left = [
        party
        for party in everybody
        if not faults.is_left_out(ceremony, party)
        and documents.is_active_fiduciary(context.state, party.fiduciary, context.time_s)
    ]
    candidates = [party.fiduciary for party in left if party.candidate]
    dropped = len(candidates) < ceremony.candidates
    if not dropped and ceremony.with_terms >= rules.MAX_WITH_TERMS:
        return None
    # Every member would then be needed for ever: whether that is wanted, governance says, by a proposal of its own.
    if dropped and len(candidates) <= ceremony.threshold:
        return None
    consents = {} if dropped else {party.fiduciary: party.consent_height for party in left if party.consent_height}
    if ceremony.kind == pb.CEREMONY_KIND_KEY:
        return Plan(ceremony.kind, candidates, (), ceremony.threshold, dropped, ceremony, consents)
    dealing = [party.fiduciary for party in left if party.old_index]
    if len(dealing) < ceremony.previous_threshold:
        return None
    members = epochs.members(context.state, authority.id, authority.epoch)
    dealers = [member for member in members if member.fiduciary in dealing]
    kind = _reshare_kind(ceremony, candidates, members)
    return Plan(kind, candidates, dealers, ceremony.threshold, dropped, ceremony, consents)


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
