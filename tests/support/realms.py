"""A realm over a key from a trusted dealer: its registrar, its servers, its clients, and what their secrets must be."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cache

from google.protobuf.message import Message

from abci_app.authority import epochs, extractions
from abci_app.block import Changes, TxResult
from abci_app.codes import Code
from abci_app.crypto.curve import G1, G2
from abci_app.mfa import issuing, points, realms
from abci_app.pb.dta.v1 import extraction_pb2, mfa_pb2
from abci_app.state.records import EXTRACTION_ITEMS, EXTRACTIONS, PARTIALS, PERMITS, REALM_CLIENTS, REALMS
from dta.client.mfa.issued import Answer, Issued, combine_permit, open_client, open_server
from dta.crypto.extraction import Transport, make_transport
from dta.crypto.scalar import SecretScalar
from dta.mpin.protocol import Parties
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import suite_of
from tests.support import authority
from tests.support.actors import Actor, seeded
from tests.support.authority import Dealt
from tests.support.chain import Chain

RFC9380 = mfa_pb2.MFA_SUITE_RFC9380
AMCL = mfa_pb2.MFA_SUITE_AMCL


def enrolment(
    gid: bytes, realm: bytes, client: bytes, tag: object = 0, x: SecretScalar | None = None
) -> mfa_pb2.ClientEnrolment:
    """A client's part of an enrolment; ``tag`` makes the nonce and, without ``x``, the transport key."""
    nonce = seeded("mfa-nonce", realm, client, tag)
    x = x or transport(client, tag)
    ticket = issuing.ticket(gid, realm, client, nonce)
    key = make_transport(G1, gid, extraction_pb2.USE_CLIENT, ticket, realm, client, x, authority.fixed_entropy(tag))
    return mfa_pb2.ClientEnrolment(client=client, nonce=nonce, transport_key=key.point, proof=key.proof)


def transport(subject: bytes, tag: object = 0) -> SecretScalar:
    """The private half of a transport key."""
    return SecretScalar(authority.scalar("transport", subject, tag))


def server_request(gid: bytes, realm: bytes, server: bytes, tag: object = 0) -> mfa_pb2.RequestServerSecret:
    """A server's request for its secret; ``tag`` makes the nonce and the transport key."""
    nonce = seeded("server-nonce", tag)
    request = issuing.server_request(gid, realm, server, nonce)
    x, entropy = transport(server, tag), authority.fixed_entropy(tag)
    key = make_transport(G2, gid, extraction_pb2.USE_SERVER, request, realm, server, x, entropy)
    return mfa_pb2.RequestServerSecret(realm=realm, nonce=nonce, transport_key=key.point, proof=key.proof)


def realm_record(
    gid: bytes, authority_id: bytes, registrar: Actor, suite: mfa_pb2.MfaSuite = RFC9380, **terms: int
) -> mfa_pb2.RealmRecord:
    """A realm as its creation leaves it."""
    fields = {"permits_required": True, "max_attempts": 3, "lockout_s": 600, "one_pass_max_age_s": 60, **terms}
    return mfa_pb2.RealmRecord(
        id=realms.realm_id(gid, authority_id), authority=authority_id, created_height=1, created_tx=seeded("created"),
        terms=mfa_pb2.RealmTerms(name="web", registrar=registrar.identity, suite=suite, **fields),
    )  # fmt: skip


@dataclass
class World:
    """One realm on a chain of its own. ``dealt``: the key, whose secret the test knows."""

    chain: Chain
    registrar: Actor
    server: Actor
    stranger: Actor
    realm: bytes
    dealt: Dealt
    suite: mfa_pb2.MfaSuite
    asked: list[bytes] = field(default_factory=list)

    # --- what is sent
    def enrol_message(self, *clients: bytes, tag: object = 0, again: bool = False) -> Message:
        """EnrolClients or, for a further issue, ReenrolClients."""
        tickets = [enrolment(self.chain.gid, self.realm, client, tag) for client in clients]
        kind = mfa_pb2.ReenrolClients if again else mfa_pb2.EnrolClients
        return kind(realm=self.realm, clients=tickets, suite=self.suite)

    def server_message(self, tag: object = 0, server: Actor | None = None) -> mfa_pb2.RequestServerSecret:
        """A server's request for its secret."""
        return server_request(self.chain.gid, self.realm, (server or self.server).identity, tag)

    def permits_message(self, day: int, first: int = 0, count: int = 10) -> mfa_pb2.IssuePermits:
        return mfa_pb2.IssuePermits(realm=self.realm, day=day, first=first, count=count, suite=self.suite)

    # --- what is done
    def do(self, signer: Actor, message: Message) -> bytes:
        """Commit what must succeed; its data."""
        result = self.chain.run(signer, message)
        assert result.code == Code.OK, result
        return result.data

    def answer(self, request: bytes, answers: int | None = None) -> list[TxResult]:
        """So many members answer the request; as many as it takes, without."""
        needed = EXTRACTIONS.get(self.chain.view, request).threshold if answers is None else answers
        return [authority.answer(self.chain, self.dealt, founder, request) for founder in self.chain.founders[:needed]]

    def enrol(self, *clients: bytes, tag: object = 0, again: bool = False) -> bytes:
        """Enrol and have it answered. Returns the extraction's id."""
        request = self.do(self.registrar, self.enrol_message(*clients, tag=tag, again=again))
        assert all(result.code == Code.OK for result in self.answer(request))
        return request

    def open_realm(self, seed: object, suite: mfa_pb2.MfaSuite = RFC9380, **terms: int) -> World:
        """Another realm, with a key of its own, on the same chain."""
        return install(self.chain, self.registrar, self.server, self.stranger, seed, suite, **terms)

    # --- what there is
    @property
    def today(self) -> int:
        return points.day_of(self.chain.time_s)

    @property
    def record(self) -> mfa_pb2.RealmRecord:
        return REALMS.get(self.chain.view, self.realm)

    def client_record(self, client: bytes) -> mfa_pb2.MfaClientRecord:
        return REALM_CLIENTS.get(self.chain.view, self.realm, client)

    def permit_record(self, day: int, client: bytes) -> mfa_pb2.PermitRecord | None:
        return PERMITS.find(self.chain.view, self.realm, day, client)

    def status(self, request: bytes) -> extraction_pb2.ExtractionStatus:
        return EXTRACTIONS.get(self.chain.view, request).status

    def item(self, request: bytes, number: int) -> extraction_pb2.ExtractionItem:
        return EXTRACTION_ITEMS.get(self.chain.view, request, number)


