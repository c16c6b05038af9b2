"""The phase machine: what ceremonies do at the end of a block (docs/spec/authority.md).

A phase ends when everybody has acted, or with its window. Each ceremony stands alone: whatever goes wrong with one, a
defect of ours too, fails that one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from abci_app.authority import ceremonies, epochs, finalise, parties, record, restarts, rules
from abci_app.execution import guard, upkeep
from abci_app.execution.context import Context
from abci_app.execution.transitions import complete
from abci_app.identities import documents
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state import due
from abci_app.state.due import DueKind
from abci_app.state.indexes import OPEN_CEREMONIES, REFRESH
from abci_app.state.records import AUTHORITIES, CEREMONIES, CURSORS, EPOCHS, MEMBERS

# About the microseconds of a ceremony's step: while it waits, and for each party where a phase ends.
WAITING_COST: Final = 60
END_COST: Final = 150


def advance(context: Context) -> None:
    """Take the ceremonies that are under way one block further, within the budget, from where the last block ended."""
    after = CURSORS.find(context.state, upkeep.Queue.CEREMONIES) or b""
    under_way = [ceremony for (ceremony,) in OPEN_CEREMONIES.entries(context.state)]
    waiting = sorted(under_way, key=lambda ceremony: (ceremony <= after, ceremony))
    spending, last = upkeep.Spending(context), b""
    for id_ in waiting:
        ceremony = CEREMONIES.get(context.state, id_)
        if ceremony.phase_height >= context.height:
            continue
        if not spending.affords(_cost(context, ceremony)):
            CURSORS.put(context.state, last, upkeep.Queue.CEREMONIES)
            return
        last = id_
        _guarded(context, id_)
    if after:
        CURSORS.delete(context.state, upkeep.Queue.CEREMONIES)


def _cost(context: Context, ceremony: pb.CeremonyRecord) -> int:
    """About the microseconds of its step in this block: little while it waits, and what a phase's end takes."""
    done, wanted = {
        pb.CEREMONY_PHASE_CONSENT: (ceremony.candidates_consented + ceremony.declined, ceremony.candidates),
        pb.CEREMONY_PHASE_ACCEPT: (ceremony.accepted, ceremony.candidates),
        pb.CEREMONY_PHASE_DEAL: (ceremony.dealt, ceremony.dealers),
        pb.CEREMONY_PHASE_DISPUTE: (ceremony.disputed, ceremony.members),
        pb.CEREMONY_PHASE_CONFIRM: (ceremony.confirmed, ceremony.needed),
    }[ceremony.phase]
    if done < wanted and context.height < ceremony.deadline_height:
        return WAITING_COST
    cost = END_COST * ceremony.parties
    if ceremony.phase == pb.CEREMONY_PHASE_DISPUTE:
        cost += finalise.cost(ceremony)
    elif ceremony.phase == pb.CEREMONY_PHASE_CONFIRM:
        cost += restarts.note_cost(context, ceremony.authority)
    return cost


def begin_refreshes(context: Context) -> None:
    """Begin the refreshes that are scheduled for this height, within the budget; the others wait for the next.

    What waits for people is no reason to wait: an operator that says nothing would stop every other key's refreshes.
    """
    soonest = next(REFRESH.entries(context.state, limit=1), None)
    if soonest is None or soonest[0] > context.height:
        return
    under_way = (CEREMONIES.get(context.state, ceremony) for (ceremony,) in OPEN_CEREMONIES.entries(context.state))
    running = sum(ceremony.phase != pb.CEREMONY_PHASE_CONSENT for ceremony in under_way)
    room = context.params.max_open_ceremonies - running
    if room <= 0:
        return
    spending = upkeep.Spending(context)
    for height, id_ in list(REFRESH.entries(context.state, limit=room)):
        if height > context.height:
            break
        authority = AUTHORITIES.get(context.state, id_)
        if authority.refresh_height != height:
            REFRESH.delete(context.state, height, id_)  # set aside, then overtaken by another ceremony, and put back
            continue
        members = EPOCHS.get(context.state, id_, authority.epoch).members
        if not spending.affords(END_COST * members):
            break
        entry = REFRESH.key(height, id_)
        upkeep.run_or_set_aside(context, upkeep.Aside.REFRESH, id_, entry, partial(begin_refresh, context, authority))


