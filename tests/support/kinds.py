"""What a type of transaction and a kind of proposal consist of, by the files: so that what is missing is named.

Only text is read: what is missing may well keep the registry from being imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Kind:
    """A message of a oneof: ``PlaceOrder place_order``."""

    name: str
    field: str


def message_types(root: Path = ROOT) -> list[Kind]:
    """Every type of transaction, as TxBody has them."""
    return _oneof((root / "proto/dta/v1/tx.proto").read_text(), "message")


def proposal_kinds(root: Path = ROOT) -> list[Kind]:
    """Every kind of proposal, as Action has them."""
    return _oneof((root / "proto/dta/v1/governance.proto").read_text(), "kind")


def _oneof(proto: str, name: str) -> list[Kind]:
    found = re.search(rf"^  oneof {name} \{{\n(.*?)^  \}}", proto, re.DOTALL | re.MULTILINE)
    pairs = re.findall(r"^ +(\w+) (\w+) = \d+;", found[1] if found else "", re.MULTILINE)
    return [Kind(message, field) for message, field in pairs]


def message_type_lacks(kind: Kind, root: Path = ROOT) -> Iterator[str]:
    """What is missing of a type of transaction, each as ``file: what``."""
    if not re.search(rf"\b{kind.field}\b", (root / "abci_app/pb/dta/v1/tx_pb2.pyi").read_text()):
        yield f"abci_app/pb: does not know {kind.name}; run scripts/proto.sh"
    registry = (root / "abci_app/messages/registry.py").read_text()
    if f"    {kind.field},\n" not in registry:
        yield f"abci_app/messages/registry.py: does not import {kind.field}"
    if f"    {kind.field}.SPEC,\n" not in registry:
        yield f"abci_app/messages/registry.py: does not list {kind.field}.SPEC, at its place in TxBody's order"
    tests = _text(root / "tests")
    if not re.search(rf"\b{kind.name}\(", tests):
        yield f"tests/unit/test_{kind.field}.py: no test sends a {kind.name}"
    where = f"abci_app/messages/{kind.field}.py"
    if not (root / where).is_file():
        yield f"{where}: is not there; it has the rules of {kind.name} and its SPEC"
        return
    text = (root / where).read_text()
    yield from _module_lacks(kind, where, text)
    yield from _codes_lack(kind, text, (root / "abci_app/codes.py").read_text(), tests)
    hooks = _text(root / "dta/node")
    for owed in re.findall(r"\bdue=lambda \w+: \(DueKind\.([A-Z_]+),", text):
        if f"DueKind.{owed}: " not in hooks:
            yield f"dta/node/agent/jobs.py: no hook answers what is owed as {owed}"


def proposal_kind_lacks(kind: Kind, root: Path = ROOT) -> Iterator[str]:
    """What is missing of a kind of proposal, each as ``file: what``."""
    if not re.search(rf"\b{kind.field}\b", (root / "abci_app/pb/dta/v1/governance_pb2.pyi").read_text()):
        yield f"abci_app/pb: does not know {kind.name}; run scripts/proto.sh"
    tests = _text(root / "tests")
    if not re.search(rf"\b{kind.name}\(", tests):
        yield f"tests/unit/test_{kind.field}.py: no test proposes a {kind.name}"
    if f"| `{kind.field} {{" not in (root / "docs/spec/governance.md").read_text():
        yield f"docs/spec/governance.md: has no row of {kind.field} that says what is checked"
    modules = {path.stem: path.read_text() for path in sorted((root / "abci_app/governance").glob("*.py"))}
    found = [name for name, text in modules.items() if f'field="{kind.field}"' in text and "ACTION = Action(" in text]
    if not found:
        yield f"abci_app/governance/{kind.field}.py: no module has the ACTION of {kind.field}"
        return
    if f"{found[0]}.ACTION," not in modules.get("actions", ""):
        yield f"abci_app/governance/actions.py: does not list {found[0]}.ACTION, at its place in Action's order"
    yield from _codes_lack(kind, modules[found[0]], (root / "abci_app/codes.py").read_text(), tests)


def _module_lacks(kind: Kind, where: str, text: str) -> Iterator[str]:
    if not text.startswith(f'"""{kind.name}: '):
        yield f'{where}: does not begin with """{kind.name}: and what it does, which docs/spec/messages.md shows'
    if f'field="{kind.field}"' not in text or not re.search(rf"message=\w+\.{kind.name},", text):
        yield f"{where}: has no SPEC of {kind.field} and {kind.name}"


def _codes_lack(kind: Kind, text: str, codes: str, tests: str) -> Iterator[str]:
    for code in dict.fromkeys(re.findall(r"\bCode\.([A-Z_]+)\b", text)):
        if not re.search(rf"^    {code} = \d+$", codes, re.MULTILINE):
            yield f"abci_app/codes.py: {code} has no number"
        if f"    Code.{code}: (" not in codes:
            yield f"abci_app/codes.py: {code} has no row that says what it means and what to do"
        if not re.search(rf"\bCode\.{code}\b", tests):
            yield f"tests/unit/test_{kind.field}.py: no test is refused with {code}"


def _text(directory: Path) -> str:
    return "".join(path.read_text() for path in sorted(directory.rglob("*.py")))
