"""Ceremonies in a schedule: what hooks answer, wrong sometimes, and what must follow from the leaves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from google.protobuf.message import Message

from abci_app.authority import checks, parties
from abci_app.crypto.curve import G1_BYTES
from abci_app.crypto.dealing import Dealing
from abci_app.hashing import u64
from abci_app.limits import MAX_AUTHORITY_MEMBERS
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import governance_pb2
from abci_app.state.due import Due, DueKind
from abci_app.state.indexes import OPEN_CEREMONIES, REFRESH
from abci_app.state.records import AUTHORITIES, CEREMONIES, EPOCHS, MEMBERS
from abci_app.state.view import StateView
from dta.crypto import dealing
from dta.hsm import labels
from dta.node.ceremonies import attempt, shares
from dta.node.ceremonies.attempt import Attempt
from tests.support.actors import Actor, seeded
from tests.support.ceremonies import Consortium
from tests.support.chain import Chain
from tests.support.keystore import MemoryKeystore

_OPEN = (
    pb.CEREMONY_PHASE_CONSENT, pb.CEREMONY_PHASE_ACCEPT, pb.CEREMONY_PHASE_DEAL, pb.CEREMONY_PHASE_DISPUTE,
    pb.CEREMONY_PHASE_CONFIRM,
)  # fmt: skip


def begin_some(chain: Chain) -> None:
    """Authorities in every phase, by real hooks; their blocks are the chain's own. Nothing random in them counts."""
    world = Consortium(chain, random_bytes=Random(0).randbytes)
    for steps, purpose in enumerate((pb.PURPOSE_SIGNING, pb.PURPOSE_CUSTODY, pb.PURPOSE_SIGNING)):
        authority = world.create(purpose=purpose, threshold=3 if steps else 2)
        if steps:
            world.consent(authority)
            world.run(authority) if steps == 1 else world.step()
        if steps == 1:
            active = authority
    world.reshare(active, threshold=3)


def _authorities(view: StateView) -> list[pb.AuthorityRecord]:
    return list(AUTHORITIES.all(view))


