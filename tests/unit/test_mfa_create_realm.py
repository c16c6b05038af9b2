"""A realm comes to be by vote, with a key of its own from a real ceremony; then people log in with what it issues."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from abci_app.authority import record
from abci_app.block import TxResult
from abci_app.codes import Code
from abci_app.crypto.curve import G1
from abci_app.mfa import realms
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2, governance_pb2, mfa_pb2, tx_pb2
from abci_app.state.records import AUTHORITIES, EXTRACTIONS, REALM_CLIENTS, REALMS
from dta.base.secret import SecretBytes
from dta.mpin.pin import Pin, secret_of, token_of
from dta.mpin.protocol import ClientLogin, accepts, check_server_secret, fresh_y
from tests.support import realms as support
from tests.support.actors import Actor, seeded
from tests.support.authority import Dealt
from tests.support.ceremonies import Consortium, ids
from tests.support.chain import Chain
from tests.support.realms import World, client, client_secret, parties, permit, server_secret
from tests.support.refusals import Because, refused


def make_chain() -> tuple[Chain, Actor, Actor]:
    chain = Chain(4)
    registrar, server = Actor("registrar"), Actor("server")
    chain.register(registrar, server)
    return chain, registrar, server


def creation(chain: Chain, by: Actor, nonce: object = 0, **terms: object) -> mfa_pb2.CreateRealm:
    """A proposal that the ledger takes, but for ``terms``."""
    fields = {
        "name": "web", "registrar": by.identity, "suite": mfa_pb2.MFA_SUITE_RFC9380, "permits_required": True,
        "max_attempts": 3, "lockout_s": 600, "one_pass_max_age_s": 60, **terms,
    }  # fmt: skip
    return mfa_pb2.CreateRealm(
        terms=mfa_pb2.RealmTerms(**fields), members=ids(chain.founders), threshold=3,  # type: ignore[arg-type]
        nonce=seeded("realm", nonce),
    )  # fmt: skip


def proposed(chain: Chain, message: mfa_pb2.CreateRealm, tag: object = 0) -> TxResult:
    """What the ledger answers to the proposal."""
    action = governance_pb2.Action(create_realm=message)
    sent = governance_pb2.Propose(nonce=seeded("proposal", tag), action=action)
    return chain.run(chain.founders[0], sent)


def with_members(message: mfa_pb2.CreateRealm, *members: bytes) -> mfa_pb2.CreateRealm:
    del message.members[:]
    message.members.extend(members)
    return message


Spoil = Callable[[Chain, Actor], mfa_pb2.CreateRealm]
REFUSED: dict[str, tuple[Because, Spoil]] = {
    "a short nonce": (
        Because(Code.FIELD_INVALID, "nonce"),
        lambda chain, who: mfa_pb2.CreateRealm(terms=creation(chain, who).terms, members=ids(chain.founders)),
    ),
    "a name in capitals": (Because(Code.BAD_REALM_TERMS, "name"), lambda chain, who: creation(chain, who, name="Web")),
    "no registrar": (
        Because(Code.BAD_REALM_TERMS, "registrar"), lambda chain, who: creation(chain, who, registrar=b""),
    ),
    "an unknown suite": (Because(Code.BAD_REALM_TERMS, "suite"), lambda chain, who: creation(chain, who, suite=7)),
    "too many attempts": (
        Because(Code.BAD_REALM_TERMS, "max_attempts"), lambda chain, who: creation(chain, who, max_attempts=1_001),
    ),
    "a one-pass age of days": (
        Because(Code.BAD_REALM_TERMS, "one_pass_max_age_s"),
        lambda chain, who: creation(chain, who, one_pass_max_age_s=9_999),
    ),
    "a lockout of years": (
        Because(Code.BAD_REALM_TERMS, "lockout_s"), lambda chain, who: creation(chain, who, lockout_s=10_000_001),
    ),
    "a registrar that is nobody": (
        Because(Code.UNKNOWN_IDENTITY, "registrar"),
        lambda chain, who: creation(chain, who, registrar=seeded("nobody")),
    ),
    "members out of order": (
        Because(Code.BAD_MEMBERS, "list"),
        lambda chain, who: with_members(creation(chain, who), *ids(chain.founders)[::-1]),
    ),
    "a member that is no fiduciary": (
        Because(Code.BAD_MEMBERS, "not-active"), lambda chain, who: with_members(creation(chain, who), who.identity),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_realm_that_can_not_be_is_refused_when_it_is_proposed(name: str) -> None:
    chain, registrar, _ = make_chain()
    code, make = REFUSED[name]
    message = make(chain, registrar)
    if name != "a member that is no fiduciary" and code == Because(Code.BAD_MEMBERS, "not-active"):
        assert list(message.members) != ids(chain.founders)
    if name == "a member that is no fiduciary":
        message.threshold = 0
    refused(proposed(chain, message), *code)


def test_a_registrar_whose_identity_is_suspended_makes_no_realm() -> None:
    chain, registrar, _ = make_chain()
    assert chain.run(registrar, tx_pb2.SuspendIdentity()).code == Code.OK
    refused(proposed(chain, creation(chain, registrar)), Code.IDENTITY_NOT_ACTIVE, "registrar")


def created(world: Consortium, registrar: Actor, nonce: object = 0, **terms: object) -> mfa_pb2.RealmRecord:
    """The realm, after the vote."""
    message = creation(world.chain, registrar, nonce, **terms)
    decided = world.decide(governance_pb2.Action(create_realm=message))
    assert decided.status == governance_pb2.PROPOSAL_STATUS_EXECUTED, decided
    key = record.authority_id(world.chain.gid, world.chain.founders[0].identity, message.nonce)
    return REALMS.get(world.chain.view, realms.realm_id(world.chain.gid, key))


def test_a_realm_and_its_key_name_each_other_and_no_second_realm_has_it() -> None:
    """Attack: a second realm on a realm's key, or an mfa key without a realm: there is no way to either."""
    chain, registrar, _ = make_chain()
    world = Consortium(chain)
    realm = created(world, registrar)
    key = AUTHORITIES.get(chain.view, realm.authority)
    assert (key.purpose, key.realm) == (authority_pb2.PURPOSE_MFA, realm.id)
    assert key.status == authority_pb2.AUTHORITY_STATUS_PENDING
    refused(proposed(chain, creation(chain, registrar, name="other"), "again"), Code.DUPLICATE, "authority")
    other = created(world, registrar, "other")
    assert other.authority != realm.authority
    alone = authority_pb2.CreateAuthority(
        purpose=authority_pb2.PURPOSE_MFA, name="alone", members=ids(chain.founders), nonce=seeded("alone")
    )
    sent = governance_pb2.Propose(
        nonce=seeded("proposal", "alone"), action=governance_pb2.Action(create_authority=alone)
    )
    refused(chain.run(chain.founders[0], sent), Code.BAD_AUTHORITY, "purpose")


