"""What the dealings add up to: the public key and everybody's public share (authority.md, Finalise)."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app.authority import parties, rules
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.dealing import combine, public_share
from abci_app.messages.context import Context
from abci_app.pb.dta.v1 import authority_pb2 as pb


def finalise(
    context: Context,
    authority: pb.AuthorityRecord,
    ceremony: pb.CeremonyRecord,
    everybody: Sequence[pb.CeremonyParty],
) -> bool:
    """Write the public key into the ceremony and each seat's public share into its party. Puts the parties.

    ``everybody``: all parties, with at least as many valid dealings as it takes. False where the key or a public share
    would be the identity, or a reshare would change the public key.
    """
    seats = [party for party in everybody if parties.has_seat(party)]
    is_first = ceremony.kind == pb.CEREMONY_KIND_KEY
    used, weights = combination(ceremony, everybody)
    dealings = [parties.dealing_of(context.state, ceremony.id, party) for party in used]
    combined = combine([[G1.decode(one) for one in dealing.commitments] for dealing in dealings], weights)
    key = combined[0]
    shares = [public_share(combined, party.index) for party in seats]
    if key.is_identity or any(share.is_identity for share in shares):
        return False
    if not is_first and key.encode() != authority.public_key_g1:
        return False
    ceremony.public_key_g1 = key.encode()
    if ceremony.purpose in rules.PUBLISHES_G2:
        # Each dealer's is checked against its commitment when it deals, so their sum is the key's.
        constants = [G2.decode(dealing.constant_g2) for dealing in dealings] if is_first else []
        ceremony.public_key_g2 = G2.sum(constants).encode() if is_first else authority.public_key_g2
    for party, share in zip(seats, shares, strict=True):
        party.public_share = share.encode()
        parties.put(context.state, ceremony, party)
    ceremony.seats = len(seats)
    ceremony.needed = rules.confirmations_needed(ceremony.kind, len(seats), ceremony.threshold)
    ceremony.finalised_height = context.height
    return True


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
