"""The parties of an attempt: candidates for a seat and, in a reshare, those who hold the key now."""

from __future__ import annotations

from abci_app.authority import faults, record
from abci_app.codes import Code
from abci_app.errors import Refusal, StateBroken
from abci_app.execution.context import Context
from abci_app.identities import documents
from abci_app.limits import MAX_VALUE_BYTES
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.overlay import Overlay
from abci_app.state.records import CEREMONY_PARTIES, DEALINGS, IDENTITIES
from abci_app.state.view import StateView


def of(view: StateView, ceremony: bytes) -> list[pb.CeremonyParty]:
    """All parties, by identity id."""
    return list(CEREMONY_PARTIES.all(view, ceremony))


def get(context: Context, ceremony: pb.CeremonyRecord) -> pb.CeremonyParty:
    """The signer's part in it. Refused with NOT_IN_CEREMONY where it has none."""
    party = find(context.state, ceremony.id, context.signer)
    if party is None:
        raise Refusal(Code.NOT_IN_CEREMONY, context.signer.hex(), reason="party")
    return party


def find(view: StateView, ceremony: bytes, fiduciary: bytes) -> pb.CeremonyParty | None:
    """The fiduciary's part in it, or None."""
    for party in of(view, ceremony):
        if party.fiduciary == fiduciary:
            return party
    return None


def put(state: Overlay, ceremony: pb.CeremonyRecord, party: pb.CeremonyParty) -> None:
    """Write the party's leaf."""
    CEREMONY_PARTIES.put(state, party, ceremony.id, party.position)


def blame(context: Context, party: pb.CeremonyParty, fault: pb.Fault, other: bytes = b"") -> None:
    """Note a fault; what cost a seat stays. The caller puts the party."""
    if faults.costs_seat(party):
        return
    party.fault = fault
    party.fault_height = context.height
    party.fault_other = other


def is_itself(context: Context, party: pb.CeremonyParty) -> bool:
    """Whether the fiduciary is active, and its identity the one that stands in the frozen record."""
    if not documents.is_active_fiduciary(context.state, party.fiduciary, context.time_s):
        return False
    return version(context.state, party) == party.identity_version


def version(view: StateView, party: pb.CeremonyParty) -> int:
    """Grows with each rotation, suspension and revocation of the fiduciary's identity."""
    return IDENTITIES.get(view, party.fiduciary).history_count


def may_deal(party: pb.CeremonyParty) -> bool:
    """Whether its dealing counts, once it has dealt."""
    return bool(party.dealer_index) and not faults.costs_seat(party)


def has_seat(party: pb.CeremonyParty) -> bool:
    """Whether it is a member of the frozen record and has not lost its seat."""
    return bool(party.index) and not faults.costs_seat(party)


def put_dealing(state: Overlay, ceremony: pb.CeremonyRecord, party: pb.CeremonyParty, dealing: pb.Dealing) -> None:
    """Write the dealing's chunks, and what names it into the party's record (which the caller puts)."""
    encoded = dealing.SerializeToString(deterministic=True)
    chunks = [encoded[at : at + MAX_VALUE_BYTES] for at in range(0, len(encoded), MAX_VALUE_BYTES)]
    for number, chunk in enumerate(chunks):
        DEALINGS.put(state, chunk, ceremony.id, party.position, number)
    party.dealing_digest = record.dealing_digest(encoded)
    party.dealing_chunks = len(chunks)


def dealing_of(view: StateView, ceremony: bytes, party: pb.CeremonyParty) -> pb.Dealing:
    """What the party dealt. It must have."""
    parts = []
    for number in range(party.dealing_chunks):
        chunk = DEALINGS.find(view, ceremony, party.position, number)
        if chunk is None:
            raise StateBroken("a chunk of a dealing is missing")
        parts.append(chunk)
    encoded = b"".join(parts)
    if not parts or record.dealing_digest(encoded) != party.dealing_digest:
        raise StateBroken("a dealing is not the one that its digest names")
    return pb.Dealing.FromString(encoded)
