"""What happens in an M-Pin realm within a schedule: most of it sensible, some of it by whom it does not concern."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from google.protobuf.message import Message

from abci_app.mfa import points
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.overlay import Overlay
from abci_app.state.records import REALMS
from abci_app.state.records import chain as chain_record
from abci_app.state.view import StateView
from tests.support.actors import Actor, seeded
from tests.support.authority import Dealt
from tests.support.realms import enrolment, realm_record, server_request

_CLIENTS = 5
_TAGS = 4  # transport keys for each client: now and then one that was used before


def install_realm(state: Overlay, dealt: Dealt, registrar: Actor) -> mfa_pb2.RealmRecord:
    """The realm of a key from the trusted dealer. ``registrar`` gets its id here, as it will be registered."""
    gid = chain_record(state).gid
    registrar.enrol(gid)
    record = realm_record(gid, dealt.id, registrar, permits_required=True)
    REALMS.put(state, record, record.id)
    return record


@cache
def _ticket(gid: bytes, realm: bytes, client: int, tag: int) -> mfa_pb2.ClientEnrolment:
    return enrolment(gid, realm, seeded("sim-client", client), tag)


class RealmMoves:
    """Makes messages about the one realm; ``people`` may be anybody, the first is its registrar."""

    def __init__(self, rng: Random, gid: bytes, people: list[Actor]) -> None:
        self.rng = rng
        self.gid = gid
        self.people = people
        self._kinds: list[tuple[int, Callable[[bytes, StateView, int], tuple[Actor, Message]]]] = [
            (3, self._server), (1, self._no_server), (6, self._enrol), (3, self._enrol_again), (3, self._secret),
            (5, self._permits), (1, self._revoke),
        ]  # fmt: skip

    def random(self, view: StateView, time_s: int) -> tuple[Actor, Message]:
        """(signer, message)."""
        make = self.rng.choices([kind for _, kind in self._kinds], [weight for weight, _ in self._kinds])[0]
        realm = next(value for _, value in view.scan(b"realm/"))
        signer, message = make(mfa_pb2.RealmRecord.FromString(realm).id, view, time_s)
        return (signer if self.rng.random() < 0.9 else self.rng.choice(self.people)), message

    def _server(self, realm: bytes, _: StateView, __: int) -> tuple[Actor, Message]:
        server = self.rng.choice(self.people).identity
        return self.people[0], mfa_pb2.RegisterServer(realm=realm, server=server)

    def _no_server(self, realm: bytes, _: StateView, __: int) -> tuple[Actor, Message]:
        server = self.rng.choice(self.people).identity
        return self.people[0], mfa_pb2.RemoveServer(realm=realm, server=server)

    def _tickets(self, realm: bytes) -> list[mfa_pb2.ClientEnrolment]:
        chosen = self.rng.sample(range(_CLIENTS), self.rng.randint(1, 2))
        return [_ticket(self.gid, realm, client, self.rng.randrange(_TAGS)) for client in chosen]

    def _enrol(self, realm: bytes, view: StateView, _: int) -> tuple[Actor, Message]:
        suite = REALMS.get(view, realm).terms.suite
        return self.people[0], mfa_pb2.EnrolClients(realm=realm, clients=self._tickets(realm), suite=suite)

    def _enrol_again(self, realm: bytes, view: StateView, _: int) -> tuple[Actor, Message]:
        suite = REALMS.get(view, realm).terms.suite
        return self.people[0], mfa_pb2.ReenrolClients(realm=realm, clients=self._tickets(realm), suite=suite)

    def _secret(self, realm: bytes, view: StateView, _: int) -> tuple[Actor, Message]:
        servers = REALMS.get(view, realm).servers
        likely = [actor for actor in self.people if actor.identity in servers]
        server = self.rng.choice(likely or self.people)
        return server, server_request(self.gid, realm, server.identity, self.rng.randrange(_TAGS))

    def _permits(self, realm: bytes, view: StateView, time_s: int) -> tuple[Actor, Message]:
        day = points.day_of(time_s) + self.rng.choice([0, 0, 0, 1, -1])
        message = mfa_pb2.IssuePermits(
            realm=realm, day=day, first=self.rng.randrange(3), count=self.rng.randint(1, 4),
            suite=REALMS.get(view, realm).terms.suite,
        )  # fmt: skip
        return self.rng.choice(self.people), message

    def _revoke(self, realm: bytes, _: StateView, __: int) -> tuple[Actor, Message]:
        client = seeded("sim-client", self.rng.randrange(_CLIENTS))
        return self.people[0], mfa_pb2.RevokeClient(realm=realm, client=client)
