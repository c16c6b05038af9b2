"""Policies against a recursive reference: who opens them; and that no malformed one is taken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abci_app.codes import Code
from abci_app.custody import policy
from abci_app.limits import MAX_POLICY_NODES
from abci_app.pb.dta.v1 import custody_pb2 as pb
from tests.support.custody import k_of, single
from tests.support.refusals import Because, raised, refused
from tests.support.world import nonce

PEOPLE = [nonce(n) for n in range(9)]
NOBODY = pb.BeneficiaryRule()
Tree = bytes | tuple[int, list["Tree"]]


def trees(depth: int = 3) -> st.SearchStrategy[Tree]:
    leaf: st.SearchStrategy[Tree] = st.sampled_from(PEOPLE)
    if depth == 0:
        return leaf

    @st.composite
    def gate(draw: st.DrawFn) -> Tree:
        children = draw(st.lists(trees(depth - 1), min_size=1, max_size=4, unique_by=repr))
        return draw(st.integers(1, len(children))), children

    return st.one_of(leaf, gate())


def flatten(tree: Tree) -> pb.Policy:
    """Breadth first, so that children come after their parents."""
    nodes: list[pb.PolicyNode] = []
    queue = [tree]
    while queue:
        here = queue.pop(0)
        if isinstance(here, bytes):
            nodes.append(pb.PolicyNode(identity=here))
            continue
        threshold, children = here
        first = len(nodes) + 1 + len(queue)
        nodes.append(pb.PolicyNode(threshold=threshold, children=range(first, first + len(children))))
        queue += children
    return pb.Policy(nodes=nodes)


def opens(tree: Tree, approved: set[bytes]) -> bool:
    """The reference: recursive."""
    if isinstance(tree, bytes):
        return tree in approved
    return sum(opens(child, approved) for child in tree[1]) >= tree[0]


def refusal(candidate: pb.Policy, rule: pb.BeneficiaryRule = NOBODY) -> Because | None:
    return raised(lambda: policy.check_form(candidate, rule))


@given(trees(), st.sets(st.sampled_from(PEOPLE)))
@settings(max_examples=500, deadline=None)
def test_a_policy_opens_exactly_when_its_tree_does(tree: Tree, approved: set[bytes]) -> None:
    flat = flatten(tree)
    if len(flat.nodes) > MAX_POLICY_NODES:
        refused(refusal(flat), Code.BAD_POLICY, "node-count")
        return
    assert refusal(flat) is None
    assert policy.satisfied(flat, sorted(approved)) == opens(tree, approved)


@given(trees(), st.sets(st.sampled_from(PEOPLE)), st.sampled_from(PEOPLE))
@settings(max_examples=300, deadline=None)
def test_one_more_approval_never_closes_what_was_open(tree: Tree, approved: set[bytes], more: bytes) -> None:
    flat = flatten(tree)
    if policy.satisfied(flat, sorted(approved)):
        assert policy.satisfied(flat, sorted(approved | {more}))


@given(st.lists(st.builds(
    pb.PolicyNode, identity=st.sampled_from([b"", b"", PEOPLE[0], PEOPLE[1], bytes(31)]),
    threshold=st.integers(0, 3), children=st.lists(st.integers(0, 6), max_size=4),
), max_size=6))  # fmt: skip
@settings(max_examples=1_000, deadline=None)
def test_whatever_is_taken_is_a_tree_and_whatever_is_not_has_a_code(nodes: list[pb.PolicyNode]) -> None:
    candidate = pb.Policy(nodes=nodes)
    found = refusal(candidate)
    assert found is None or found in {expected for expected, _ in MALFORMED.values()}
    if found is None:
        assert not policy.satisfied(candidate, [])
        assert policy.satisfied(candidate, policy.parties(candidate)), "all its parties together open it"
        parents = [child for node in nodes for child in node.children]
        assert sorted(parents) == list(range(1, len(nodes)))


# The cases that must work.
A1, A2, A3, B1, B2, C1, C2, MANAGER = PEOPLE[:8]
GROUP_A, GROUP_B, GROUP_C = (2, [A1, A2, A3]), (1, [B1, B2]), (2, [C1, C2])


@pytest.mark.parametrize(
    ("tree", "enough", "short"),
    [
        (A1, [A1], [A2]),
        ((2, [A1, A2, A3]), [A1, A3], [A2]),
        ((3, [A1, A2, A3]), [A1, A2, A3], [A1, A2]),
        ((2, [GROUP_A, GROUP_B]), [A1, A2, B2], [A1, A2, A3]),
        ((2, [GROUP_A, GROUP_B, GROUP_C]), [B1, C1, C2], [A1, B1, C1]),
        ((2, [GROUP_A, MANAGER]), [A2, A3, MANAGER], [A1, A2, A3]),
    ],
    ids=["single", "two-of-three", "all", "two-groups", "three-groups", "group-and-manager"],
)
def test_the_usual_policies(tree: Tree, enough: list[bytes], short: list[bytes]) -> None:
    flat = flatten(tree)
    assert refusal(flat) is None
    assert policy.satisfied(flat, enough)
    assert not policy.satisfied(flat, short)
    for left_out in enough:
        assert not policy.satisfied(flat, [party for party in enough if party != left_out])


def test_a_party_that_stands_in_two_groups_counts_in_both() -> None:
    both = flatten((2, [(1, [A1, A2]), (1, [A1, B1])]))
    assert refusal(both) is None
    assert policy.parties(both) == [A1, A2, B1]
    assert policy.satisfied(both, [A1])


MALFORMED = {
    "nothing": (Because(Code.BAD_POLICY, "node-count"), pb.Policy()),
    "a gate without children": (
        Because(Code.BAD_POLICY, "gate-children"),
        pb.Policy(nodes=[pb.PolicyNode(threshold=1)]),
    ),
    "a gate that is its own child": (
        Because(Code.BAD_POLICY, "child"),
        pb.Policy(nodes=[pb.PolicyNode(threshold=1, children=[0])]),
    ),
    "a child that is not there": (
        Because(Code.BAD_POLICY, "child"),
        pb.Policy(nodes=[pb.PolicyNode(threshold=1, children=[1])]),
    ),
    "a child of two gates": (
        Because(Code.BAD_POLICY, "child"),
        pb.Policy(nodes=[
            pb.PolicyNode(threshold=1, children=[1, 2]), pb.PolicyNode(threshold=1, children=[2]),
            pb.PolicyNode(identity=A1),
        ]),
    ),
    "one child twice": (
        Because(Code.BAD_POLICY, "child"),
        pb.Policy(nodes=[pb.PolicyNode(threshold=2, children=[1, 1]), pb.PolicyNode(identity=A1)]),
    ),
    "one person twice": (Because(Code.BAD_POLICY, "identity-twice"), k_of(2, A1, A1)),
    "more wanted than there are": (Because(Code.BAD_POLICY, "gate-threshold"), k_of(3, A1, A2)),
    "none wanted": (Because(Code.BAD_POLICY, "gate-threshold"), k_of(0, A1, A2)),
    "a node that hangs nowhere": (
        Because(Code.BAD_POLICY, "stray-node"),
        pb.Policy(nodes=[pb.PolicyNode(identity=A1), pb.PolicyNode(identity=A2)]),
    ),
    "a node that hangs nowhere beside one that does": (
        Because(Code.BAD_POLICY, "stray-node"),
        pb.Policy(nodes=[
            pb.PolicyNode(threshold=1, children=[1]), pb.PolicyNode(identity=A1), pb.PolicyNode(identity=A2),
        ]),
    ),
    "a leaf with a threshold": (
        Because(Code.BAD_POLICY, "leaf"),
        pb.Policy(nodes=[pb.PolicyNode(identity=A1, threshold=1)]),
    ),
    "half an identity": (Because(Code.BAD_POLICY, "leaf"), pb.Policy(nodes=[pb.PolicyNode(identity=A1[:16])])),
    "an end before its beginning": (
        Because(Code.BAD_POLICY, "never-in-force"),
        k_of(1, A1, not_before_s=9, not_after_s=8),
    ),
    "a time past all time": (Because(Code.BAD_POLICY, "time-too-large"), k_of(1, A1, not_before_s=2**60)),
    "vetoers without a window": (
        Because(Code.BAD_POLICY, "no-veto-window"),
        pb.Policy(nodes=single(A1).nodes, vetoers=[A2]),
    ),
    "a vetoer twice": (
        Because(Code.BAD_POLICY, "vetoers"),
        pb.Policy(nodes=single(A1).nodes, veto_window_s=5, vetoers=[A2, A2]),
    ),
    "half a vetoer": (
        Because(Code.BAD_POLICY, "vetoer-id"),
        pb.Policy(nodes=single(A1).nodes, veto_window_s=5, vetoers=[A2[:31]]),
    ),
    "a group's name that is not plain": (
        Because(Code.BAD_POLICY, "gate-name"),
        pb.Policy(nodes=[
            pb.PolicyNode(threshold=1, children=[1], group="gr\u00fcn"), pb.PolicyNode(identity=A1),
        ]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_policy_is_refused(name: str) -> None:
    expected, malformed = MALFORMED[name]
    refused(refusal(malformed), *expected)


def test_without_a_veto_window_nobody_vetoes_and_with_one_its_parties_and_the_principal_do() -> None:
    assert policy.vetoers(k_of(1, A1, A2), MANAGER) == []
    assert policy.vetoers(k_of(1, A1, A2, veto_window_s=5), MANAGER) == [A1, A2, MANAGER]
    assert policy.vetoers(k_of(1, A1, MANAGER, veto_window_s=5), MANAGER) == [A1, MANAGER]
    named = pb.Policy(nodes=single(A1).nodes, veto_window_s=5, vetoers=[B1])
    assert policy.vetoers(named, MANAGER) == [B1]


@pytest.mark.parametrize(("time_s", "expected"), [(9, False), (10, True), (20, True), (21, False)])
def test_a_policy_is_in_force_from_its_first_second_to_its_last(time_s: int, expected: bool) -> None:
    assert policy.in_force(k_of(1, A1, not_before_s=10, not_after_s=20), time_s) is expected
