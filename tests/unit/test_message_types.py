"""A type of transaction is whole, or one test says what is missing and where (CONTRIBUTING.md, A transaction type)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.kinds import MessageType, declared, lacks

NOTE = MessageType("LeaveNote", "leave_note")
WHOLE = {
    "proto/dta/v1/tx.proto": "message TxBody {\n  oneof message {\n    LeaveNote leave_note = 80;\n  }\n}\n",
    "abci_app/pb/dta/v1/tx_pb2.pyi": "class TxBody:\n    leave_note: LeaveNote\n",
    "abci_app/messages/registry.py": "from abci_app.messages import (\n    leave_note,\n)\n_ALL = (\n"
    "    leave_note.SPEC,\n)\n",
    "abci_app/messages/leave_note.py": '"""LeaveNote: a note."""\nraise Refusal(Code.NOTE_TOO_LONG)\n'
    'SPEC = MessageSpec(field="leave_note", message=tx_pb2.LeaveNote, codes=(Code.NOTE_TOO_LONG,),\n'
    "    due=lambda message: (DueKind.LEAVE_NOTE, message.order))\n",
    "dta/node/agent/jobs.py": "_PERFORM = {DueKind.LEAVE_NOTE: _leave_note}\n",
    "abci_app/codes.py": '    NOTE_TOO_LONG = 128\n    Code.NOTE_TOO_LONG: ("too long", False, "shorten it"),\n',
    "tests/unit/test_leave_note.py": "assert send(tx_pb2.LeaveNote()).code == Code.NOTE_TOO_LONG\n",
}


def missing_of(root: Path) -> list[str]:
    return [sentence for kind in declared(root) for sentence in lacks(kind, root)]


def planted(root: Path, change: Callable[[dict[str, str]], object]) -> Path:
    files = dict(WHOLE)
    change(files)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def without(name: str, text: str) -> Callable[[dict[str, str]], object]:
    def change(files: dict[str, str]) -> None:
        assert text in files[name]
        files[name] = files[name].replace(text, "")

    return change


def test_no_message_type_lacks_anything() -> None:
    root = Path(__file__).resolve().parents[2]
    assert len(declared(root)) > 30
    assert missing_of(root) == []


def test_a_type_that_has_everything_lacks_nothing(tmp_path: Path) -> None:
    assert declared(planted(tmp_path, lambda files: None)) == [NOTE]
    assert missing_of(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("abci_app/pb/dta/v1/tx_pb2.pyi", "leave_note", "abci_app/pb: does not know LeaveNote; run scripts/proto.sh"),
        ("abci_app/messages/registry.py", "    leave_note,\n",
         "abci_app/messages/registry.py: does not import leave_note"),
        ("abci_app/messages/registry.py", "    leave_note.SPEC,\n",
         "abci_app/messages/registry.py: does not list leave_note.SPEC, at its place in TxBody's order"),
        ("abci_app/messages/leave_note.py", "LeaveNote: ",
         'abci_app/messages/leave_note.py: does not begin with """LeaveNote: and what it does, which '
         "docs/spec/messages.md shows"),
        ("abci_app/messages/leave_note.py", "SPEC = MessageSpec(field=\"leave_note\", ",
         "abci_app/messages/leave_note.py: has no SPEC of leave_note and LeaveNote"),
        ("abci_app/codes.py", "    NOTE_TOO_LONG = 128\n", "abci_app/codes.py: NOTE_TOO_LONG has no number"),
        ("abci_app/codes.py", "    Code.NOTE_TOO_LONG: (",
         "abci_app/codes.py: NOTE_TOO_LONG has no row that says what it means and what to do"),
        ("dta/node/agent/jobs.py", "DueKind.LEAVE_NOTE: _leave_note",
         "dta/node/agent/jobs.py: no hook answers what is owed as LEAVE_NOTE"),
        ("tests/unit/test_leave_note.py", "tx_pb2.LeaveNote()",
         "tests/unit/test_leave_note.py: no test sends a LeaveNote"),
        ("tests/unit/test_leave_note.py", "Code.NOTE_TOO_LONG",
         "tests/unit/test_leave_note.py: no test is refused with NOTE_TOO_LONG"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_its_file(tmp_path: Path, name: str, text: str, said: str) -> None:
    assert missing_of(planted(tmp_path, without(name, text))) == [said]


def test_a_type_that_is_only_in_the_proto_is_told_all_that_it_takes(tmp_path: Path) -> None:
    def only_proto(files: dict[str, str]) -> None:
        for name in WHOLE:
            files[name] = WHOLE[name] if name.startswith("proto/") else ""
        del files["abci_app/messages/leave_note.py"]

    assert [sentence.partition(":")[0] for sentence in missing_of(planted(tmp_path, only_proto))] == [
        "abci_app/pb", "abci_app/messages/registry.py", "abci_app/messages/registry.py",
        "tests/unit/test_leave_note.py", "abci_app/messages/leave_note.py",
    ]  # fmt: skip