class CeremonyMoves:
    """Makes the messages. All that is random comes from the schedule's seed, blinding too."""

    def __init__(self, rng: Random, gid: bytes, fiduciaries: list[Actor]) -> None:
        self.rng = rng
        self.gid = gid
        self.fiduciaries = fiduciaries
        # Curve arithmetic is slow: in most schedules the ceremonies stand still but for their windows.
        self._acting = rng.random() < 0.35
        self._stores = {actor.identity: MemoryKeystore(actor) for actor in fiduciaries}

    def propose(self, view: StateView) -> governance_pb2.Action:
        """A new key, or a reshare of one that is there."""
        named = sorted(actor.identity for actor in self.rng.sample(self.fiduciaries, self.rng.randint(1, 4)))
        threshold = self.rng.randint(0, 3)
        known = _authorities(view)
        if known and self.rng.random() < 0.7:
            id_ = self.rng.choice(known).id
            reshare = pb.ReshareAuthority(authority=id_, members=named, threshold=threshold)
            return governance_pb2.Action(reshare_authority=reshare)
        create = pb.CreateAuthority(
            purpose=self.rng.choice([pb.PURPOSE_CUSTODY, pb.PURPOSE_SIGNING, pb.PURPOSE_MFA]), name="key",
            members=named, threshold=threshold, refresh_interval_blocks=self.rng.choice([0, 20, 5]),
            nonce=seeded("sim-authority", self.rng.randrange(6)),
        )  # fmt: skip
        return governance_pb2.Action(create_authority=create)

    def consent(self, view: StateView) -> tuple[Actor, Message] | None:
        """An operator says yes, or no."""
        found = [id_ for (id_,) in OPEN_CEREMONIES.entries(view)]
        if not found:
            return None
        waiting = [id_ for id_ in found if CEREMONIES.get(view, id_).phase == pb.CEREMONY_PHASE_CONSENT]
        chosen = self.rng.choice(waiting or found)
        asked = [
            actor
            for actor in self.fiduciaries
            if (party := parties.find(view, chosen, actor.identity)) is not None
            and not (party.consent_height or party.declined)
        ]
        who = self.rng.choice(asked or self.fiduciaries)
        asked = CEREMONIES.get(view, chosen)
        terms = asked.terms if self.rng.random() < 0.95 else asked.known_digest or bytes(32)
        return who, pb.ConsentCeremony(first=asked.first, terms=terms, decline=self.rng.random() < 0.05)

    def answer(self, fiduciary: Actor, owed: Due, view: StateView) -> Message | None:
        """What the fiduciary's hook says; None where it can't say anything any more, or all are silent."""
        if not self._acting:
            return None
        try:
            found = attempt.load(view, self.gid, owed.subject, fiduciary.identity)
            return {
                DueKind.ACCEPT_CEREMONY: self._accept,
                DueKind.DEAL_SHARES: self._deal,
                DueKind.DISPUTE_DEALINGS: self._dispute,
                DueKind.CONFIRM_SHARE: self._confirm,
            }[owed.kind](self._stores[fiduciary.identity], found, view)
        except shares.ShareUnusable:
            return None

    def _accept(self, store: MemoryKeystore, found: Attempt, _: StateView) -> Message:
        store.ensure_prf_key(labels.receive(self.gid, found.record.id))
        key = found.receive_scalar(store)
        fiduciary = found.me.fiduciary
        point, proof = dealing.accept(found.record.known_digest, fiduciary, key, self.rng.randbytes)
        return pb.AcceptCeremony(ceremony=found.record.id, receive_key=point, proof=self._spoilt(proof))

    def _deal(self, store: MemoryKeystore, found: Attempt, view: StateView) -> Message:
        record, label = found.record, labels.deal(self.gid, found.record.id)
        store.ensure_prf_key(label)
        old = None
        if record.kind != pb.CEREMONY_KIND_KEY:
            self._ensure_receives(store, view, record.authority, record.previous_epoch)
            old = shares.share_of(
                store, view, self.gid, found.me.fiduciary, record.authority, record.previous_epoch
            )
        made = dealing.deal(
            record.record_digest, checks.dealer(found.me),
            [(checks.member(member), member.receive_key) for member in found.members],
            dealing.polynomial(store, label, record.record_digest, record.threshold, old),
            dealing.ephemeral_scalar(store, label, record.record_digest), checks.publishes_g2(record),
            self.rng.randbytes,
        )  # fmt: skip
        made = self._spoilt_dealing(made)
        body = pb.Dealing(
            commitments=made.commitments, ephemeral=made.ephemeral, shares=made.shares,
            constant_g2=made.constant_g2, proof=made.proof,
        )  # fmt: skip
        return pb.DealShares(ceremony=record.id, dealing=body)

    def _dispute(self, store: MemoryKeystore, found: Attempt, view: StateView) -> Message:
        """Mostly no accusation; a false one sometimes, badly proved now and then."""
        accusations = []
        if self.rng.random() < 0.15:
            dealt = [party for party in found.parties if party.dealt_height]
            accused = self.rng.choice(dealt)
            store.ensure_prf_key(labels.receive(self.gid, found.record.id))
            opened, proof = dealing.accuse(
                found.record.record_digest, checks.dealer(accused), checks.member(found.me),
                found.receive_scalar(store), checks.plain(parties.dealing_of(view, found.record.id, accused)),
                self.rng.randbytes,
            )  # fmt: skip
            accusations.append(pb.Accusation(dealer=accused.fiduciary, opened=opened, proof=self._spoilt(proof)))
        return pb.DisputeDealings(ceremony=found.record.id, accusations=accusations)

    def _confirm(self, store: MemoryKeystore, found: Attempt, view: StateView) -> Message:
        store.ensure_prf_key(labels.receive(self.gid, found.record.id))
        share = shares.share_in(store, view, found)
        member = checks.member(found.me)
        proof = dealing.confirm(found.record.record_digest, member, share, self.rng.randbytes)
        return pb.ConfirmShare(ceremony=found.record.id, proof=self._spoilt(proof))

    def _ensure_receives(self, store: MemoryKeystore, view: StateView, authority: bytes, epoch: int) -> None:
        """A keystore of this process is as the prelude's was: keys follow from their labels."""
        for record in CEREMONIES.all(view):
            if (record.authority, record.epoch) == (authority, epoch):
                store.ensure_prf_key(labels.receive(self.gid, record.id))

    def _spoilt(self, proof: bytes) -> bytes:
        return proof if self.rng.random() < 0.93 else bytes([proof[0] ^ 1]) + proof[1:]

    def _spoilt_dealing(self, made: Dealing) -> Dealing:
        kind = self.rng.random()
        if kind < 0.04:
            return replace(made, shares=made.shares[:-1])
        if kind < 0.08:
            return replace(made, commitments=(*made.commitments[:-1], bytes(48)))
        return replace(made, proof=self._spoilt(made.proof))


