"""The reaper of ceremony keys: crashes, and turns with the jobs that make and use them."""

from __future__ import annotations

import pytest

from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.due import DueKind
from dta.hsm import labels
from dta.node.ceremonies.locks import KEYS
from dta.node.hooks.errors import NotDue
from dta.node.hooks.plan import Job
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium, consortium
from tests.support.keystore import MemoryKeystore


class Killed(BaseException):
    """kill -9."""


class Dying(MemoryKeystore):
    """Dies once as it destroys the second key: ``before`` it did, or ``after``."""

    when = ""

    def destroy(self, label: str) -> bool:
        second = len(self.destroyed) == 1
        if second and self.when == "before":
            self.when = ""
            raise Killed
        done = super().destroy(label)
        if second and self.when == "after":
            self.when = ""
            raise Killed
        return done


@pytest.fixture
def world() -> Consortium:
    return consortium(3)


def refreshed_without_reaping(world: Consortium, actor: Actor, store: MemoryKeystore) -> tuple[bytes, list[str]]:
    """A key and a refresh during which ``actor``'s reaper never ran: the authority, and the labels that must go."""
    world.keystores[actor.identity] = store
    reaper, world.reap = world.reap, lambda: None  # type: ignore[method-assign]
    authority = world.make()
    first = world.authority(authority).last_ceremony
    world.reshare(authority)
    world.run(authority)
    world.reap = reaper  # type: ignore[method-assign]
    second = world.authority(authority).last_ceremony
    gid = world.chain.gid
    gone = sorted([labels.deal(gid, first), labels.deal(gid, second), labels.receive(gid, first)])
    assert store.labels() == sorted([*gone, labels.receive(gid, second)])
    return authority, gone


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_half_way_the_next_run_finishes(world: Consortium, when: str) -> None:
    actor = world.chain.founders[0]
    store = Dying(actor)
    authority, gone = refreshed_without_reaping(world, actor, store)
    store.when = when
    with pytest.raises(Killed):
        world.reaper(actor).reap(store)
    world.reaper(actor).reap(store)
    assert sorted(store.destroyed) == gone
    assert world.reaper(actor).reap(store) == []
    assert world.share(authority, actor)


def test_a_key_is_made_and_used_under_the_lock_that_destroying_takes(world: Consortium) -> None:
    actor = world.chain.founders[0]
    made: list[str] = []

    class Watched(MemoryKeystore):
        def ensure_prf_key(self, label: str) -> bool:
            assert KEYS.locked(), label
            made.append(label)
            return super().ensure_prf_key(label)

        def destroy(self, label: str) -> bool:
            assert KEYS.locked(), label
            return super().destroy(label)

    world.keystores[actor.identity] = Watched(actor)
    authority = world.make()
    ceremony = world.authority(authority).last_ceremony
    assert made == [labels.receive(world.chain.gid, ceremony), labels.deal(world.chain.gid, ceremony)]
    assert not KEYS.locked()


def test_a_job_that_comes_too_late_makes_no_key(world: Consortium) -> None:
    """Planned before the dealing was committed, begun after the key was destroyed: state is read again first."""
    authority = world.create()
    world.consent(authority)
    ceremony = world.to_phase(authority, pb.CEREMONY_PHASE_DEAL)
    actor = world.chain.founders[0]
    (planned,) = world.jobs(actor)
    assert planned == Job(DueKind.DEAL_SHARES, ceremony.id)
    world.step()
    label = labels.deal(world.chain.gid, ceremony.id)
    store = world.keystores[actor.identity]
    assert label in store.destroyed
    with pytest.raises(NotDue):
        world.answer(actor, planned)
    assert store.made.count(label) == 1