def begin_refresh(context: Context, authority: pb.AuthorityRecord) -> pb.CeremonyRecord:
    """Begin a refresh: the same members, the same threshold. Nobody's consent is needed."""
    epoch = EPOCHS.get(context.state, authority.id, authority.epoch)
    members = epochs.members(context.state, authority.id, authority.epoch)
    candidates = sorted(member.fiduciary for member in members)
    plan = ceremonies.Plan(pb.CEREMONY_KIND_REFRESH, candidates, members, epoch.threshold, needs_consent=False)
    return ceremonies.begin(context, authority, plan)


def _guarded(context: Context, id_: bytes) -> None:
    """One ceremony's step. An ordinary exception is the same on every node: it ends this ceremony alone, for good.

    Where breaking it off fails too, only that it has ended is written.
    """
    if guard.failure_of(context, partial(_step, context, id_)) is None:
        return
    if guard.failure_of(context, partial(ceremonies.break_off, context, CEREMONIES.get(context.state, id_))) is None:
        return
    guard.failure_of(context, partial(ceremonies.forget_due, context, CEREMONIES.get(context.state, id_)))
    ceremonies.drop(context, CEREMONIES.get(context.state, id_))


def _step(context: Context, id_: bytes) -> None:
    ceremony = CEREMONIES.get(context.state, id_)
    if ceremony.phase != pb.CEREMONY_PHASE_CONSENT:
        # In hashed state: so CometBFT makes the next block at once, and an idle chain goes through its phases.
        ceremony.blocks += 1
        ceremonies.put(context.state, ceremony)
    _STEP[ceremony.phase](context, ceremony)


def _consent(context: Context, ceremony: pb.CeremonyRecord) -> None:
    """All candidates, and as many old members as it takes, consent to exactly what will run; or it does not run."""
    all_candidates = ceremony.candidates_consented == ceremony.candidates
    enough_old = ceremony.old_consented >= ceremony.previous_threshold
    if all_candidates and enough_old:
        enough_old = _standing_consents(context, ceremony) >= ceremony.previous_threshold
    can_be = not ceremony.candidates_declined
    can_be = can_be and ceremony.old_members - ceremony.old_declined >= ceremony.previous_threshold
    is_over = context.height >= ceremony.deadline_height
    if not (all_candidates and enough_old) and can_be and not is_over:
        return
    everybody = parties.of(context.state, ceremony.id)
    for party in everybody:
        is_missing = not party.consent_height and (party.candidate or not enough_old)
        if party.declined:
            parties.blame(context, party, pb.FAULT_DECLINED)
        elif can_be and is_missing:  # the others of one that was declined had no time to answer
            parties.blame(context, party, pb.FAULT_NOT_CONSENTED)
        elif can_be and not enough_old and not _is_active(context, party):
            parties.blame(context, party, pb.FAULT_NOT_ACTIVE)
        parties.put(context.state, ceremony, party)
    if all_candidates and enough_old:
        ceremonies.open_accept(context, ceremony, everybody)
    else:
        ceremonies.fail(context, ceremony, pb.FAILURE_TOO_FEW_CONSENTED)


def _standing_consents(context: Context, ceremony: pb.CeremonyRecord) -> int:
    """How many old members consented and are active: as a vote, their word counts while it is theirs to give.

    Of the candidates, Accept asks the same.
    """
    everybody = parties.of(context.state, ceremony.id)
    consented = [party for party in everybody if party.old_index and party.consent_height]
    return sum(_is_active(context, party) for party in consented)


def _is_active(context: Context, party: pb.CeremonyParty) -> bool:
    return documents.is_active_fiduciary(context.state, party.fiduciary, context.time_s)


