"""What the dealings add up to: the public key and everybody's public share (docs/spec/authority.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from abci_app.authority import parties, rules
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.dealing import combine, public_share
from abci_app.execution.context import Context
from abci_app.pb.dta.v1 import authority_pb2 as pb

DECODE_COST: Final = 75
EVALUATE_COST: Final = 8


def finalise(
    context: Context,
    authority: pb.AuthorityRecord,
    ceremony: pb.CeremonyRecord,
    everybody: Sequence[pb.CeremonyParty],
) -> pb.Failure | None:
    """Write the public key into the ceremony and each seat's public share into its party. Puts the parties.

    ``everybody``: all parties. What is returned fails the attempt: too few valid dealings or seats, or a key that is
    the identity or not the one that a reshare passes on. None: somebody's share was zero, and lost its seat by it; the
    rest is added up after the next block. Many can do that in turn, and one sum may take 0.2 s.
    """
    dealings = {
        party.position: parties.dealing_of(context.state, ceremony.id, party)
        for party in everybody
        if parties.may_deal(party) and party.dealt_height
    }
    points = {at: [G1.decode(one) for one in dealing.commitments] for at, dealing in dealings.items()}
    used, weights = combination(ceremony, everybody)
    if len(used) < rules.dealings_needed(ceremony):
        return pb.FAILURE_TOO_FEW_DEALINGS
    seats = [party for party in everybody if parties.has_seat(party)]
    if len(seats) < rules.seats_needed(ceremony):
        return pb.FAILURE_TOO_FEW_SEATS
    combined = combine([points[party.position] for party in used], weights)
    shares = [public_share(combined, party.index) for party in seats]
    zero = [party for party, share in zip(seats, shares, strict=True) if share.is_identity]
    # A dealer proves that it knows every coefficient. So only who knows what all the others dealt to a member can make
    # its share zero: the member itself, dealing last.
    for party in zero:
        parties.blame(context, party, pb.FAULT_ZERO_SHARE)
        parties.put(context.state, ceremony, party)
    if zero:
        return None
    is_first = ceremony.kind == pb.CEREMONY_KIND_KEY
    key = combined[0]
    if key.is_identity or (not is_first and key.encode() != authority.public_key_g1):
        return pb.FAILURE_DEGENERATE
    ceremony.public_key_g1 = key.encode()
    if ceremony.purpose in rules.PUBLISHES_G2:
        # Each dealer's is checked against its commitment when it deals, so their sum is the key's.
        constants = [G2.decode(dealings[party.position].constant_g2) for party in used] if is_first else []
        ceremony.public_key_g2 = G2.sum(constants).encode() if is_first else authority.public_key_g2
    for party, share in zip(seats, shares, strict=True):
        party.public_share = share.encode()
        parties.put(context.state, ceremony, party)
    ceremony.seats = len(seats)
    ceremony.needed = rules.seats_needed(ceremony)
    ceremony.finalised_height = context.height
    return pb.FAILURE_NONE


def cost(ceremony: pb.CeremonyRecord) -> int:
    """About the microseconds that :func:`finalise` takes: dealings decoded, summed, and evaluated for each seat."""
    points = ceremony.dealt * ceremony.threshold
    return 1_000 + DECODE_COST * points + EVALUATE_COST * ceremony.members * ceremony.threshold


def combination(
    ceremony: pb.CeremonyRecord, everybody: Sequence[pb.CeremonyParty]
) -> tuple[list[pb.CeremonyParty], list[int]]:
    """Whose dealings make the key, and the weight of each.

    A first key is the sum of all valid ones; a reshare interpolates those of the lowest indices, as many as it takes.
    """
    valid = [party for party in everybody if parties.may_deal(party) and party.dealt_height]
    valid.sort(key=lambda party: party.dealer_index)
    if ceremony.kind == pb.CEREMONY_KIND_KEY:
        return valid, [1] * len(valid)
    used = valid[: rules.dealings_needed(ceremony)]
    return used, scalars.lagrange_at_zero([party.dealer_index for party in used])
