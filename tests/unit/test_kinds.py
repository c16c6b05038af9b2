"""A type of transaction, a kind of proposal is whole, or one test says what is missing and where (CONTRIBUTING.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.kinds import ROOT, Kind, message_type_lacks, message_types, proposal_kind_lacks, proposal_kinds

NOTE = Kind("LeaveNote", "leave_note")
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


MUTE = Kind("MuteByVote", "mute")
WHOLE_PROPOSAL = {
    "proto/dta/v1/governance.proto": "message Action {\n  oneof kind {\n    MuteByVote mute = 9;\n  }\n}\n",
    "abci_app/pb/dta/v1/governance_pb2.pyi": "class Action:\n    mute: MuteByVote\n",
    "abci_app/governance/actions.py": "_ALL = (mute.ACTION,)\n",
    "abci_app/governance/mute.py": 'ACTION = Action(field="mute", message=pb.MuteByVote, codes=(Code.TOO_LOUD,))\n',
    "abci_app/codes.py": '    TOO_LOUD = 129\n    Code.TOO_LOUD: ("too loud", False, "hush"),\n',
    "docs/spec/governance.md": "| `mute { identity }` | it is loud | 129 TOO_LOUD |\n",
    "tests/unit/test_mute.py": "assert propose(pb.MuteByVote()).code == Code.TOO_LOUD\n",
}


def missing_of(root: Path) -> list[str]:
    return [sentence for kind in message_types(root) for sentence in message_type_lacks(kind, root)]


def missing_of_proposals(root: Path) -> list[str]:
    return [sentence for kind in proposal_kinds(root) for sentence in proposal_kind_lacks(kind, root)]


def planted(root: Path, change: Callable[[dict[str, str]], object], whole: Mapping[str, str] = WHOLE) -> Path:
    files = dict(whole)
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


def test_no_message_type_and_no_kind_of_proposal_lacks_anything() -> None:
    assert len(message_types()) > 30
    assert len(proposal_kinds()) > 8
    assert [*missing_of(ROOT), *missing_of_proposals(ROOT)] == []


def test_what_has_everything_lacks_nothing(tmp_path: Path) -> None:
    assert message_types(planted(tmp_path / "a", lambda files: None)) == [NOTE]
    assert missing_of(tmp_path / "a") == []
    assert proposal_kinds(planted(tmp_path / "b", lambda files: None, WHOLE_PROPOSAL)) == [MUTE]
    assert missing_of_proposals(tmp_path / "b") == []


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


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("abci_app/pb/dta/v1/governance_pb2.pyi", "mute",
         "abci_app/pb: does not know MuteByVote; run scripts/proto.sh"),
        ("abci_app/governance/actions.py", "mute.ACTION,",
         "abci_app/governance/actions.py: does not list mute.ACTION, at its place in Action's order"),
        ("abci_app/governance/mute.py", 'field="mute"',
         "abci_app/governance/mute.py: no module has the ACTION of mute"),
        ("abci_app/codes.py", "    TOO_LOUD = 129\n", "abci_app/codes.py: TOO_LOUD has no number"),
        ("docs/spec/governance.md", "mute {",
         "docs/spec/governance.md: has no row of mute that says what is checked"),
        ("tests/unit/test_mute.py", "pb.MuteByVote()", "tests/unit/test_mute.py: no test proposes a MuteByVote"),
        ("tests/unit/test_mute.py", "Code.TOO_LOUD", "tests/unit/test_mute.py: no test is refused with TOO_LOUD"),
    ],
)  # fmt: skip
def test_what_a_kind_of_proposal_lacks_is_named_with_its_file(tmp_path: Path, name: str, text: str, said: str) -> None:
    assert missing_of_proposals(planted(tmp_path, without(name, text), WHOLE_PROPOSAL)) == [said]