def client(name: object) -> bytes:
    """Some client's hash."""
    return seeded("mfa-client", name)


def install(
    chain: Chain,
    registrar: Actor,
    server: Actor,
    stranger: Actor,
    seed: object = 0,
    suite: mfa_pb2.MfaSuite = RFC9380,
    **terms: int,
) -> World:
    """Write a realm and its key into the chain's state, as its creation and its ceremony leave them there."""
    id_ = authority.deal([founder.identity for founder in chain.founders], authority.MFA, seed=seed).id
    realm = realms.realm_id(chain.gid, id_)
    dealt = authority.install_new(chain, authority.MFA, threshold=3, seed=seed, realm=realm)
    record = realm_record(chain.gid, dealt.id, registrar, suite, **terms)
    leaf = (REALMS.key(realm), record.SerializeToString(deterministic=True))
    chain.view.apply(Changes(leaves=(leaf,)))
    return World(chain, registrar, server, stranger, realm, dealt, suite)


@cache
def _made(suite: mfa_pb2.MfaSuite) -> World:
    chain = Chain(4)
    registrar, server, stranger = Actor("registrar"), Actor("server"), Actor("stranger")
    chain.register(registrar, server, stranger)
    world = install(chain, registrar, server, stranger, suite=suite)
    world.do(registrar, mfa_pb2.RegisterServer(realm=world.realm, server=server.identity))
    return world


def fresh_world(suite: mfa_pb2.MfaSuite = RFC9380) -> World:
    """A copy of a world in which the realm has one registered server and no client."""
    return copy.deepcopy(_made(suite))


def is_blinded(use: extraction_pb2.Use) -> bool:
    """Whether answers to this use are sealed to a transport key."""
    return use in extractions.BLINDED


def issued_of(world: World, request: bytes, number: int) -> Issued:
    """What :func:`dta.client.mfa.issued.find_at` reads, straight from state."""
    view = world.chain.view
    record = EXTRACTIONS.get(view, request)
    answers = []
    for member in epochs.members(view, record.authority, record.epoch):
        partial = PARTIALS.find(view, request, number, record.epoch, member.fiduciary)
        if partial is not None:
            answers.append(Answer(member, partial))
    return Issued(record, number, EXTRACTION_ITEMS.get(view, request, number), tuple(answers), world.chain.height)


def client_key(one: bytes, tag: object = 0) -> Transport:
    """A client's transport key, as opening takes it."""
    x = transport(one, tag)
    return Transport(x, (G1.generator() * x.reveal()).encode(), b"")


def server_key(world: World, tag: object = 0) -> Transport:
    """The server's, likewise."""
    x = transport(world.server.identity, tag)
    return Transport(x, (G2.generator() * x.reveal()).encode(), b"")


def parties(world: World, one: bytes, day: int | None = None) -> Parties:
    """A login of a client at the realm's server."""
    key, realm, server = world.dealt.id, world.realm, world.server.identity
    return Parties(suite_of(world.suite), world.chain.gid, key, realm, one, server, day)


def client_secret(world: World, one: bytes, tag: object = 0) -> SecretPoint[G1]:
    """A client's secret, opened with its transport key from the answers to its last enrolment."""
    record = world.client_record(one)
    answer = issued_of(world, record.request, record.item)
    return open_client(world.chain.gid, answer, parties(world, one).a, client_key(one, tag))


def server_secret(world: World, tag: object = 0) -> SecretPoint[G2]:
    """The server's secret, asked for, answered and opened."""
    request = world.do(world.server, world.server_message(tag))
    assert all(result.code == Code.OK for result in world.answer(request))
    q = parties(world, client("any")).q
    return open_server(world.chain.gid, issued_of(world, request, 0), q, server_key(world, tag))


def permit(world: World, one: bytes, day: int) -> G1:
    """A client's permit, put together from the answers."""
    record = world.permit_record(day, one)
    assert record is not None
    answer = issued_of(world, record.request, record.item)
    return combine_permit(world.chain.gid, answer, parties(world, one).permit_point(day))
