"""Fiduciaries with real hooks around one chain in this process: they make keys, and any of them may misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from google.protobuf.message import Message

from abci_app.authority import epochs, parties, record
from abci_app.block import Changes, TxResult
from abci_app.cid import cid_of
from abci_app.codes import Code
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1
from abci_app.params import default_params
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import governance_pb2, params_pb2, tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.records import AUTHORITIES, CEREMONIES, IDENTITIES
from abci_app.state.view import StateView
from dta.crypto.proofs import RandomBytes
from dta.crypto.scalar import SecretScalar
from dta.custodians.registry import Loaded
from dta.node.agent.jobs import perform
from dta.node.ceremonies import jobs, shares
from dta.node.ceremonies.reaper import Reaper
from dta.node.hooks.errors import CannotAnswer, NotAtHead, NotDue
from dta.node.hooks.plan import Job, plan
from dta.node.hooks.tools import Pinned, Tools
from tests.support import governance
from tests.support.actors import Actor, seeded
from tests.support.chain import Chain
from tests.support.keystore import MemoryKeystore
from tests.support.refusals import Because, because

Behaviour = Callable[[Actor, Job, Message], Message | None]
"""What a fiduciary sends in place of its hook's honest message; None: nothing."""


def honest(_actor: Actor, _job: Job, message: Message) -> Message | None:
    """Sends what the hook says."""
    return message


