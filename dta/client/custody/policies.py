"""Policies as people write them, and back: ``single:bob``, ``2of:alice,bob,carol``, ``all:...``, ``any:...``, or JSON.

In JSON a node is a name (a leaf), or ``{"all": [...]}``, ``{"any": [...]}``, ``{"of": [...], "threshold": k}``, each
with an optional ``"group": "a name for people"``. Nodes nest; on the ledger they become one flat list.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from abci_app import limits
from abci_app.custody import policy as rules
from abci_app.errors import Refusal
from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.base.errors import JsonValue, UsageError
from dta.client.custody.errors import WouldBeRefused

Resolve = Callable[[str], bytes]
"""An identity's 32-byte id by its name, or hex. Raises UsageError or NotFound for a name that is nobody's."""

Describe = Callable[[bytes], str]
"""What to call an identity."""

_GATE = re.compile(r"(single|all|any|[1-9][0-9]?of):(.+)", re.DOTALL)
_NODE_KEYS = {"all", "any", "of", "threshold", "group"}


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what conditions a secret is released. Times are Unix seconds (block time), 0 for none.

    ``text`` or ``tree`` (read from JSON) says who must agree; ``vetoers`` empty: every party and the principal.
    """

    text: str = ""
    tree: Any = None
    not_before_s: int = 0
    not_after_s: int = 0
    veto_window_s: int = 0
    vetoers: Sequence[str] = ()


def build(terms: Terms, beneficiary: bytes, resolve: Resolve) -> tuple[pb.Policy, pb.BeneficiaryRule]:
    """The policy and the beneficiary rule (``beneficiary`` empty: whom the principal authorises).

    Without a policy the beneficiary alone decides. Raises UsageError (a text that is no policy), NotFound (an unknown
    name), WouldBeRefused (BAD_POLICY, BAD_RULE).
    """
    policy = pb.Policy(
        nodes=_nodes(terms, beneficiary, resolve), vetoers=[resolve(name) for name in terms.vetoers],
        **_times(not_before_s=terms.not_before_s, not_after_s=terms.not_after_s, veto_window_s=terms.veto_window_s),
    )  # fmt: skip
    rule = pb.BeneficiaryRule(identity=beneficiary)
    try:
        rules.check_form(policy, rule)
    except Refusal as refusal:
        raise WouldBeRefused(refusal.code, refusal.detail, reason=refusal.reason) from None
    return policy, rule


def _nodes(terms: Terms, beneficiary: bytes, resolve: Resolve) -> list[pb.PolicyNode]:
    if terms.text and terms.tree is not None:
        raise UsageError("two policies were given", hint="give --policy or --policy-file")
    if terms.text or terms.tree is not None:
        return _flatten(parse_text(terms.text) if terms.text else terms.tree, resolve)
    if not beneficiary:
        raise UsageError(
            "who must agree to a release?",
            hint="--beneficiary NAME alone lets that one decide; else --policy single:NAME, 2of:A,B,C, or a file",
        )
    return [pb.PolicyNode(identity=beneficiary)]


def _times(**times_s: int) -> dict[str, int]:
    for name, value in times_s.items():
        if not 0 <= value <= limits.MAX_TIME_S:
            raise UsageError(f"{name} is not a time: {value}")
    return times_s


def parse_text(text: str) -> Any:
    """The tree of a policy in one line. Raises UsageError."""
    match = _GATE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"not a policy: {text!r}", hint="write single:NAME, all:A,B, any:A,B or 2of:A,B,C; nested ones as JSON"
        )
    gate, names = match[1], [name.strip() for name in match[2].split(",")]
    if not all(names):
        raise UsageError(f"a name is missing in the policy {text!r}")
    if gate == "single":
        if len(names) != 1:
            raise UsageError(f"single: takes one name, not {len(names)}", hint="all:A,B wants every one of them")
        return names[0]
    if gate in ("all", "any"):
        return {gate: names}
    return {"of": names, "threshold": int(gate.removesuffix("of"))}


def load_json(content: bytes) -> Any:
    """The tree of a policy file. Raises UsageError."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the policy file is not JSON: {error}") from None


def _flatten(tree: Any, resolve: Resolve) -> list[pb.PolicyNode]:
    """Breadth first, so that every child comes after its parent; not recursive, whatever the file nests."""
    nodes: list[pb.PolicyNode] = []
    waiting: deque[tuple[Any, int | None]] = deque([(tree, None)])
    while waiting:
        value, parent = waiting.popleft()
        if len(nodes) == limits.MAX_POLICY_NODES:
            raise UsageError(f"a policy has at most {limits.MAX_POLICY_NODES} nodes")
        position = len(nodes)
        if parent is not None:
            nodes[parent].children.append(position)
        if isinstance(value, str):
            nodes.append(pb.PolicyNode(identity=resolve(value)))
            continue
        children, threshold, group = _read_gate(value)
        nodes.append(pb.PolicyNode(threshold=threshold, group=group))
        waiting.extend((child, position) for child in children)
    return nodes


def _read_gate(value: Any) -> tuple[list[Any], int, str]:
    if not isinstance(value, dict) or set(value) - _NODE_KEYS:
        raise UsageError("a policy's node is a name, or an object with all, any or of (and threshold, group)")
    kinds = [kind for kind in ("all", "any", "of") if kind in value]
    children = value[kinds[0]] if len(kinds) == 1 else None
    if not isinstance(children, list) or not children:
        raise UsageError("a policy's gate has one of all, any, of, with a list of at least one node")
    group = value.get("group", "")
    given = value.get("threshold")
    if not isinstance(group, str) or (given is None) == (kinds[0] == "of"):
        raise UsageError("a gate of kind `of` has a threshold, the others none; a group is a text")
    threshold = {"all": len(children), "any": 1}.get(kinds[0], given)
    if type(threshold) is not int or not 1 <= threshold <= len(children):
        raise UsageError(f"a gate's threshold is 1 to the number of its nodes ({len(children)}), not {threshold!r}")
    return children, threshold, group


def describe(policy: pb.Policy, name_of: Describe) -> str:
    """One line for people: ``2 of (alice, bob, carol)``. For policies that the ledger took: children come later."""
    texts = [""] * len(policy.nodes)
    for position in range(len(policy.nodes) - 1, -1, -1):
        node = policy.nodes[position]
        if node.identity:
            texts[position] = name_of(node.identity)
            continue
        parts = ", ".join(texts[child] for child in node.children)
        label = f"{node.group}: " if node.group else ""
        count = len(node.children)
        need = "all" if node.threshold == count else "any" if node.threshold == 1 else f"{node.threshold}"
        texts[position] = f"{label}{need} of ({parts})" if count > 1 else parts
    return texts[0]


def as_json(policy: pb.Policy, rule: pb.BeneficiaryRule) -> dict[str, JsonValue]:
    """The policy as ``--json`` shows it: the flat list, ids in hex."""
    nodes: list[JsonValue] = []
    for node in policy.nodes:
        if node.identity:
            nodes.append({"identity": node.identity.hex()})
        else:
            children: list[JsonValue] = list(node.children)
            nodes.append({"threshold": node.threshold, "children": children, "group": node.group})
    vetoers: list[JsonValue] = [vetoer.hex() for vetoer in policy.vetoers]
    return {
        "nodes": nodes, "not_before_s": policy.not_before_s, "not_after_s": policy.not_after_s,
        "veto_window_s": policy.veto_window_s, "vetoers": vetoers, "beneficiary": rule.identity.hex() or None,
    }  # fmt: skip