def _accept(context: Context, ceremony: pb.CeremonyRecord) -> None:
    if ceremony.accepted < ceremony.candidates and context.height < ceremony.deadline_height:
        return
    everybody = parties.of(context.state, ceremony.id)
    ceremonies.clear_due(context, ceremony, everybody)
    for party in everybody:
        if party.fault != pb.FAULT_NONE:
            continue
        if not _is_active(context, party):
            parties.blame(context, party, pb.FAULT_NOT_ACTIVE)
        elif party.candidate and not party.accepted_height:
            parties.blame(context, party, pb.FAULT_SILENT_ACCEPT)
        parties.put(context.state, ceremony, party)
    members = [party for party in everybody if party.accepted_height and party.fault == pb.FAULT_NONE]
    # What was consented to has all candidates: without one of them it is another ceremony.
    if len(members) < ceremony.candidates:
        ceremonies.fail(context, ceremony, pb.FAILURE_TOO_FEW_ACCEPTED)
        return
    _freeze(context, ceremony, everybody, members)


def _freeze(
    context: Context,
    ceremony: pb.CeremonyRecord,
    everybody: list[pb.CeremonyParty],
    members: list[pb.CeremonyParty],
) -> None:
    """The record stands from here on. ``everybody`` and ``members`` are by identity id, and so are the indices."""
    for index, party in enumerate(members, start=1):
        party.index = index
    is_first = ceremony.kind == pb.CEREMONY_KIND_KEY
    for party in everybody:
        if is_first:
            party.dealer_index = party.index
        elif party.fault == pb.FAULT_NONE:
            party.dealer_index = party.old_index
        if party.index or party.dealer_index:
            party.identity_version = parties.version(context.state, party)
        parties.put(context.state, ceremony, party)
    dealers = [party.fiduciary for party in everybody if party.dealer_index]
    ceremony.members = len(members)
    ceremony.dealers = len(dealers)
    if len(dealers) < rules.dealings_needed(ceremony):
        ceremonies.fail(context, ceremony, pb.FAILURE_TOO_FEW_DEALINGS)
        return
    ceremony.record_digest = record.record_digest(ceremony.known_digest, everybody)
    ceremonies.enter(context, ceremony, pb.CEREMONY_PHASE_DEAL, owing=dealers)


def _deal(context: Context, ceremony: pb.CeremonyRecord) -> None:
    if ceremony.dealt < ceremony.dealers and context.height < ceremony.deadline_height:
        return
    everybody = parties.of(context.state, ceremony.id)
    ceremonies.clear_due(context, ceremony, everybody)
    for party in everybody:
        if party.dealer_index and not party.dealt_height:
            parties.blame(context, party, pb.FAULT_SILENT_DEAL)
            parties.put(context.state, ceremony, party)
    if ceremony.dealt < rules.dealings_needed(ceremony):
        ceremonies.fail(context, ceremony, pb.FAILURE_TOO_FEW_DEALINGS)
        return
    members = [party.fiduciary for party in everybody if party.index]
    ceremonies.enter(context, ceremony, pb.CEREMONY_PHASE_DISPUTE, owing=members)


def _dispute(context: Context, ceremony: pb.CeremonyRecord) -> None:
    if ceremony.disputed < ceremony.members and context.height < ceremony.deadline_height:
        return
    everybody = parties.of(context.state, ceremony.id)
    ceremonies.clear_due(context, ceremony, everybody)
    for party in everybody:
        in_record = party.index or party.dealer_index
        if in_record and not parties.is_itself(context, party):
            parties.blame(context, party, pb.FAULT_NOT_ACTIVE)
            parties.put(context.state, ceremony, party)
    authority = AUTHORITIES.get(context.state, ceremony.authority)
    failure = finalise.finalise(context, authority, ceremony, everybody)
    if failure is None:
        return
    if failure != pb.FAILURE_NONE:
        ceremonies.fail(context, ceremony, failure)
        return
    owing = [party.fiduciary for party in everybody if party.public_share]
    ceremonies.enter(context, ceremony, pb.CEREMONY_PHASE_CONFIRM, owing=owing)