@dataclass
class Consortium:
    """Fiduciaries around one chain. ``behave`` makes some of them misbehave; ``down`` do nothing at all."""

    chain: Chain
    behave: Behaviour = honest
    down: list[Actor] = field(default_factory=list)
    keystores: dict[bytes, MemoryKeystore] = field(default_factory=dict)
    results: list[tuple[Actor, Message, TxResult]] = field(default_factory=list)
    at_head: bool = True
    random_bytes: RandomBytes | None = None
    """In place of the system's randomness, where blocks must be the same each time."""
    reapers: dict[bytes, Reaper] = field(default_factory=dict)
    _nonces: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        for founder in self.chain.founders:
            self.keystores[founder.identity] = MemoryKeystore(founder)

    # --- what nodes do ------------------------------------------------------------------------------------------
    @contextmanager
    def pin(self) -> Iterator[Pinned]:
        if not self.at_head:
            raise NotAtHead("cut off")
        yield Pinned(self.chain.view, self.chain.height, self.chain.time_s, self.chain.view)

    def tools(self, actor: Actor) -> Tools:
        store = self.keystores[actor.identity]
        gid, identity = self.chain.gid, actor.identity

        def share_of(view: StateView, authority: bytes, epoch: int) -> SecretScalar:
            return shares.share_of(store, view, gid, identity, authority, epoch)

        return Tools(identity, gid, Loaded({}, {}), lambda: store, self.pin, share_of)

    def jobs(self, actor: Actor) -> list[Job]:
        return plan(self.chain.view, actor.identity, self.chain.time_s, self.chain.height + 1)

    def answer(self, actor: Actor, job: Job) -> Message:
        if self.random_bytes is not None and job.kind in jobs.PERFORM:
            return jobs.PERFORM[job.kind](job, self.tools(actor), self.random_bytes)
        return perform(job, self.tools(actor), {})

    def reap(self) -> None:
        for actor in self.chain.founders:
            if actor not in self.down:
                reaper = self.reapers.setdefault(actor.identity, self.reaper(actor))
                reaper.reap(self.keystores[actor.identity])

    def reaper(self, actor: Actor) -> Reaper:
        """One whose first list takes so long that it makes no second one of a keystore."""
        return Reaper(self.chain.gid, actor.identity, self.pin, count(0.0, 1e6).__next__)

    def step(self) -> list[TxResult]:
        """One block with what every hook has to say, then the reapers."""
        said: list[tuple[Actor, Message]] = []
        for actor in self.chain.founders:
            if actor in self.down:
                continue
            for job in self.jobs(actor):
                try:
                    honest_message = self.answer(actor, job)
                except (NotDue, CannotAnswer):
                    continue  # it rotated since the record was frozen, or what it was dealt does not open
                message = self.behave(actor, job, honest_message)
                if message is not None:
                    said.append((actor, message))
        results = self.chain.block(*[self.chain.tx(one, message, key=one.node_key) for one, message in said]).tx_results
        self.results += [(one, message, result) for (one, message), result in zip(said, results, strict=True)]
        self.reap()
        return list(results)

    def run(self, authority: bytes, blocks: int = 300) -> pb.CeremonyRecord:
        """Step until no ceremony of the authority is under way, or one waits for consent: the last one's record."""
        for _ in range(blocks):
            record = self.authority(authority)
            latest = self.ceremony(record.ceremony or record.last_ceremony)
            if not record.ceremony or latest.phase == pb.CEREMONY_PHASE_CONSENT:
                return latest
            self.step()
        raise AssertionError("the ceremony does not end")

    def to_phase(self, authority: bytes, phase: pb.CeremonyPhase) -> pb.CeremonyRecord:
        """Step until the ceremony under way is in ``phase``."""
        for _ in range(100):
            ceremony = self.ceremony(self.authority(authority).ceremony)
            if ceremony.phase == phase:
                return ceremony
            self.step()
        raise AssertionError("the phase never comes")

    # --- what people do -----------------------------------------------------------------------------------------
    def decide(self, action: governance_pb2.Action) -> governance_pb2.ProposalRecord:
        """Just enough fiduciaries vote for it; the proposal as it is then."""
        needed = 2 * len(self.chain.founders) // 3 + 1
        voters = self.chain.founders[:needed]
        return governance.record(self.chain, governance.pass_(self.chain, action, next(self._nonces), voters))

    def create(
        self, *members: Actor, threshold: int = 0, purpose: pb.Purpose = pb.PURPOSE_SIGNING, refresh: int = 0
    ) -> bytes:
        """Create an authority; its first ceremony waits for consent. Its id."""
        message = pb.CreateAuthority(
            purpose=purpose, name="a key", members=ids(members or self.chain.founders), threshold=threshold,
            refresh_interval_blocks=refresh, nonce=seeded("authority", next(self._nonces)),
        )  # fmt: skip
        proposal = self.decide(governance_pb2.Action(create_authority=message))
        assert proposal.status == governance_pb2.PROPOSAL_STATUS_EXECUTED, proposal
        return record.authority_id(self.chain.gid, self.chain.founders[0].identity, message.nonce)

    def reshare(self, authority: bytes, *members: Actor, threshold: int = 0) -> governance_pb2.ProposalRecord:
        """Propose and decide a reshare: to ``members``, or a refresh of those of now."""
        named = ids(members) or sorted(member.fiduciary for member in self.members(authority))
        message = pb.ReshareAuthority(authority=authority, members=named, threshold=threshold)
        return self.decide(governance_pb2.Action(reshare_authority=message))

    def consent(self, authority: bytes, *actors: Actor, decline: bool = False) -> list[TxResult]:
        """These operators (or all that are parties and up) run ``dta authority accept``, all in one block."""
        ceremony = self.authority(authority).ceremony
        named = [party.fiduciary for party in parties.of(self.chain.view, ceremony)]
        willing = actors or [one for one in self.chain.founders if one.identity in named and one not in self.down]
        asked = self.ceremony(ceremony)
        message = pb.ConsentCeremony(first=asked.first, terms=asked.terms, decline=decline)
        return list(self.chain.block(*[self.chain.tx(one, message) for one in willing]).tx_results)

    def make(self, *members: Actor, **given: object) -> bytes:
        """Create an authority and make its key, everybody consenting. Its id."""
        authority = self.create(*members, **given)  # type: ignore[arg-type]
        self.consent(authority)
        self.run(authority)
        return authority

    # --- what happens to identities -----------------------------------------------------------------------------
    def rotate(self, actor: Actor) -> None:
        """``actor`` gets its next keys: it is active, and not the one that a frozen record names."""
        actor.previous_cid = cid_of(actor.block)
        actor.block = actor.next_document(self.chain.gid)
        message = tx_pb2.RotateIdentity(envelope=actor.block)
        result = self.chain.run(actor, message, key=actor.key(actor.generation + 1))
        assert result.code == Code.OK, result
        actor.generation += 1

    def suspend(self, actor: Actor) -> None:
        """``actor`` stops its own identity, until it rotates."""
        result = self.chain.run(actor, tx_pb2.SuspendIdentity())
        assert result.code == Code.OK, result

    def expire(self, actor: Actor) -> None:
        """``actor``'s document is out of date from the next block on."""
        record = IDENTITIES.get(self.chain.view, actor.identity)
        record.not_after_s = self.chain.time_s
        leaf = (IDENTITIES.key(actor.identity), record.SerializeToString(deterministic=True))
        self.chain.view.apply(Changes(leaves=(leaf,)))

    # --- what is there ------------------------------------------------------------------------------------------
    def authority(self, authority: bytes) -> pb.AuthorityRecord:
        return AUTHORITIES.get(self.chain.view, authority)

    def ceremony(self, ceremony: bytes) -> pb.CeremonyRecord:
        return CEREMONIES.get(self.chain.view, ceremony)

    def party(self, ceremony: pb.CeremonyRecord, actor: Actor) -> pb.CeremonyParty:
        found = parties.find(self.chain.view, ceremony.id, actor.identity)
        assert found is not None
        return found

    def candidates(self, ceremony: pb.CeremonyRecord) -> list[bytes]:
        """Who is to hold a share, by id."""
        return [party.fiduciary for party in parties.of(self.chain.view, ceremony.id) if party.candidate]

    def attempts(self, authority: bytes) -> list[pb.CeremonyRecord]:
        """All attempts of the authority, in their order."""
        records = [pb.CeremonyRecord.FromString(value) for _, value in self.chain.view.scan(CEREMONIES.prefix)]
        mine = [one for one in records if one.authority == authority]
        return sorted(mine, key=lambda one: (one.epoch, one.attempt))

    def faults(self, ceremony: pb.CeremonyRecord) -> dict[str, pb.Fault]:
        """Who is at fault, by name."""
        names = {actor.identity: actor.name for actor in self.chain.founders}
        everybody = parties.of(self.chain.view, ceremony.id)
        return {names[party.fiduciary]: party.fault for party in everybody if party.fault}

    def members(self, authority: bytes) -> list[pb.MemberRecord]:
        """Who holds a share of the epoch in force."""
        return epochs.members(self.chain.view, authority, self.authority(authority).epoch)

    def share(self, authority: bytes, actor: Actor, epoch: int | None = None) -> SecretScalar:
        number = self.authority(authority).epoch if epoch is None else epoch
        store = self.keystores[actor.identity]
        return shares.share_of(store, self.chain.view, self.chain.gid, actor.identity, authority, number)

    def holders(self, authority: bytes, epoch: int, *actors: Actor) -> list[Actor]:
        """Those of ``actors`` who can open their share of that epoch, whether or not it is still in force."""
        held = []
        for actor in actors:
            try:
                self.share(authority, actor, epoch)
            except shares.ShareUnusable:
                continue
            held.append(actor)
        return held

    def opens(self, authority: bytes, *actors: Actor) -> bool:
        """Whether the shares of these add up to the key."""
        index_of = {member.fiduciary: member.index for member in self.members(authority)}
        weights = scalars.lagrange_at_zero([index_of[one.identity] for one in actors])
        key = sum(
            self.share(authority, one).reveal() * weight for one, weight in zip(actors, weights, strict=True)
        )
        return (G1.generator() * key).encode() == self.authority(authority).public_key_g1

    def answers(self, kind: type[Message]) -> list[Because]:
        """What the messages of a kind were answered with, in order."""
        return [because(result) for _, message, result in self.results if isinstance(message, kind)]


def ids(actors: Sequence[Actor]) -> list[bytes]:
    return sorted(actor.identity for actor in actors)


def consortium(fiduciaries: int = 4, behave: Behaviour = honest, **changes: int) -> Consortium:
    """A chain with so many fiduciaries. ``changes``: parameters."""
    chosen: params_pb2.Params = default_params()
    chosen.ceremony_window_blocks = 30
    for name, value in changes.items():
        setattr(chosen, name, value)
    return Consortium(Chain(fiduciaries, chosen), behave)


def only(culprit: Actor, kind: DueKind, change: Callable[[Message], Message | None]) -> Behaviour:
    """``culprit`` changes what it says of one kind; everybody else is honest."""
    return lambda actor, job, message: change(message) if actor is culprit and job.kind is kind else message
