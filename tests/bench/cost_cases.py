"""Messages of every type in a state that takes them, where they cost least and where they cost most.

What a case's work depends on: how many fiduciaries, items or open requests there are; the suite, and how long its hash
to the curve has to try. ``CASES`` makes them one world at a time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.message import Message
from nacl.signing import SigningKey

from abci_app import limits
from abci_app.authority import checks, parties
from abci_app.crypto import hpke
from abci_app.messages.registry import SPECS
from abci_app.mfa import amcl, points
from abci_app.params import default_params
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2, governance_pb2, mfa_pb2, tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.overlay import Overlay
from abci_app.state.records import REQUESTS
from dta.crypto import dealing
from dta.node.ceremonies import attempt
from tests.support import authority, governance, realms
from tests.support.actors import Actor, seeded
from tests.support.ceremonies import Consortium
from tests.support.chain import Chain
from tests.support.custody import SEALED, Custody, k_of, request_key, single
from tests.support.world import nonce, set_params
from tests.unit.test_rotate_validator_key import new_key, rotation

MANY = 64
LEAST, MOST = "least", "most"


@dataclass(frozen=True, slots=True)
class Case:
    """``content``, signed by ``signer`` (with ``key``, where it is not the transaction key), is taken in this state."""

    name: str
    chain: Chain
    signer: Actor
    content: Message
    key: SigningKey | None = None

    @property
    def message(self) -> str:
        """The name of its type in TxBody."""
        return next(name for name, spec in SPECS.items() if spec.message is type(self.content))


def _result(name: str, chain: Chain, fiduciary: Actor, content: Message) -> Case:
    return Case(name, chain, fiduciary, content, fiduciary.node_key)


def identities() -> Iterator[Case]:
    """A chain of four, and one of as many as there may be."""
    for name, size in ((LEAST, 4), (MOST, MANY)):
        chain = Chain(size)
        founder, person = chain.founders[0], Actor("person")
        long = Actor("x" * limits.MAX_NAME_CHARS, gateway="https://" + "g" * (limits.MAX_URL_CHARS - 8))
        newcomer = long if name == MOST else Actor("a")
        yield Case(name, chain, founder, tx_pb2.RegisterIdentity(envelope=newcomer.enrol(chain.gid)))
        chain.register(person)
        block = person.next_document(chain.gid)
        yield Case(name, chain, person, tx_pb2.RotateIdentity(envelope=block), person.key(1))
        yield Case(name, chain, person, tx_pb2.SuspendIdentity())
        revocation = tx_pb2.RevokeIdentity(next_key=bytes(person.key(1).verify_key))
        yield Case(name, chain, person, revocation, person.key(1))
        yield Case(name, chain, founder, rotation(chain, founder, new_key(1)))


def proposals() -> Iterator[Case]:
    """The smallest action and the largest; a vote that is the first, and the one that passes it."""
    for name, size in ((LEAST, 4), (MOST, MANY)):
        chain = Chain(size)
        first, last = chain.founders[0], chain.founders[-1]
        yield Case(f"{name}, remove_fiduciary", chain, first, governance.proposing(governance.remove(last)))
        members = sorted(founder.identity for founder in chain.founders)
        key = authority_pb2.CreateAuthority(
            purpose=authority_pb2.PURPOSE_SIGNING, name="key", members=members, nonce=nonce("key")
        )
        for action in (
            governance.change_params(chain, max_upkeep_cost=7), governance_pb2.Action(create_authority=key)
        ):
            yield Case(f"{name}, {action.WhichOneof('kind')}", chain, first, governance.proposing(action))
        voted = governance.propose(chain, first, governance.change_params(chain, max_upkeep_cost=8))
        yield Case(name, chain, first, governance_pb2.WithdrawProposal(proposal=voted))
        voters = chain.founders[1 : 2 * size // 3] if name == MOST else []
        for voter in voters:
            governance.vote(chain, voter, voted)
        digest = governance.record(chain, voted).content_digest
        yield Case(name, chain, chain.founders[-1], governance_pb2.Vote(proposal=voted, content_digest=digest))


def _custody(size: int) -> Custody:
    from tests.support.custody import make_custody

    return make_custody(size)


def vaults() -> Iterator[Case]:
    """With one fiduciary, and with as many as a vault may name."""
    for name, size in ((LEAST, 1), (MOST, limits.MAX_VAULT_FIDUCIARIES)):
        custody = _custody(size)
        chain, principal = custody.chain, custody.principal
        named = [founder.identity for founder in chain.founders]
        opening = tx_pb2.OpenVault(nonce=nonce("o"), custodian="hsm-realm", fiduciaries=named)
        yield Case(name, chain, principal, opening)
        other = chain.run(principal, opening).data
        seed = seeded("vault-key", "bench")
        key = hpke.public_key_of(seed + seed, seed)
        yield _result(name, chain, chain.founders[0], tx_pb2.PublishVaultKey(vault=other, key=key))
        yield Case(name, chain, principal, tx_pb2.CloseVault(vault=custody.vault))
        chain.run(principal, tx_pb2.CloseVault(vault=custody.vault))
        yield Case(name, chain, principal, tx_pb2.CancelCloseVault(vault=custody.vault))
        for _ in range(12):
            chain.block(seconds=10_000)
        yield _result(name, chain, chain.founders[0], tx_pb2.ConfirmVaultErased(vault=custody.vault))


def orders() -> Iterator[Case]:
    """With one fiduciary and one request, and with as many as an order may have of both."""
    for name, size in ((LEAST, 1), (MOST, limits.MAX_ORDER_FIDUCIARIES)):
        custody = _custody(size)
        chain, principal, beneficiary = custody.chain, custody.principal, custody.beneficiary
        set_params(chain, max_open_requests_per_order=16)
        policy = single(beneficiary.identity)
        if name == MOST:
            everybody = [founder.identity for founder in chain.founders[:14]]
            policy = k_of(14, beneficiary.identity, *everybody[:13], veto_window_s=9)
        yield Case(name, chain, principal, custody.order_message(nonce("p"), policy=policy))
        placed = custody.place(nonce("q"), fulfil=False, policy=policy)
        yield _result(name, chain, chain.founders[0], tx_pb2.FulfilOrder(order=placed))
        yield _result(name, chain, chain.founders[0], tx_pb2.RejectOrder(order=placed, rejection=1))
        order = custody.place(policy=policy)
        yield Case(name, chain, beneficiary, custody.request_message(order))
        if name == MOST:
            for number in range(15):
                custody.place(nonce(("open", number)))
            removal = governance.proposing(governance.remove(chain.founders[-1]))
            yield Case("its orders looked at, remove_fiduciary", chain, chain.founders[0], removal)
        yield from _requests(name, custody, order)


def _requests(name: str, custody: Custody, order: bytes) -> Iterator[Case]:
    chain, beneficiary = custody.chain, custody.beneficiary
    made = 0
    while name == MOST and not chain.run(beneficiary, custody.request_message(order, nonce(made))).code:
        made += 1  # as many as one key may make
    open_order = custody.place(nonce("r"), policy=k_of(1, custody.principal.identity, veto_window_s=9))
    pending = custody.request(open_order)
    digest = REQUESTS.get(chain.view, pending).content_digest
    yield Case(name, chain, custody.principal, tx_pb2.ApproveRequest(request=pending, content_digest=digest))
    yield Case(name, chain, custody.principal, tx_pb2.VetoRequest(request=pending, content_digest=digest))
    yield Case(name, chain, custody.principal, tx_pb2.CloseOrder(order=order if made else open_order))
    released = custody.request(custody.place(nonce("s")))
    founder = chain.founders[0]
    answer = tx_pb2.FulfilSecret(request=released, sealed=SEALED)
    yield _result(name, chain, founder, answer)
    assert chain.result(founder, answer).code == 0
    seed, private = request_key(chain, founder, bytes(32))
    report = tx_pb2.ReportShare(
        request=released, fiduciary=founder.identity, mlkem768_seed=seed, x25519_private=private
    )
    yield Case(name, chain, beneficiary, report)


def under_keys() -> Iterator[Case]:
    """Orders, requests and answers under an authority key."""
    from tests.support.messages import _order_under, _request_under, _signing

    for name, size in ((LEAST, 1), (MOST, MANY)):
        custody = _custody(min(size, limits.MAX_VAULT_FIDUCIARIES)) if size == 1 else _custody_of(size)
        chain, alice = custody.chain, custody.principal
        safe = authority.install_new(chain, authority.CUSTODY)
        seal = authority.install_new(chain, authority.SIGNING)
        policy = extraction_pb2.SigningPolicy(authority=seal.id, policy=single(alice.identity))
        leaf = (authority_policy_key(seal.id), policy.SerializeToString())
        chain.view.apply(authority.Changes(leaves=(leaf,)))
        yield Case(f"{name}, mpc-bls", chain, alice, _order_under(custody, safe.id, "bench"))
        order = chain.run(alice, _order_under(custody, safe.id, "bench")).data
        asking = _request_under(custody, order, "bench")
        yield Case(f"{name}, mpc-bls", chain, custody.beneficiary, asking)
        request = chain.run(custody.beneficiary, asking).data
        chain.block()
        member = chain.founders[0]
        partial = authority.message_of(chain.view, chain.gid, safe, member, request)
        yield _result(f"{name}, mpc-bls", chain, member, partial)
        yield Case(name, chain, alice, _signing(seal.id, "bench signing"))
        by_default = authority.install_new(chain, authority.SIGNING, seed="by default")
        asking_all = _signing(by_default.id, "bench signing")
        asking_all.names = 1 + size
        yield Case(f"{name}, its {size} members asked", chain, alice, asking_all)


def _custody_of(size: int) -> Custody:
    """A chain of so many, of which a vault names as many as it may."""
    chain = Chain(size)
    principal, beneficiary = Actor("alice"), Actor("bob")
    chain.register(principal, beneficiary)
    return Custody(chain, principal, beneficiary, b"")


def authority_policy_key(authority_id: bytes) -> bytes:
    from abci_app.state.records import SIGNING_POLICIES

    return SIGNING_POLICIES.key(authority_id)


def answers() -> Iterator[Case]:
    """One item and as many as there may be; in G1 and, which is one always, in G2."""
    for size, items in ((4, 1), (MANY, limits.MAX_EXTRACTION_ITEMS)):
        chain = Chain(size)
        dealt = authority.install_new(chain, authority.MFA)
        for use in (extraction_pb2.USE_CLIENT, extraction_pb2.USE_SERVER, extraction_pb2.USE_PERMIT):
            state = Overlay(chain.view)
            context = authority.context_over(state, chain.gid, chain.height, chain.time_s)
            count = 1 if use == extraction_pb2.USE_SERVER else items
            request, _ = authority.open_mfa(context, dealt, use, items=count, deadline_time_s=chain.time_s + 900)
            chain.view.apply(state.changes())
            chain.block()
            member = chain.founders[0]
            content = authority.message_of(chain.view, chain.gid, dealt, member, request)
            yield _result(f"{count} of {extraction_pb2.Use.Name(use)}, {size}", chain, member, content)


def _realm(size: int, suite: mfa_pb2.MfaSuite) -> realms.World:
    chain = Chain(size)
    registrar, server, stranger = Actor("registrar"), Actor("server"), Actor("stranger")
    chain.register(registrar, server, stranger)
    set_params(chain, permit_ahead_s=172_800)
    return realms.install(chain, registrar, server, stranger, suite=suite)


def _tries(world: realms.World, client: bytes) -> int:
    """How many x are tried before one is on the curve."""
    identity = points.client_identity(world.suite, world.chain.gid, world.dealt.id, world.realm, client)
    start = int.from_bytes(sha256(identity).digest(), "big") % amcl.FIELD
    return (amcl.curve_point(sha256(identity).digest())[0] - start) % amcl.FIELD + 1


def _clients(world: realms.World, count: int, ground: bool) -> list[bytes]:
    """Client hashes; ``ground``: those that take longest of many."""
    made = [realms.client(number) for number in range(count * (60 if ground else 1))]
    return sorted(made, key=lambda one: -_tries(world, one))[:count] if ground else made


def realm_cases() -> Iterator[Case]:
    """Both suites; of the AMCL suite, clients whose hash takes longest too."""
    for suite, ground in ((realms.RFC9380, False), (realms.AMCL, False), (realms.AMCL, True)):
        label = f"{points.SUITES[suite].rpartition('-')[2]}{', ground' if ground else ''}"
        for size, count in ((4, 1), (MANY, limits.MAX_EXTRACTION_ITEMS)):
            world = _realm(size, suite)
            clients = _clients(world, count, ground)
            name = f"{count} of {label}, {size}"
            yield from _in_realm(name, world, clients)


def _in_realm(name: str, world: realms.World, clients: Sequence[bytes]) -> Iterator[Case]:
    chain, registrar = world.chain, world.registrar
    registering = mfa_pb2.RegisterServer(realm=world.realm, server=world.server.identity)
    yield Case(name, chain, registrar, registering)
    world.do(registrar, registering)
    yield Case(name, chain, registrar, mfa_pb2.RemoveServer(realm=world.realm, server=world.server.identity))
    yield Case(name, chain, world.server, world.server_message())
    yield Case(name, chain, registrar, world.enrol_message(*clients))
    world.do(registrar, world.enrol_message(*clients))
    yield Case(name, chain, registrar, world.enrol_message(*clients, tag="again", again=True))
    revoking = mfa_pb2.RevokeClient(realm=world.realm, client=clients[0])
    yield Case(name, chain, registrar, revoking)
    yield Case(name, chain, registrar, world.permits_message(world.today, count=len(clients)))
    for day in range(world.today, world.today + 3):
        world.do(registrar, world.permits_message(day, count=len(clients)))
    yield Case(f"{name}, 3 days of permits pending", chain, registrar, revoking)


def ceremonies() -> Iterator[Case]:
    """A member of four, and one of as many as there may be, with as many coefficients."""
    for name, size in ((LEAST, 4), (MOST, MANY)):
        params = default_params()
        world = Consortium(Chain(size, params))
        chain, founder = world.chain, world.chain.founders[0]
        key = world.create(threshold=size, purpose=authority_pb2.PURPOSE_CUSTODY)
        waiting = world.ceremony(world.authority(key).ceremony)
        consent = authority_pb2.ConsentCeremony(first=waiting.first, terms=waiting.terms)
        yield Case(name, chain, founder, consent)
        world.consent(key)
        for kind in (DueKind.ACCEPT_CEREMONY, DueKind.DEAL_SHARES, DueKind.DISPUTE_DEALINGS, DueKind.CONFIRM_SHARE):
            (job,) = [job for job in world.jobs(founder) if job.kind is kind]
            yield _result(name, chain, founder, world.answer(founder, job))
            if kind is DueKind.DISPUTE_DEALINGS:
                yield _result(f"{name}, one accusation", chain, founder, _accusing(world, founder, key))
            if kind is not DueKind.CONFIRM_SHARE:
                world.step()


def _accusing(world: Consortium, member: Actor, key: bytes) -> Message:
    """A false accusation: it is verified as a true one is."""
    view, gid = world.chain.view, world.chain.gid
    found = attempt.load(view, gid, world.authority(key).ceremony, member.identity)
    accused = next(party for party in found.parties if party.fiduciary != member.identity)
    opened, proof = dealing.accuse(
        found.record.record_digest, checks.dealer(accused), checks.member(found.me),
        found.receive_scalar(world.keystores[member.identity]),
        checks.plain(parties.dealing_of(view, found.record.id, accused)), secrets.token_bytes,
    )  # fmt: skip
    accusation = authority_pb2.Accusation(dealer=accused.fiduciary, opened=opened, proof=proof)
    return authority_pb2.DisputeDealings(ceremony=found.record.id, accusations=[accusation])


CASES: tuple[Callable[[], Iterator[Case]], ...] = (
    identities, proposals, vaults, orders, under_keys, answers, realm_cases, ceremonies,
)  # fmt: skip
