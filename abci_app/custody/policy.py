"""Policies: a flat tree of gates over identities, checked once when an order is placed, then evaluated as a function.

Node 0 is the root. A leaf names an identity; a gate wants ``threshold`` of its children. Children have greater
indices than their parent and one parent each, so that nothing recursive is decoded and no cycle exists.
"""

from __future__ import annotations

from abci_app import limits, text
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import params_pb2


def check_form(policy: pb.Policy, rule: pb.BeneficiaryRule) -> None:
    """Refuse a malformed policy (BAD_POLICY) or rule (BAD_RULE). Needs no state."""
    if not 1 <= len(policy.nodes) <= limits.MAX_POLICY_NODES:
        raise Refusal(Code.BAD_POLICY, f"a policy has 1 to {limits.MAX_POLICY_NODES} nodes", reason="node-count")
    has_parent = [False] * len(policy.nodes)
    for position, node in enumerate(policy.nodes):
        _check_node(policy, position, node, has_parent)
    if not all(has_parent[1:]):
        raise Refusal(Code.BAD_POLICY, "a node hangs on no gate", reason="stray-node")
    for time_s in (policy.not_before_s, policy.not_after_s, policy.veto_window_s):
        if time_s > limits.MAX_TIME_S:
            raise Refusal(Code.BAD_POLICY, "a time is too large", reason="time-too-large")
    if policy.not_after_s and policy.not_before_s > policy.not_after_s:
        raise Refusal(Code.BAD_POLICY, "not_before is after not_after", reason="never-in-force")
    _check_vetoers(policy)
    if len(rule.identity) not in (0, limits.ID_BYTES):
        raise Refusal(Code.BAD_RULE, "the beneficiary is an identity id of 32 bytes, or nobody")


def check_bounds(policy: pb.Policy, rule: pb.BeneficiaryRule, params: params_pb2.Params) -> None:
    """Refuse (BAD_POLICY) a policy, together with its rule, that parameters do not allow."""
    size_bytes = policy.ByteSize() + rule.ByteSize()
    if size_bytes > params.max_policy_bytes:
        raise Refusal(Code.BAD_POLICY, f"{size_bytes} bytes, at most {params.max_policy_bytes}", reason="size")
    if policy.veto_window_s > params.max_veto_window_s:
        raise Refusal(Code.BAD_POLICY, f"a veto window has at most {params.max_veto_window_s} s", reason="veto-window")


def _check_node(policy: pb.Policy, position: int, node: pb.PolicyNode, has_parent: list[bool]) -> None:
    if node.identity:
        if len(node.identity) != limits.ID_BYTES or node.threshold or node.children or node.group:
            raise Refusal(
                Code.BAD_POLICY, f"node {position}: a leaf has a 32-byte identity and nothing else", reason="leaf"
            )
        return
    if not 1 <= len(node.children) <= limits.MAX_POLICY_CHILDREN:
        raise Refusal(
            Code.BAD_POLICY, f"node {position}: a gate has 1 to {limits.MAX_POLICY_CHILDREN} children",
            reason="gate-children",
        )
    if not 1 <= node.threshold <= len(node.children):
        raise Refusal(
            Code.BAD_POLICY, f"node {position}: the threshold must be 1 to the number of children",
            reason="gate-threshold",
        )
    if node.group and not text.is_name(node.group, limits.MAX_GROUP_CHARS):
        raise Refusal(Code.BAD_POLICY, f"node {position}: the group's name is not plain text", reason="gate-name")
    leaves: list[bytes] = []
    for child in node.children:
        if not position < child < len(policy.nodes) or has_parent[child]:
            raise Refusal(
                Code.BAD_POLICY, f"node {position}: a child must come later and hang on one gate only", reason="child"
            )
        has_parent[child] = True
        if policy.nodes[child].identity:
            leaves.append(policy.nodes[child].identity)
    if len(dict.fromkeys(leaves)) != len(leaves):
        raise Refusal(Code.BAD_POLICY, f"node {position}: names one identity twice", reason="identity-twice")


def _check_vetoers(policy: pb.Policy) -> None:
    vetoers = list(policy.vetoers)
    if len(vetoers) > limits.MAX_VETOERS or len(dict.fromkeys(vetoers)) != len(vetoers):
        raise Refusal(Code.BAD_POLICY, f"at most {limits.MAX_VETOERS} vetoers, each once", reason="vetoers")
    if any(len(vetoer) != limits.ID_BYTES for vetoer in vetoers):
        raise Refusal(Code.BAD_POLICY, "a vetoer is an identity id of 32 bytes", reason="vetoer-id")
    if vetoers and not policy.veto_window_s:
        raise Refusal(Code.BAD_POLICY, "vetoers are named but there is no veto window", reason="no-veto-window")


def parties(policy: pb.Policy) -> list[bytes]:
    """The identities that may approve, each once, in the policy's order."""
    return list(dict.fromkeys(node.identity for node in policy.nodes if node.identity))


def vetoers(policy: pb.Policy, principal: bytes) -> list[bytes]:
    """Who may veto: those named; by default every party and the principal. Nobody without a veto window."""
    if not policy.veto_window_s:
        return []
    return list(policy.vetoers) or list(dict.fromkeys([*parties(policy), principal]))


def in_force(policy: pb.Policy, time_s: int) -> bool:
    """Whether the policy lets anything be released at this block time."""
    return policy.not_before_s <= time_s and (not policy.not_after_s or time_s <= policy.not_after_s)


def satisfied(policy: pb.Policy, approved: list[bytes]) -> bool:
    """Whether these approvals open the root gate. Bottom-up, since a child's index is greater than its parent's."""
    value = [False] * len(policy.nodes)
    for position in range(len(policy.nodes) - 1, -1, -1):
        node = policy.nodes[position]
        if node.identity:
            value[position] = node.identity in approved
        else:
            value[position] = sum(value[child] for child in node.children) >= node.threshold
    return value[0]