def _confirm(context: Context, ceremony: pb.CeremonyRecord) -> None:
    authority = AUTHORITIES.get(context.state, ceremony.authority)
    in_force = authority.epoch == ceremony.epoch
    if not in_force and _standing(context, ceremony) >= ceremony.needed:
        _take_over(context, authority, ceremony)
        in_force = True
    is_over = ceremony.confirmed == ceremony.seats or context.height >= ceremony.deadline_height
    if in_force and (is_over or ceremony.kind != pb.CEREMONY_KIND_KEY):
        ceremonies.finish(context, ceremony)
    elif is_over and not in_force:
        for party in parties.of(context.state, ceremony.id):
            itself = parties.is_itself(context, party)
            if party.public_share and not (itself and party.confirmed_height):
                parties.blame(context, party, pb.FAULT_SILENT_CONFIRM if itself else pb.FAULT_NOT_ACTIVE)
                parties.put(context.state, ceremony, party)
        ceremonies.fail(context, ceremony, pb.FAILURE_TOO_FEW_CONFIRMED)


def _standing(context: Context, ceremony: pb.CeremonyRecord) -> int:
    """How many confirmed and still have their seat: who rotated, or was revoked, after its word is not there for it."""
    if ceremony.confirmed < ceremony.needed:
        return ceremony.confirmed
    everybody = parties.of(context.state, ceremony.id)
    return sum(1 for party in everybody if party.confirmed_height and parties.is_itself(context, party))


def _take_over(context: Context, authority: pb.AuthorityRecord, ceremony: pb.CeremonyRecord) -> None:
    """The epoch is in force from here on, and the one before is not."""
    if authority.epoch:
        _end_epoch(context, authority)
    seats = [party for party in parties.of(context.state, ceremony.id) if party.public_share]
    for party in seats:
        member = pb.MemberRecord(
            fiduciary=party.fiduciary, index=party.index, public_share=party.public_share,
            confirmed_height=party.confirmed_height,
        )  # fmt: skip
        MEMBERS.put(context.state, member, authority.id, ceremony.epoch, party.index)
    epoch = pb.EpochRecord(
        authority=authority.id, epoch=ceremony.epoch, threshold=ceremony.threshold, members=ceremony.seats,
        record_digest=ceremony.record_digest, active_height=context.height, confirmations=ceremony.confirmed,
        ceremony=ceremony.id, agreed=ceremony.agreed,
    )  # fmt: skip
    EPOCHS.put(context.state, epoch, authority.id, ceremony.epoch)
    authority.epoch = ceremony.epoch
    authority.status = pb.AUTHORITY_STATUS_ACTIVE
    authority.public_key_g1 = ceremony.public_key_g1
    authority.public_key_g2 = ceremony.public_key_g2
    AUTHORITIES.put(context.state, authority, authority.id)
    restarts.note(context, authority.id)
    action = "active" if ceremony.kind == pb.CEREMONY_KIND_KEY else "reshared"
    context.emit("authority", authority.id, action, epoch=ceremony.epoch, ceremony=ceremony.id)


def _end_epoch(context: Context, authority: pb.AuthorityRecord) -> None:
    """Another epoch takes the place of the one in force: nobody has to confirm that one any more."""
    epoch = EPOCHS.get(context.state, authority.id, authority.epoch)
    epoch.replaced_height = context.height
    EPOCHS.put(context.state, epoch, authority.id, authority.epoch)
    for member in epochs.members(context.state, authority.id, authority.epoch):
        due.remove(context.state, member.fiduciary, DueKind.CONFIRM_SHARE, epoch.ceremony)


_STEP: Final[Mapping[int, Callable[[Context, pb.CeremonyRecord], None]]] = complete(pb.CeremonyPhase, {
    pb.CEREMONY_PHASE_CONSENT: _consent,
    pb.CEREMONY_PHASE_ACCEPT: _accept,
    pb.CEREMONY_PHASE_DEAL: _deal,
    pb.CEREMONY_PHASE_DISPUTE: _dispute,
    pb.CEREMONY_PHASE_CONFIRM: _confirm,
}, but=("CEREMONY_PHASE_UNSPECIFIED", "CEREMONY_PHASE_DONE", "CEREMONY_PHASE_FAILED"))  # fmt: skip
