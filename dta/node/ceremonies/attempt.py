"""One attempt of a ceremony as a node sees it: its record, its parties, and this node's part in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abci_app.authority import parties, record
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.records import CEREMONIES
from abci_app.state.view import StateView
from dta.crypto import dealing
from dta.crypto.scalar import SecretScalar
from dta.hsm import labels
from dta.hsm.keystore import Keystore
from dta.node.hooks.errors import CannotAnswer, NotDue, Obstacle


@dataclass(frozen=True, slots=True)
class Attempt:
    """``me``: this node's fiduciary's part in it. ``parties`` are by identity id."""

    gid: bytes
    record: pb.CeremonyRecord
    parties: Sequence[pb.CeremonyParty]
    me: pb.CeremonyParty

    @property
    def members(self) -> list[pb.CeremonyParty]:
        """The members of the frozen record, by index."""
        return [party for party in self.parties if party.index]

    def receive_scalar(self, keystore: Keystore) -> SecretScalar:
        """x_j. Raises KeyMissing where the receive key is gone, or was never made."""
        label = labels.receive(self.gid, self.record.id)
        return dealing.receive_scalar(keystore, label, self.record.known_digest)


def load(view: StateView, gid: bytes, ceremony: bytes, fiduciary: bytes) -> Attempt:
    """The attempt out of committed state. Raises NotDue where the fiduciary has no part in it.

    Raises CannotAnswer where state contradicts itself: nothing is dealt or confirmed on a record that is not its hash.
    """
    found = CEREMONIES.find(view, ceremony)
    everybody = parties.of(view, ceremony)
    me = next((party for party in everybody if party.fiduciary == fiduciary), None)
    if found is None or me is None:
        raise NotDue(f"ceremony {ceremony.hex()}")
    if found.id != record.ceremony_id(gid, found.authority, found.epoch, found.attempt):
        raise CannotAnswer(Obstacle.CEREMONY_ID)
    if found.record_digest and found.record_digest != record.record_digest(found.known_digest, everybody):
        raise CannotAnswer(Obstacle.CEREMONY_RECORD)
    return Attempt(gid, found, everybody, me)
