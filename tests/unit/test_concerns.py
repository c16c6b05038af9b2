"""What concerns an identity: an entry for each record that names it, numbered, counted and charged for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app import limits
from abci_app.block import Changes
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.custody import naming, policy
from abci_app.governance import actions
from abci_app.identities.concerns import NAME_COST
from abci_app.messages.registry import SPECS
from abci_app.params import default_params
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, extraction_pb2, governance_pb2, mfa_pb2, tx_pb2
from abci_app.state.records import CONCERNS, COUNTERS
from tests.sim import concerns as by_the_page
from tests.sim.rebuild import differences
from tests.support import concerns, governance, realms
from tests.support.actors import Actor, seeded
from tests.support.authority import SIGNING, install_new
from tests.support.ceremonies import Consortium
from tests.support.chain import Chain
from tests.support.custody import Custody, k_of, single
from tests.support.refusals import refused
from tests.support.world import fresh_custody, nonce

PARTY, VETOER = ("party",), ("vetoer",)


@pytest.fixture
def custody() -> Custody:
    return fresh_custody()


def orders(custody: Custody, who: bytes) -> list[tuple[bytes, tuple[str, ...]]]:
    return concerns.about(custody.chain.view, who, "order")


def cost(message: Any) -> int:
    spec = next(spec for spec in SPECS.values() if isinstance(message, spec.message))
    return int(spec.cost(message))


# --- orders and requests


def test_an_order_concerns_each_whom_it_names_once_with_all_its_roles(custody: Custody) -> None:
    alice, bob = custody.principal.identity, custody.beneficiary.identity
    chosen = k_of(2, bob, seeded("carol"), seeded("dave"), veto_window_s=60)
    chosen.vetoers.extend([alice, seeded("erin")])
    order = custody.place(fulfil=False, policy=chosen)
    assert orders(custody, alice) == [(order, ("principal", "vetoer"))]
    assert orders(custody, bob) == [(order, ("beneficiary", "party"))]
    assert orders(custody, seeded("carol")) == orders(custody, seeded("dave")) == [(order, PARTY)]
    assert orders(custody, seeded("erin")) == [(order, VETOER)]
    assert differences(custody.chain.view) == []


def test_where_no_vetoer_is_named_the_parties_and_the_principal_are_entered_as_vetoers(custody: Custody) -> None:
    alice, bob = custody.principal.identity, custody.beneficiary.identity
    order = custody.place(fulfil=False, policy=k_of(1, seeded("carol"), veto_window_s=60))
    assert orders(custody, alice) == [(order, ("principal", "vetoer"))]
    assert orders(custody, bob) == [(order, ("beneficiary",))]
    assert orders(custody, seeded("carol")) == [(order, ("party", "vetoer"))]


def test_an_order_is_no_entry_of_its_fiduciaries(custody: Custody) -> None:
    """What it asks of them is owed by their nodes, which have the whole state."""
    custody.place()
    assert [concerns.of(custody.chain.view, founder.identity) for founder in custody.chain.founders] == [[]] * 4


def test_entries_are_numbered_in_the_order_in_which_they_came(custody: Custody) -> None:
    made = [custody.place(nonce(number), fulfil=False) for number in range(4)]
    assert [order for order, _ in orders(custody, custody.beneficiary.identity)] == made
    kinds = [kind for kind, _, _ in concerns.of(custody.chain.view, custody.principal.identity)]
    assert kinds == ["vault", *["order"] * 4]


def test_what_is_refused_leaves_no_entry(custody: Custody) -> None:
    message = custody.order_message(vault=bytes(32), policy=single(seeded("carol")))
    refused(custody.chain.run(custody.principal, message), Code.UNKNOWN_VAULT, "order")
    assert COUNTERS.find(custody.chain.view, seeded("carol")) is None
    assert custody.place(fulfil=False)
    refused(custody.chain.run(custody.principal, custody.order_message()), Code.DUPLICATE, "order")
    assert len(orders(custody, custody.principal.identity)) == 1


def request_as(custody: Custody, order: bytes, receiver: Actor, tag: object) -> tx_pb2.RequestSecret:
    """A request that the principal authorised."""
    message = custody.request_message(order, nonce(tag), signer=receiver)
    request = statements.request_id(custody.chain.gid, order, receiver.identity, message.nonce)
    statement = statements.authorisation_statement(custody.chain.gid, request, message)
    message.authorisation = custody.principal.tx_key.sign(statement).signature
    return message


def test_a_request_is_an_entry_of_the_receiver_whom_only_it_names(custody: Custody) -> None:
    chain, carol = custody.chain, Actor("carol")
    chain.register(carol)
    order = custody.place(rule=custody_pb2.BeneficiaryRule(), policy=single(custody.beneficiary.identity))
    assert orders(custody, carol.identity) == []
    asked = [chain.run(carol, request_as(custody, order, carol, tag)).data for tag in range(2)]
    receiver = ("receiver",)
    found = concerns.about(chain.view, carol.identity, "request")
    assert found == [(asked[0], receiver), (asked[1], receiver)]
    assert chain.run(custody.beneficiary, request_as(custody, order, custody.beneficiary, "party")).code == 0
    assert chain.run(custody.principal, custody.request_message(order, nonce("own"), custody.principal)).code == 0
    for named in (custody.beneficiary, custody.principal):
        assert concerns.about(chain.view, named.identity, "request") == [], "the order says it: it counts its requests"
    assert differences(chain.view) == []


def test_a_signing_order_concerns_who_asks_and_all_whose_agreement_both_policies_want() -> None:
    chain, alice, bob = Chain(4), Actor("alice"), Actor("bob")
    chain.register(alice, bob)
    key = install_new(chain, SIGNING).id
    message = extraction_pb2.PlaceSigningOrder(
        nonce=nonce(0), authority=key, kind="release", message=b"m", policy=single(bob.identity), names=6
    )
    request = chain.run(alice, message)
    assert request.code == 0
    order = statements.order_id(chain.gid, alice.identity, nonce(0))
    assert concerns.of(chain.view, alice.identity) == [("order", order, ("principal", "beneficiary"))]
    for party in (bob, *chain.founders):
        assert concerns.of(chain.view, party.identity) == [("order", order, PARTY)]
    assert differences(chain.view) == []


def test_a_signing_order_is_refused_that_names_more_than_it_is_charged_for() -> None:
    chain, alice = Chain(4), Actor("alice")
    chain.register(alice)
    key = install_new(chain, SIGNING).id
    message = extraction_pb2.PlaceSigningOrder(nonce=nonce(0), authority=key, kind="release", message=b"m", names=4)
    refused(chain.run(alice, message), Code.TOO_FEW_NAMES)
    assert concerns.of(chain.view, alice.identity) == []
    for names in (0, limits.MAX_NAMED_IDENTITIES + 1):
        message.names = names
        refused(chain.run(alice, message), Code.FIELD_INVALID, "names")
    message.names = 5
    assert chain.run(alice, message).code == 0


# --- vaults, realms, ceremonies, proposals


def test_a_vault_concerns_its_principal(custody: Custody) -> None:
    found = concerns.of(custody.chain.view, custody.principal.identity)
    assert found == [("vault", custody.vault, ("principal",))]


def test_a_realm_concerns_its_registrar_and_each_of_its_servers_once() -> None:
    world = realms.fresh_world()
    chain, server = world.chain, world.server.identity
    entry = ("realm_server", world.realm, ("server",))
    assert concerns.of(chain.view, server) == [entry]
    world.do(world.registrar, mfa_pb2.RemoveServer(realm=world.realm, server=server))
    world.do(world.registrar, mfa_pb2.RegisterServer(realm=world.realm, server=server))
    assert concerns.of(chain.view, server) == [entry], "the record was there already"


def test_a_realm_that_is_voted_on_concerns_its_registrar_once_it_is_made() -> None:
    group, registrar = Consortium(Chain(4)), Actor("registrar")
    group.chain.register(registrar)
    terms = mfa_pb2.RealmTerms(
        name="web", registrar=registrar.identity, suite=mfa_pb2.MFA_SUITE_RFC9380, max_attempts=3, lockout_s=600,
        one_pass_max_age_s=60,
    )  # fmt: skip
    members = sorted(founder.identity for founder in group.chain.founders)
    message = mfa_pb2.CreateRealm(terms=terms, members=members, threshold=3, nonce=nonce("realm"))
    group.decide(governance_pb2.Action(create_realm=message))
    [(kind, realm, roles)] = concerns.of(group.chain.view, registrar.identity)
    assert (kind, roles) == ("realm", ("registrar",))
    assert realm
    assert differences(group.chain.view) == []


def test_a_ceremony_that_asks_for_consent_concerns_all_its_parties_and_a_refresh_nobody() -> None:
    group = Consortium(Chain(4))
    authority = group.make(*group.chain.founders[:3], purpose=authority_pb2.PURPOSE_SIGNING)
    first = group.authority(authority).last_ceremony
    asked = [concerns.about(group.chain.view, founder.identity, "ceremony") for founder in group.chain.founders]
    party = ("ceremony_party",)
    assert asked == [[(first, party)]] * 3 + [[]]
    group.reshare(authority)
    group.run(authority)
    assert group.authority(authority).epoch == 2
    assert concerns.about(group.chain.view, group.chain.founders[0].identity, "ceremony") == [(first, party)]
    group.reshare(authority, *group.chain.founders[1:])
    third = group.authority(authority).ceremony
    for founder in group.chain.founders:
        found = concerns.about(group.chain.view, founder.identity, "ceremony")
        assert found[-1] == (third, party), "who leaves is asked as well as who comes"
    assert differences(group.chain.view) == []


def test_a_proposal_concerns_whom_it_would_admit_remove_or_revoke() -> None:
    chain, alice, new = Chain(4), Actor("alice"), Actor("new", fiduciary=True)
    chain.register(alice, new)
    first, second = chain.founders[:2]
    for who, action in (
        (new, governance.admit(chain, new)), (second, governance.remove(second)), (alice, governance.revoke(alice))
    ):  # fmt: skip
        proposal = governance.propose(chain, first, action, who.name)
        assert concerns.of(chain.view, who.identity) == [("proposal", proposal, ("subject",))]
    assert concerns.of(chain.view, first.identity) == []
    governance.propose(chain, first, governance.upgrade(chain.height + 500, 2), "upgrade")
    assert differences(chain.view) == []


# --- the leaves, and what they cost


def test_placing_an_order_adds_two_leaves_for_each_other_identity_and_one_for_the_principal(custody: Custody) -> None:
    """Order, the principal's counters and the replay bucket; an entry each, and the others' counters."""
    for number, others in enumerate((0, 1, 4)):
        named = [custody.principal.identity, *(seeded("other", at) for at in range(others))]
        message = custody.order_message(
            nonce(number), policy=k_of(1, *named), rule=custody_pb2.BeneficiaryRule(identity=named[-1])
        )
        changed = custody.chain.block(custody.chain.tx(custody.principal, message)).changes.leaves
        prefixes = sorted(key.partition(b"/")[0] for key, _ in changed)
        assert len(changed) == 3 + 1 + 2 * others
        assert prefixes.count(CONCERNS.prefix.rstrip(b"/")) == 1 + others


def test_a_message_is_charged_for_each_identity_that_it_names_and_for_none_twice(custody: Custody) -> None:
    bob = custody.beneficiary.identity
    plain = cost(custody.order_message())  # bob alone, as beneficiary and party; and the principal
    with_two = custody.order_message(policy=k_of(1, bob, seeded("carol"), seeded("dave"), veto_window_s=9))
    assert cost(with_two) == plain + 2 * NAME_COST
    with_two.policy.vetoers.extend([bob, seeded("dave"), seeded("erin")])
    assert cost(with_two) == plain + 3 * NAME_COST
    with_two.rule.ClearField("identity")
    assert cost(with_two) == plain + 3 * NAME_COST, "bob is a party still"
    signing = [extraction_pb2.PlaceSigningOrder(names=names) for names in (1, 9)]
    assert cost(signing[1]) - cost(signing[0]) == 8 * NAME_COST
    asked = [tx_pb2.RequestSecret(), tx_pb2.RequestSecret(authorisation=bytes(64))]
    assert cost(asked[1]) - cost(asked[0]) == NAME_COST


def test_a_proposal_is_charged_for_whom_it_is_about_and_its_execution_for_whom_it_names() -> None:
    def charged(**given: Any) -> tuple[int, int]:
        """Beside what looking at it takes: when it is proposed; the whole execution."""
        chosen = governance_pb2.Action(**given)
        action, proposed = actions.of(chosen)
        return cost(governance_pb2.Propose(action=chosen)) - action.proposing_cost(proposed), action.cost(proposed)

    members = [seeded(number) for number in range(5)]
    assert charged(remove_fiduciary=governance_pb2.RemoveFiduciary(identity=members[0]))[0] == NAME_COST
    assert charged(admit_fiduciary=governance_pb2.AdmitFiduciary())[0] == NAME_COST
    assert charged(revoke_identity=governance_pb2.RevokeByVote())[0] == NAME_COST
    nobody, execution = charged(upgrade=governance_pb2.PlanUpgrade())
    assert nobody == 0
    for key in (
        {"create_authority": authority_pb2.CreateAuthority(members=members)},
        {"reshare_authority": authority_pb2.ReshareAuthority(members=members)},
        {"create_realm": mfa_pb2.CreateRealm(members=members)},
    ):
        named, execution_of_it = charged(**key)
        assert named == 0
        assert execution_of_it >= execution + 5 * NAME_COST


def test_what_is_too_large_for_a_policy_is_not_read_to_be_charged() -> None:
    nodes = [custody_pb2.PolicyNode(identity=seeded(number)) for number in range(limits.MAX_POLICY_NODES + 1)]
    assert naming.count(custody_pb2.Policy(nodes=nodes), custody_pb2.BeneficiaryRule()) == limits.MAX_NAMED_IDENTITIES


def test_no_order_names_more_identities_than_a_message_may() -> None:
    """By form alone; ``max_policy_bytes`` leaves far fewer."""
    leaves = [seeded("party", number) for number in range(limits.MAX_POLICY_CHILDREN)]
    rest = [seeded("more", number) for number in range(limits.MAX_POLICY_NODES - len(leaves) - 2)]
    inner = custody_pb2.PolicyNode(threshold=1, children=range(2, 2 + len(leaves)))
    gate = custody_pb2.PolicyNode(
        threshold=1, children=[1, *range(2 + len(leaves), limits.MAX_POLICY_NODES)]
    )
    nodes = [gate, inner, *(custody_pb2.PolicyNode(identity=one) for one in [*leaves, *rest])]
    widest = custody_pb2.Policy(nodes=nodes, veto_window_s=1)
    widest.vetoers.extend(seeded("vetoer", number) for number in range(limits.MAX_VETOERS))
    rule = custody_pb2.BeneficiaryRule(identity=seeded("beneficiary"))
    policy.check_form(widest, rule)
    named = naming.of_order(seeded("principal"), widest, rule)
    assert len(named) == naming.count(widest, rule) == limits.MAX_POLICY_NODES + limits.MAX_VETOERS
    assert len(named) <= limits.MAX_NAMED_IDENTITIES


def test_no_signing_order_names_more_identities_than_a_message_may() -> None:
    """The widest policies of a key (by default its members; else by bytes) and of an order, and who asks."""
    smallest_leaf = custody_pb2.Policy(nodes=[custody_pb2.PolicyNode(identity=bytes(32))]).ByteSize()
    smallest_vetoer = custody_pb2.Policy(vetoers=[bytes(32)]).ByteSize()
    by_bytes = default_params().max_policy_bytes // min(smallest_leaf, smallest_vetoer)
    assert max(limits.MAX_AUTHORITY_MEMBERS, by_bytes) + by_bytes + 1 <= limits.MAX_NAMED_IDENTITIES


PEOPLE = [seeded("person", number) for number in range(5)]


@settings(max_examples=200, deadline=None)
@given(
    parties=st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4, unique=True),
    vetoers=st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True),
    window_s=st.sampled_from([0, 30]),
    beneficiary=st.sampled_from([b"", *PEOPLE]),
    principal=st.sampled_from(PEOPLE),
)
def test_whom_an_order_names_is_what_the_page_says_and_no_more_than_it_is_charged_for(
    parties: list[bytes], vetoers: list[bytes], window_s: int, beneficiary: bytes, principal: bytes
) -> None:
    chosen = k_of(1, *parties, veto_window_s=window_s)
    chosen.vetoers.extend(vetoers if window_s else [])
    rule = custody_pb2.BeneficiaryRule(identity=beneficiary)
    named = naming.of_order(principal, chosen, rule)
    record = custody_pb2.OrderRecord(principal=principal, policy=chosen, rule=rule)
    assert named == by_the_page.named_by_order(record)
    assert len(named) <= naming.count(chosen, rule) <= len(named) + 1


# --- the invariant finds what it is for


@pytest.mark.parametrize("lost", ["entry", "count"])
def test_an_entry_or_a_count_that_is_wrong_is_found(custody: Custody, lost: str) -> None:
    bob = custody.beneficiary.identity
    custody.place(fulfil=False)
    assert differences(custody.chain.view) == []
    view = custody.chain.view
    if lost == "entry":
        changed = CONCERNS.get(view, bob, 1)
        changed.subject = bytes(32)
        leaf = (CONCERNS.key(bob, 1), changed.SerializeToString(deterministic=True))
    else:
        leaf = (COUNTERS.key(bob), custody_pb2.CounterRecord(identity=bob, concerns=2).SerializeToString())
    view.apply(Changes(leaves=(leaf,)))
    assert any(bob.hex() in line or repr(bob) in line for line in differences(view))
