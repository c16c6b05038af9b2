"""A node's share of an epoch, opened from the ledger's dealings when needed, never on disk (docs/spec/authority.md)."""

from __future__ import annotations

from abci_app.authority import checks, finalise, parties
from abci_app.crypto import dealing as statements
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1
from abci_app.crypto.dealing import BadShare
from abci_app.crypto.scalars import BadScalar
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.records import EPOCHS
from abci_app.state.view import StateView
from dta.crypto import dealing
from dta.crypto.scalar import SecretScalar
from dta.hsm import labels
from dta.hsm.keystore import Keystore
from dta.node.ceremonies import attempt
from dta.node.ceremonies.attempt import Attempt
from dta.node.hooks.errors import NotDue


class ShareUnusable(Exception):
    """This node can't open its share. ``reason`` holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def share_of(
    keystore: Keystore, view: StateView, gid: bytes, fiduciary: bytes, authority: bytes, epoch: int
) -> SecretScalar:
    """``fiduciary``'s share of that epoch of ``authority``, which came into force.

    Raises ShareUnusable: no seat in it, the receive key is gone, or what opens is not the share that the ledger
    published; KeystoreError where the keystore fails.
    """
    record = EPOCHS.find(view, authority, epoch)
    if record is None:
        raise ShareUnusable(f"epoch {epoch} never came into force")
    try:
        found = attempt.load(view, gid, record.ceremony, fiduciary)
    except NotDue:
        raise ShareUnusable(f"no seat in epoch {epoch}") from None
    return share_in(keystore, view, found)


def share_in(keystore: Keystore, view: StateView, found: Attempt) -> SecretScalar:
    """The share that an attempt gave once it was finalised, checked against its public share. Raises ShareUnusable."""
    if not found.me.public_share:
        raise ShareUnusable("no seat in this attempt")
    if not keystore.has_prf_key(labels.receive(found.gid, found.record.id)):
        raise ShareUnusable("the attempt's receive key is not in the keystore")
    key = found.receive_scalar(keystore)
    used, weights = finalise.combination(found.record, found.parties)
    dealt = [(dealer, parties.dealing_of(view, found.record.id, dealer)) for dealer in used]
    try:
        share = dealing.combine([_decrypted(key, found, dealer, message) for dealer, message in dealt], weights)
    except BadScalar:
        share = None
    # One comparison with what the ledger made of the commitments stands for a check of every dealing: they were
    # checked one by one in Dispute, and only a failure needs to know whose it is.
    if share is not None and dealing.public_key(share).encode() == found.me.public_share:
        return share
    for dealer, message in dealt:
        try:
            open_dealt(key, found, dealer, message)
        except BadShare as error:
            raise ShareUnusable(f"what {dealer.fiduciary.hex()} dealt does not open: {error.fault.value}") from None
    raise ShareUnusable("the share is not the one that the ledger published")


def _decrypted(key: SecretScalar, found: Attempt, dealer: pb.CeremonyParty, dealt: pb.Dealing) -> SecretScalar:
    """The scalar that ``dealer`` encrypted to this node, whatever it is. Raises BadScalar where it is none."""
    ephemeral = G1.decode(dealt.ephemeral)
    hidden = statements.pad(
        found.record.record_digest, checks.dealer(dealer), checks.member(found.me), dealing.public_key(key), ephemeral,
        ephemeral * key.reveal(),
    )  # fmt: skip
    return SecretScalar(scalars.decode(statements.apply_pad(dealt.shares[found.me.index - 1], hidden)))


def open_dealt(key: SecretScalar, found: Attempt, dealer: pb.CeremonyParty, dealt: pb.Dealing) -> SecretScalar:
    """What ``dealer`` dealt to this node, by the ledger's own function. Raises BadShare where it is wrong."""
    place = found.me.index - 1
    return dealing.open_share(
        found.record.record_digest, checks.dealer(dealer), checks.member(found.me), key, checks.plain(dealt), place
    )
