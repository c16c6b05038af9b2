"""How authorities and ceremonies are shown to people."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app.pb.dta.v1 import authority_pb2 as pb
from dta.cli.custody import table
from dta.client.ledger.authority import AuthorityView, CeremonyView, EpochView, Terms, waits_for
from dta.client.ledger.authority_shown import authority_json, failure_name, fault_name, phase_name
from dta.client.names import NameBook


def view_lines(view: AuthorityView, names: NameBook) -> list[str]:
    """All of an authority, for people."""
    shown = authority_json(view.record)
    lines = [
        f"authority   {shown['authority']}",
        f"name        {shown['name']}",
        f"purpose     {shown['purpose']}",
        f"status      {shown['status']}",
    ]
    if view.record.public_key_g1:
        lines.append(f"key in G1   {shown['public_key_g1']}")
    if view.record.public_key_g2:
        lines.append(f"key in G2   {shown['public_key_g2']}")
    if view.record.refresh_height:
        lines.append(f"refresh     at height {view.record.refresh_height}")
    if view.epoch is not None:
        lines += ["", *_epoch_lines(view.epoch, names)]
    if view.ceremony is not None:
        lines += ["", *ceremony_lines(view.ceremony, names)]
    for one in view.earlier:
        lines += ["", f"attempt {one.record.attempt} {_stand(one.record)}", *_fault_lines(one, names)]
    return lines


def _fault_lines(ceremony: CeremonyView, names: NameBook) -> list[str]:
    return [
        f"  {names.name_of(party.fiduciary)}: {fault_name(party.fault)}" for party in ceremony.parties if party.fault
    ]


def _epoch_lines(epoch: EpochView, names: NameBook) -> list[str]:
    record = epoch.record
    rows: list[dict[str, object]] = [
        {
            "index": member.index, "holds a share": names.name_of(member.fiduciary),
            "confirmed": member.confirmed_height or "not yet",
        }
        for member in epoch.members
    ]  # fmt: skip
    return [
        f"epoch {record.epoch} is in force since height {record.active_height}: {record.threshold} of {record.members}",
        f"{record.confirmations} confirmed: {epoch.margin} of them may be lost",
        *table(rows),
    ]


def ceremony_lines(ceremony: CeremonyView, names: NameBook) -> list[str]:
    """An attempt for people: what it is to do, where it stands, who is missing, who is at fault and why."""
    record = ceremony.record
    kind = _DOES.get(record.kind, "")
    lines = [
        f"ceremony {record.id.hex()}",
        f"attempt {record.attempt} for epoch {record.epoch} {kind}: {record.threshold} of "
        f"{record.seats or record.candidates}",
        _stand(record),
    ]
    if record.phase == pb.CEREMONY_PHASE_CONSENT:
        lines += consent_lines(record)
    waiting = [names.name_of(party.fiduciary) for party in ceremony.parties if waits_for(record, party)]
    if waiting:
        lines.append(f"waits for {', '.join(waiting)}")
    rows: list[dict[str, object]] = [
        {
            "fiduciary": names.name_of(party.fiduciary), "part": _part(party),
            "consent": "declined" if party.declined else party.consent_height or "-",
            "accept": party.accepted_height or "-", "deal": party.dealt_height or "-",
            "dispute": party.disputed_height or "-", "confirm": party.confirmed_height or "-",
            "fault": fault_name(party.fault) or "-",
        }
        for party in ceremony.parties
    ]  # fmt: skip
    return [*lines, *table(rows)]


_DOES = {
    pb.CEREMONY_KIND_KEY: "makes the key",
    pb.CEREMONY_KIND_RESHARE: "passes the key on",
    pb.CEREMONY_KIND_REFRESH: "makes new shares",
}


def consent_lines(record: pb.CeremonyRecord) -> list[str]:
    """How many consents there are, and how many it takes."""
    lines = [f"consents  {record.candidates_consented} of {record.candidates} that will hold a share, all needed"]
    if record.previous_epoch:
        lines.append(
            f"          {record.old_consented} of {record.old_members} that hold one now, "
            f"{record.previous_threshold} needed"
        )
    return lines


def terms_lines(terms: Terms, names: NameBook) -> list[str]:
    """What a consent signs, for people."""
    lines = [
        "you sign, for this attempt and every other with the same terms:",
        f"  it {_DOES.get(terms.kind, '')}, first attempt {terms.first.hex()}",
        f"  {terms.threshold} of {len(terms.candidates)} use the key together",
        f"  a share for   {_named(terms.candidates, names)}",
    ]
    if terms.old_members:
        lines.append(f"  a share from  {_named(terms.old_members, names)}")
    return lines


def _named(fiduciaries: Sequence[bytes], names: NameBook) -> str:
    return ", ".join(names.name_of(one) for one in fiduciaries)


def _part(party: pb.CeremonyParty) -> str:
    if party.candidate and party.old_index:
        return "stays"
    return "new" if party.candidate else "leaves"


def _stand(record: pb.CeremonyRecord) -> str:
    if record.phase == pb.CEREMONY_PHASE_DONE:
        return f"done at height {record.ended_height}"
    if record.phase == pb.CEREMONY_PHASE_FAILED:
        after = f"; attempt {record.attempt + 1} follows" if record.next else ""
        return f"failed at height {record.ended_height}: {failure_name(record.failure)}{after}"
    return f"phase {phase_name(record.phase)}, until height {record.deadline_height} at the latest"
