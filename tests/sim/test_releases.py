"""Crowds that wait for one key: whoever asks, answers, vetoes, closes, is revoked, turns are fair."""

from __future__ import annotations

import copy
from random import Random

import pytest

from abci_app.block import BlockResult
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state.indexes import RELEASE_QUEUE
from abci_app.state.records import IDENTITIES, REQUESTS
from tests.sim.rebuild import differences, undeclared
from tests.sim.releases import Turns
from tests.support.actors import Actor
from tests.support.authority import message_of
from tests.support.custody import k_of
from tests.support.waiting import World
from tests.support.world import set_params

NAMES = tuple(f"person-{n}" for n in range(5))


class Crowd:
    """A world that random people use, followed block by block."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.world = World(*NAMES, places=2)
        set_params(self.world.chain, max_waiting_requests_per_identity=12, request_ttl_s=60)
        self.orders: list[tuple[str, bytes]] = []
        for name in NAMES:
            person = self.world.people[name].identity
            for tag, window in enumerate((0, 0, 0, 20) * 3):
                policy = k_of(1, person, veto_window_s=window)
                self.orders.append((name, self.world.place(name, tag, policy)))
        self.turns, self.asked, self.served, self.most_queued = Turns(), 0, 0, 0

    def step(self) -> None:
        """One block of whatever some do, and all that must hold after it."""
        chain, rng = self.world.chain, self.rng
        makers = [self._ask, self._ask, self._ask, self._ask, self._answer, self._answer, self._veto, self._close]
        made = [rng.choice(makers)() for _ in range(rng.randint(0, 6))]
        if rng.random() < 0.04:
            made.append(self._revoke())
        if rng.random() < 0.05:
            set_params(chain, max_open_extractions=rng.randint(1, 4))
        before, chain.view = chain.view, copy.deepcopy(chain.view)
        result: BlockResult = chain.block(*[tx for tx in made if tx], seconds=rng.choice([1, 1, 1, 5, 30]))
        assert not (wrong := self.turns.unfair(before, result)), wrong
        assert not (wrong_state := differences(chain.view) + undeclared(chain.view)), wrong_state
        self.served += len(Turns._served(result, chain.view))
        self.most_queued = max(self.most_queued, len({who for _, who, _, _ in RELEASE_QUEUE.entries(chain.view)}))

    def _ask(self) -> bytes:
        name, order = self.rng.choice(self.orders)
        self.asked += 1
        return self.world.chain.tx(self.world.people[name], self.world.asking(name, order, self.asked)[0])

    def _answer(self) -> bytes:
        """A member that has not answered yet, of a request that is released."""
        found = self.world.in_flight()
        if not found:
            return b""
        request, founder = self.rng.choice(found), self.rng.choice(self.world.chain.founders)
        message = message_of(self.world.chain.view, self.world.chain.gid, self.world.dealt, founder, request)
        return self.world.chain.tx(founder, message, key=founder.node_key)

    def _veto(self) -> bytes:
        granted = [one for one in REQUESTS.all(self.world.chain.view) if one.status == pb.REQUEST_STATUS_GRANTED]
        if not granted:
            return b""
        request = self.rng.choice(granted)
        veto = tx_pb2.VetoRequest(request=request.id, content_digest=request.content_digest)
        return self.world.chain.tx(self._person(request.beneficiary), veto)

    def _close(self) -> bytes:
        if self.rng.random() < 0.9:
            return b""
        name, order = self.rng.choice(self.orders)
        return self.world.chain.tx(self.world.people[name], tx_pb2.CloseOrder(order=order))

    def _revoke(self) -> bytes:
        actor = self.world.people[self.rng.choice(NAMES[2:])]
        next_key = actor.key(actor.generation + 1)
        return self.world.chain.tx(actor, tx_pb2.RevokeIdentity(next_key=bytes(next_key.verify_key)), key=next_key)

    def _person(self, identity: bytes) -> Actor:
        return next(actor for actor in self.world.people.values() if actor.identity == identity)


@pytest.mark.parametrize("seed", range(4))
def test_a_crowd_s_turns_are_fair_and_its_indexes_are_what_leaves_say(seed: int) -> None:
    crowd = Crowd(seed)
    for _ in range(120):
        crowd.step()
    assert crowd.served > 20, "a crowd that never queues shows nothing"
    assert crowd.most_queued >= 3
    revoked = identity_pb2.IDENTITY_STATUS_REVOKED
    assert any(one.status == revoked for one in IDENTITIES.all(crowd.world.chain.view))
    # Nobody asks any more: what waits is released, answered or overdue, and nothing is left of it.
    for _ in range(200):
        crowd.world.chain.block(seconds=30)
    assert differences(crowd.world.chain.view) == []
    assert not [one for one in REQUESTS.all(crowd.world.chain.view) if not one.settled_height]
