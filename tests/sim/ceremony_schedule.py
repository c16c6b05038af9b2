"""One random schedule of ceremonies: some lie, some are silent, rotate, suspend or expire, in every phase.

Checked after every block: the honest alone hold the key, by the epoch in force or by the one before it; and whatever
took over has the threshold and the members that were consented to. Everything follows from the seed.

    python -m tests.sim.ceremony_schedule FIRST COUNT
"""

from __future__ import annotations

import sys
from dataclasses import replace
from random import Random

from google.protobuf.message import Message

from abci_app.authority import parties
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import EPOCHS, IDENTITIES
from dta.node.hooks.plan import Job
from tests.support.actors import Actor
from tests.support.ceremonies import consortium
from tests.support.misdealing import accusation, dealt, wrong_share_to

ROUNDS = 3
MAX_BLOCKS = 250


class Broken(AssertionError):
    """What must always hold does not. The message names seed and block."""


class Schedule:
    """Fiduciaries, of whom at most a third, and at least one, do whatever they like."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        count = self.rng.randint(3, 7)
        self.world = consortium(
            count, self._act, ceremony_window_blocks=1, ceremony_consent_blocks=8,
            max_ceremony_attempts=self.rng.choice([2, 5, 8]),
        )  # fmt: skip
        self.world.random_bytes = Random(seed).randbytes
        self.everybody = self.world.chain.founders
        self.liars = self.rng.sample(self.everybody, max(1, (count - 1) // 3))
        self.honest = [actor for actor in self.everybody if actor not in self.liars]
        self.unlucky: list[Actor] = []
        self.quiet: list[Actor] = []
        self.calm = True
        self.authority = b""
        self.took_over = 0

    # --- what is done -------------------------------------------------------------------------------------------
    def run(self) -> int:
        """A first key that all make well, then some rounds in which they do not. How many took over."""
        members = self._members()
        self.authority = self.world.make(*members, threshold=self._threshold(members))
        self._check()
        self.calm = False
        for _ in range(ROUNDS):
            self._recover()
            self._round()
        return self.took_over

    def _round(self) -> None:
        self.quiet = [actor for actor in self.everybody if self.rng.random() < 0.1]
        held = [actor for actor in self.everybody if actor.identity in self._held()]
        members = held if self.rng.random() < 0.5 else self._members()
        now = EPOCHS.get(self.world.chain.view, self.authority, self.world.authority(self.authority).epoch)
        threshold = now.threshold if members is held else self._threshold(members)
        self.world.reshare(self.authority, *members, threshold=threshold)
        for _ in range(MAX_BLOCKS):
            if not self.world.authority(self.authority).ceremony:
                return
            before = self.world.authority(self.authority).epoch
            self._people()
            self._misfortune()
            self.world.step()
            if self.world.authority(self.authority).epoch != before:
                self.took_over += 1
                self._check_terms(threshold)
            self._check()
        raise Broken(f"seed {self.seed}: the attempts do not end")

    def _members(self) -> list[Actor]:
        """Some, of whom as few lie as may."""
        while True:
            members = self.rng.sample(self.everybody, self.rng.randint(3, len(self.everybody)))
            if self._bearable([actor.identity for actor in members], 1):
                return members

    def _threshold(self, members: list[Actor]) -> int:
        return self.rng.randint(2, sum(1 for actor in members if actor in self.honest))

    def _bearable(self, candidates: list[bytes], threshold: int) -> bool:
        """Whether an honest operator consents: what it assumes of the others holds."""
        liars = sum(1 for actor in self.liars if actor.identity in candidates)
        return liars <= max(1, (len(candidates) - 1) // 3) and threshold <= len(candidates) - liars

    def _held(self) -> list[bytes]:
        return [member.fiduciary for member in self.world.members(self.authority)]

    # --- who does it --------------------------------------------------------------------------------------------
    def _people(self) -> None:
        """Operators consent, or not."""
        ceremony = self.world.ceremony(self.world.authority(self.authority).ceremony)
        if ceremony.phase != pb.CEREMONY_PHASE_CONSENT:
            return
        bearable = self._bearable(self.world.candidates(ceremony), ceremony.threshold)
        for actor in self.everybody:
            if self.rng.random() < 0.5:
                lies = actor in self.liars
                decline = self.rng.random() < (0.1 if lies else 0.02)
                if lies or bearable or decline:
                    ceremony = self.world.ceremony(self.world.authority(self.authority).ceremony or ceremony.id)
                    message = pb.ConsentCeremony(first=ceremony.first, terms=ceremony.terms, decline=decline)
                    self.world.chain.run(actor, message)
                    self._check()

    def _misfortune(self) -> None:
        """Now and then somebody rotates, suspends its identity, or finds it out of date; later it recovers."""
        for actor in [one for one in self.unlucky if self.rng.random() < 0.1]:
            self._well_again(actor)
        if self.rng.random() > 0.06:
            return
        actor = self.rng.choice(self.everybody)
        if actor in self.unlucky:
            return
        how = self.rng.choice(["rotate", "rotate", "suspend", "expire"])
        getattr(self.world, how)(actor)
        if how != "rotate":
            self.unlucky.append(actor)

    def _well_again(self, actor: Actor) -> None:
        self.world.rotate(actor)
        self.unlucky.remove(actor)

    def _recover(self) -> None:
        for actor in list(self.unlucky):
            self._well_again(actor)
        self.quiet = []
        self.world.down = []
        statuses = [IDENTITIES.get(self.world.chain.view, one.identity).status for one in self.everybody]
        assert all(status == identity_pb2.IDENTITY_STATUS_ACTIVE for status in statuses)

    def _act(self, actor: Actor, job: Job, said: Message) -> Message | None:
        """What a fiduciary sends in place of its hook's honest message."""
        if self.calm:
            return said
        if actor in self.honest:
            return None if actor in self.quiet or self.rng.random() < 0.15 else said
        chance = self.rng.random()
        if chance < 0.45:  # what it is asked for: to be there when it counts, and not afterwards
            return said
        if chance < 0.6:
            return None
        return self._lie(actor, said)

    def _lie(self, liar: Actor, said: Message) -> Message | None:
        if isinstance(said, pb.DealShares):
            members = self.world.ceremony(said.ceremony).members
            places = self.rng.sample(range(members), self.rng.randint(1, members))
            change = self.rng.choice([wrong_share_to(*places), lambda made: replace(made, shares=())])
            return dealt(self.world, liar, said.ceremony, change)
        if isinstance(said, pb.DisputeDealings):
            dealers = [one for one in parties.of(self.world.chain.view, said.ceremony) if one.dealt_height]
            chosen = self.rng.choice(dealers).fiduciary
            accused = next(actor for actor in self.everybody if actor.identity == chosen)
            made = accusation(self.world, liar, accused, said.ceremony)
            return pb.DisputeDealings(ceremony=said.ceremony, accusations=[made])
        spoilt = type(said).FromString(said.SerializeToString())
        spoilt.proof = bytes([spoilt.proof[0] ^ 1]) + spoilt.proof[1:]  # type: ignore[attr-defined]
        return spoilt

    # --- what must hold -----------------------------------------------------------------------------------------
    def _check(self) -> None:
        now = self.world.authority(self.authority).epoch
        for epoch in (now, now - 1):
            record = EPOCHS.find(self.world.chain.view, self.authority, epoch) if epoch else None
            if record is not None:
                held = self.world.holders(self.authority, epoch, *self.honest)
                if len(held) >= record.threshold:
                    return
        raise Broken(f"seed {self.seed}: the honest have lost the key at height {self.world.chain.height}")

    def _check_terms(self, threshold: int) -> None:
        """What took over: the threshold that was voted for, and members each of whom consented, or that are those of
        before."""
        epoch = EPOCHS.get(self.world.chain.view, self.authority, self.world.authority(self.authority).epoch)
        ceremony = self.world.ceremony(epoch.ceremony)
        everybody = parties.of(self.world.chain.view, ceremony.id)
        candidates = [party.fiduciary for party in everybody if party.candidate]
        in_record = [party.fiduciary for party in everybody if party.index]
        before = EPOCHS.get(self.world.chain.view, self.authority, epoch.epoch - 1)
        asked = all(party.consent_height for party in everybody if party.candidate)
        held = [party.fiduciary for party in everybody if party.old_index and party.candidate]
        same = len(held) == before.members == len(candidates) and epoch.threshold == before.threshold
        if epoch.threshold != threshold or in_record != candidates or not (asked or same):
            raise Broken(f"seed {self.seed}: what took over is not what was agreed to: {ceremony}")


def main(first: int, count: int) -> None:
    """Run so many schedules."""
    took_over = sum(Schedule(seed).run() for seed in range(first, first + count))
    print(f"{count} schedules from seed {first}: the honest kept the key, {took_over} epochs took over")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
