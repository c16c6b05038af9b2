"""What a type of transaction consists of, by the files: so that one that lacks something is told what, and where.

Only text is read: what is missing may well keep the registry from being imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class MessageType:
    """A message of TxBody's oneof: ``PlaceOrder place_order``."""

    name: str
    field: str


def declared(root: Path = ROOT) -> list[MessageType]:
    """Every type, as proto/dta/v1/tx.proto has them in TxBody."""
    proto = (root / "proto/dta/v1/tx.proto").read_text()
    oneof = re.search(r"^  oneof message \{\n(.*?)^  \}", proto, re.DOTALL | re.MULTILINE)
    found = re.findall(r"^ +(\w+) (\w+) = \d+;", oneof[1] if oneof else "", re.MULTILINE)
    return [MessageType(name, field) for name, field in found]


def lacks(kind: MessageType, root: Path = ROOT) -> Iterator[str]:
    """What is missing of a type, each as ``file: what``."""
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


def _module_lacks(kind: MessageType, where: str, text: str) -> Iterator[str]:
    if not text.startswith(f'"""{kind.name}: '):
        yield f'{where}: does not begin with """{kind.name}: and what it does, which docs/spec/messages.md shows'
    if f'field="{kind.field}"' not in text or not re.search(rf"message=\w+\.{kind.name},", text):
        yield f"{where}: has no SPEC of {kind.field} and {kind.name}"


def _codes_lack(kind: MessageType, text: str, codes: str, tests: str) -> Iterator[str]:
    for code in dict.fromkeys(re.findall(r"\bCode\.([A-Z_]+)\b", text)):
        if not re.search(rf"^    {code} = \d+$", codes, re.MULTILINE):
            yield f"abci_app/codes.py: {code} has no number"
        if f"    Code.{code}: (" not in codes:
            yield f"abci_app/codes.py: {code} has no row that says what it means and what to do"
        if not re.search(rf"\bCode\.{code}\b", tests):
            yield f"tests/unit/test_{kind.field}.py: no test is refused with {code}"


def _text(directory: Path) -> str:
    return "".join(path.read_text() for path in sorted(directory.rglob("*.py")))