def greatest_dispute(rng: Random) -> pb.DisputeDealings:
    """Of no ceremony: two of them fill a small block."""
    dealers = sorted(rng.randbytes(32) for _ in range(MAX_AUTHORITY_MEMBERS))
    accusations = [
        pb.Accusation(dealer=dealer, opened=bytes(G1_BYTES), proof=bytes(checks.EQUAL_LOGS_BYTES)) for dealer in dealers
    ]
    return pb.DisputeDealings(ceremony=rng.randbytes(32), accusations=accusations)


def may_act(view: StateView, height: int) -> bool:
    """Whether a block with nothing in it changes something: a ceremony is under way, or a refresh begins."""
    if OPEN_CEREMONIES.has_any(view):
        return True
    first = next(REFRESH.entries(view, limit=1), None)
    return first is not None and first[0] <= height


def rebuild(view: StateView) -> dict[bytes, bytes]:
    """The index entries that follow from authorities, ceremonies and their parties."""
    index: dict[bytes, bytes] = {}
    for one in _authorities(view):
        if one.refresh_height:
            index[b"refresh/" + u64(one.refresh_height) + one.id] = b"\x01"
    for key, value in view.scan(b"ceremony/"):
        record, id_ = pb.CeremonyRecord.FromString(value), key[len(b"ceremony/") :]
        if record.phase in _OPEN:
            index[b"open-ceremonies/" + id_] = b"\x01"
        for party in parties.of(view, id_):
            index[b"fiduciary-ceremonies/" + party.fiduciary + id_] = b"\x01"
            kind = _owes(view, record, party)
            if kind:
                index[b"due/" + party.fiduciary + bytes([kind]) + id_] = bytes(16)
    return index


def _owes(view: StateView, record: pb.CeremonyRecord, party: pb.CeremonyParty) -> int:
    if record.phase == pb.CEREMONY_PHASE_ACCEPT:
        return 10 if party.candidate and not party.fault and not party.accepted_height else 0
    if record.phase == pb.CEREMONY_PHASE_DEAL:
        return 11 if party.dealer_index and not party.dealt_height else 0
    if record.phase == pb.CEREMONY_PHASE_DISPUTE:
        return 12 if party.index and not party.disputed_height else 0
    in_force = AUTHORITIES.get(view, record.authority).epoch == record.epoch
    if record.phase == pb.CEREMONY_PHASE_CONFIRM or (record.phase == pb.CEREMONY_PHASE_DONE and in_force):
        return 13 if party.public_share and not party.confirmed_height else 0
    return 0


def wrong_counts(view: StateView) -> list[str]:
    """Each ceremony counts what its parties did, each epoch its confirmations; each authority names its ceremony."""
    wrong = []
    for record in CEREMONIES.all(view):
        everybody = parties.of(view, record.id)
        did: Counter[str] = Counter()
        for party in everybody:
            did["declined"] += party.declined
            did["consented"] += bool(party.consent_height)
            did["candidates"] += party.candidate
            did["candidates_consented"] += party.candidate and bool(party.consent_height)
            did["candidates_declined"] += party.candidate and party.declined
            did["old_members"] += bool(party.old_index)
            did["old_consented"] += bool(party.old_index and party.consent_height)
            did["old_declined"] += bool(party.old_index and party.declined)
            did["accepted"] += bool(party.accepted_height)
            did["members"] += bool(party.index)
            did["dealers"] += bool(party.dealer_index)
            did["dealt"] += bool(party.dealt_height)
            did["disputed"] += bool(party.disputed_height)
            did["seats"] += bool(party.public_share)
            did["confirmed"] += bool(party.confirmed_height)
        for name, counted in [*did.items(), ("parties", len(everybody))]:
            if getattr(record, name) != counted:
                wrong.append(f"{name} of {record.id.hex()} says {getattr(record, name)}, there are {counted}")
        owner = AUTHORITIES.get(view, record.authority)
        if (record.phase in _OPEN) != (owner.ceremony == record.id):
            wrong.append(f"{record.id.hex()} and its authority disagree whether it is under way")
    for _, value in view.scan(EPOCHS.prefix):
        epoch = pb.EpochRecord.FromString(value)
        members = [
            pb.MemberRecord.FromString(member) for _, member in view.scan(MEMBERS.under(epoch.authority, epoch.epoch))
        ]
        confirmed = sum(1 for member in members if member.confirmed_height)
        if (epoch.members, epoch.confirmations) != (len(members), confirmed):
            wrong.append(f"epoch {epoch.epoch} of {epoch.authority.hex()} miscounts its members or confirmations")
    return wrong
