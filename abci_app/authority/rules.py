"""The numbers of a ceremony: thresholds, windows, confirmations (docs/spec/authority.md)."""

from __future__ import annotations

from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import params_pb2

PUBLISHES_G2 = (pb.PURPOSE_CUSTODY, pb.PURPOSE_SIGNING)
"""Purposes whose key is also published in G2. Never that of an mfa key: a stolen token's PIN would follow from it."""

MAX_WITH_TERMS = 3
"""Attempts with the same terms: those that are but silent are waited for so often, and then left out, with consent."""


def default_threshold(members: int) -> int:
    """The threshold of so many members where nobody chose another."""
    if members <= 2:
        return members
    return min(members - (members - 1) // 3, members - 1)


def valid_threshold(threshold: int, members: int) -> bool:
    """1 to ``members``, and not 1 where there are several: each of them would hold the whole key."""
    return 1 <= threshold <= members and (threshold > 1 or members == 1)


def confirmations_needed(kind: pb.CeremonyKind, members: int, threshold: int, agreed: int) -> int:
    """How many confirmations bring an epoch into force.

    A first key, ``threshold``. Shares that replace others, so many that one, and up to a third of those that were
    ``agreed`` to, may have lied: what they replace is destroyed then. Of the ``members`` of the frozen record, never
    of what is left of them: who lost a seat may have been honest (it rotated its keys, say), and then the liars are
    still among the rest. Nor does ``agreed`` shrink where members are left out.
    """
    if kind == pb.CEREMONY_KIND_KEY:
        return threshold
    return min(members, threshold + max(1, (agreed - 1) // 3))


def seats_needed(ceremony: pb.CeremonyRecord) -> int:
    """With how many seats an attempt can still come into force: with fewer it fails at once."""
    return confirmations_needed(ceremony.kind, ceremony.members, ceremony.threshold, ceremony.agreed)


def dealings_needed(ceremony: pb.CeremonyRecord) -> int:
    """How many valid dealings make the key, or pass it on."""
    return ceremony.threshold if ceremony.kind == pb.CEREMONY_KIND_KEY else ceremony.previous_threshold


def window_blocks(params: params_pb2.Params, parties: int) -> int:
    """How long a phase is open, in blocks: so long that no single proposer can censor anybody away."""
    return max(params.ceremony_window_blocks, 2 * parties + 10)