def test_before_its_ceremony_is_done_a_realm_enrols_nobody() -> None:
    chain, registrar, _ = make_chain()
    realm = created(Consortium(chain), registrar)
    ticket = support.enrolment(chain.gid, realm.id, client("alice"))
    enrolling = mfa_pb2.EnrolClients(realm=realm.id, clients=[ticket], suite=realm.terms.suite)
    answer = chain.run(registrar, enrolling)
    refused(answer, Code.AUTHORITY_NOT_ACTIVE, "asked")


def test_a_realm_of_four_fiduciaries_from_the_vote_to_the_login() -> None:
    """Vote, ceremony, server, client, permit, login; then revocation. One of four is down while secrets are issued."""
    chain, registrar, server = make_chain()
    hooks = Consortium(chain)
    realm = created(hooks, registrar)
    hooks.consent(realm.authority)
    hooks.run(realm.authority)
    key = hooks.authority(realm.authority)
    assert key.status == authority_pb2.AUTHORITY_STATUS_ACTIVE
    assert key.public_key_g2 == b"", "an mfa key has no multiple in G2"
    hooks.down.append(chain.founders[3])
    dealt = Dealt(realm.authority, authority_pb2.PURPOSE_MFA, 0, 1, 3, {})
    world = World(chain, registrar, server, server, realm.id, dealt, mfa_pb2.MFA_SUITE_RFC9380)
    world.answer = lambda request, answers=None: answered(hooks, request)  # type: ignore[method-assign, assignment]
    world.do(registrar, mfa_pb2.RegisterServer(realm=realm.id, server=server.identity))
    alice = client("alice")
    world.enrol(alice)
    world.answer(world.do(server, world.permits_message(world.today)))
    secret = server_secret(world)
    login_parties = parties(world, alice, world.today)
    check_server_secret(G1.decode(key.public_key_g1), login_parties.q, secret)
    token = token_of(client_secret(world, alice), login_parties.a, pin(b"4711"))

    def logs_in(used: bytes) -> bool:
        login = ClientLogin(
            login_parties, secret_of(token, login_parties.a, pin(used)), permit(world, alice, world.today)
        )
        y = fresh_y()
        return accepts(login_parties.base, login_parties.q, secret.reveal(), login.u, y, login.answer(y))

    assert logs_in(b"4711")
    assert not any(logs_in(b"%04d" % wrong) for wrong in range(4701, 4711))
    world.do(registrar, mfa_pb2.RevokeClient(realm=realm.id, client=alice))
    refused(
        chain.run(registrar, world.permits_message(world.today + 1), seconds=80_000),
        Code.ALREADY_DONE,
        "no-client-left",
    )
    assert REALM_CLIENTS.get(chain.view, realm.id, alice).revoked_height


def pin(digits: bytes) -> Pin:
    return Pin(SecretBytes(digits))


def answered(hooks: Consortium, request: bytes) -> list[TxResult]:
    """Whose node is up answers by its hook, with a share opened from the ceremony's dealings."""
    results = hooks.step()
    assert EXTRACTIONS.get(hooks.chain.view, request).status == extraction_pb2.EXTRACTION_STATUS_COMPLETED
    return results
