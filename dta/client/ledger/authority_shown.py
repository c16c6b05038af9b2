"""Authorities and ceremonies as JSON, every field of them: what the command line and the agent's API both show."""

from __future__ import annotations

from abci_app.pb.dta.v1 import authority_pb2 as pb
from dta.base.errors import JsonValue
from dta.client.ledger.authority import AuthorityView, CeremonyView, EpochView, Terms, waits_for


def _name(kind: str, full: str) -> str:
    return full.removeprefix(f"{kind}_").lower().replace("_", "-")


def purpose_name(purpose: pb.Purpose) -> str:
    """Such as ``signing``."""
    return _name("PURPOSE", pb.Purpose.Name(purpose))


def fault_name(fault: pb.Fault) -> str:
    """Such as ``wrong-share``; empty for none."""
    return "" if fault == pb.FAULT_NONE else _name("FAULT", pb.Fault.Name(fault))


def failure_name(failure: pb.Failure) -> str:
    """Such as ``too-few-dealings``; empty for none."""
    return "" if failure == pb.FAILURE_NONE else _name("FAILURE", pb.Failure.Name(failure))


def authority_json(record: pb.AuthorityRecord) -> dict[str, JsonValue]:
    """An authority's record."""
    return {
        "authority": record.id.hex(), "name": record.name, "purpose": purpose_name(record.purpose),
        "status": _name("AUTHORITY_STATUS", pb.AuthorityStatus.Name(record.status)),
        "public_key_g1": record.public_key_g1.hex(), "public_key_g2": record.public_key_g2.hex(),
        "epoch": record.epoch, "realm": record.realm.hex(), "created_height": record.created_height,
        "refresh_interval_blocks": record.refresh_interval_blocks, "refresh_height": record.refresh_height,
        "attempts": record.attempts, "ceremony": record.ceremony.hex(), "last_ceremony": record.last_ceremony.hex(),
    }  # fmt: skip


def epoch_json(epoch: EpochView) -> dict[str, JsonValue]:
    """The epoch in force, with its members and its margin."""
    record = epoch.record
    members: list[JsonValue] = [
        {
            "fiduciary": member.fiduciary.hex(), "index": member.index, "public_share": member.public_share.hex(),
            "confirmed_height": member.confirmed_height,
        }
        for member in epoch.members
    ]  # fmt: skip
    return {
        "epoch": record.epoch, "threshold": record.threshold, "members": members,
        "agreed": record.agreed, "confirmations": record.confirmations, "margin": epoch.margin,
        "active_height": record.active_height,
        "record_digest": record.record_digest.hex(), "ceremony": record.ceremony.hex(),
    }  # fmt: skip


def ceremony_json(ceremony: CeremonyView) -> dict[str, JsonValue]:
    """An attempt, its counts, its parties, whom it waits for and who is at fault."""
    record = ceremony.record
    parties: list[JsonValue] = [
        {
            "fiduciary": party.fiduciary.hex(), "candidate": party.candidate, "old_index": party.old_index,
            "index": party.index, "consent_height": party.consent_height, "declined": party.declined,
            "accepted_height": party.accepted_height, "dealt_height": party.dealt_height,
            "disputed_height": party.disputed_height, "confirmed_height": party.confirmed_height,
            "fault": fault_name(party.fault), "fault_height": party.fault_height,
            "fault_other": party.fault_other.hex(),
        }
        for party in ceremony.parties
    ]  # fmt: skip
    waiting: list[JsonValue] = [party.fiduciary.hex() for party in ceremony.parties if waits_for(record, party)]
    faults: list[JsonValue] = [
        {"fiduciary": party.fiduciary.hex(), "reason": fault_name(party.fault)}
        for party in ceremony.parties
        if party.fault
    ]
    return {
        "ceremony": record.id.hex(), "authority": record.authority.hex(),
        "kind": _name("CEREMONY_KIND", pb.CeremonyKind.Name(record.kind)), "epoch": record.epoch,
        "attempt": record.attempt, "retry": record.retry, "max_attempts": record.max_attempts,
        "candidates": record.candidates, "phase": phase_name(record.phase), "threshold": record.threshold,
        "phase_height": record.phase_height, "deadline_height": record.deadline_height,
        "consented": record.consented, "accepted": record.accepted, "members": record.members,
        "dealers": record.dealers, "dealt": record.dealt, "disputed": record.disputed, "seats": record.seats,
        "confirmed": record.confirmed, "needed": record.needed, "record_digest": record.record_digest.hex(),
        "failure": failure_name(record.failure), "next": record.next.hex(), "waits_for": waiting,
        "faults": faults, "first": record.first.hex(), "terms": record.terms.hex(),
        "with_terms": record.with_terms, "asks_consent": record.asks_consent, "agreed": record.agreed,
        "parties": parties,
    }  # fmt: skip


def phase_name(phase: pb.CeremonyPhase) -> str:
    """The phase in lower case."""
    return _name("CEREMONY_PHASE", pb.CeremonyPhase.Name(phase))


def view_json(view: AuthorityView) -> dict[str, JsonValue]:
    """All of an authority."""
    shown = authority_json(view.record)
    shown["in_force"] = None if view.epoch is None else epoch_json(view.epoch)
    shown["last"] = None if view.ceremony is None else ceremony_json(view.ceremony)
    shown["earlier"] = [ceremony_json(one) for one in view.earlier]
    shown["proved_at_height"] = view.height
    return shown


def terms_json(terms: Terms) -> dict[str, JsonValue]:
    """What a consent signs."""
    return {
        "first": terms.first.hex(), "kind": _name("CEREMONY_KIND", pb.CeremonyKind.Name(terms.kind)),
        "threshold": terms.threshold, "candidates": [one.hex() for one in terms.candidates],
        "old_members": [one.hex() for one in terms.old_members], "digest": terms.digest.hex(),
    }  # fmt: skip
