"""One resolver for ids: what it takes, and the one message each for too short, unknown and ambiguous."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

from abci_app.pb.dta.v1.authority_pb2 import AuthorityRecord
from abci_app.pb.dta.v1.identity_pb2 import IdentityDocument
from dta.base import ids
from dta.base.errors import NotFound
from dta.base.home import Home
from dta.client import names
from dta.client.ledger import authority
from dta.client.ledger.ledger import Ledger
from dta.client.mfa import registry
from dta.client.names import NameBook

ONE, TWO, OTHER = bytes.fromhex("aabb" + 60 * "1"), bytes.fromhex("aabb" + 60 * "2"), bytes.fromhex("cc" * 32)
KNOWN = (ONE, TWO, OTHER)


def test_first_digits_name_the_one_that_begins_so() -> None:
    assert ids.resolve("cccc", "order", lambda: KNOWN) == OTHER
    assert ids.resolve(" AABB1 ", "order", lambda: KNOWN) == ONE


def test_all_digits_are_taken_without_asking_anybody() -> None:
    def asked() -> list[bytes]:
        raise AssertionError("nobody was to be asked")

    assert ids.resolve(OTHER.hex().upper(), "order", asked) == OTHER


def test_a_source_is_asked_only_where_those_before_it_know_none() -> None:
    def asked() -> list[bytes]:
        raise AssertionError("nobody was to be asked")

    assert ids.resolve("cccc", "order", lambda: [OTHER], asked) == OTHER
    assert ids.resolve("cccc", "order", lambda: [ONE], lambda: [OTHER]) == OTHER


@pytest.mark.parametrize(("text", "error", "kind"), [
    ("xyz!", ids.NotAnId, "not-an-id"), ("", ids.NotAnId, "not-an-id"), ("a" * 65, ids.NotAnId, "not-an-id"),
    ("aab", ids.IdTooShort, "id-too-short"), ("aabb", ids.IdAmbiguous, "id-ambiguous"),
    ("dddd", ids.IdUnknown, "id-unknown"), ("c" * 63 + "d"[:0] + "e"[:0], ids.IdUnknown, "id-unknown"),
])  # fmt: skip
def test_what_names_nothing_is_refused_by_kind(text: str, error: type[Exception], kind: str) -> None:
    known = (ONE, TWO, bytes.fromhex("c" * 62 + "dd"))
    with pytest.raises(error) as caught:
        ids.resolve(text, "order", lambda: known)
    assert caught.value.kind == kind  # type: ignore[attr-defined]
    if error is ids.IdAmbiguous:
        assert caught.value.data == {"matches": [ONE.hex(), TWO.hex()]}  # type: ignore[attr-defined]


def test_names_and_clients_speak_of_ids_with_the_same_words(tmp_path: Path) -> None:
    book = NameBook({"alice": ONE, "bob": TWO, "carol": OTHER})
    assert book.resolve("CCCC") == OTHER
    for text, error in (("aab", ids.IdTooShort), ("aabb", ids.IdAmbiguous), ("dddd", ids.IdUnknown)):
        with pytest.raises(error):
            book.resolve(text)
    with pytest.raises(ids.IdUnknown):
        registry.find(tmp_path, ONE, TWO, "dddd")
    with pytest.raises(NotFound, match="nobody called"):
        registry.find(tmp_path, ONE, TWO, "dave")


def test_no_command_reads_an_id_by_itself() -> None:
    """``bytes.fromhex`` in a command is of what is no id, and named here with what it is."""
    allowed = {
        "debug.py": "a key of the state", "vault.py": "--nonce", "governance/view.py": "fields of protobuf's JSON"
    }  # fmt: skip
    root = Path(__file__).parents[2] / "dta/cli"
    found = set()
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "fromhex":
                found.add(path.relative_to(root).as_posix())
    assert found == set(allowed)


def test_a_name_that_reads_as_somebody_else_s_id_is_not_taken_for_it() -> None:
    """Names are chosen by whoever has them: 64 characters of an authority key's are as many as an id has digits."""
    known = {ONE: "custody", TWO: OTHER.hex(), OTHER: "aabb1", bytes.fromhex("dd" * 32): "beef"}
    assert ids.named("custody", "key", known) == ONE
    assert ids.named("beef", "key", known) == bytes.fromhex("dd" * 32)
    assert ids.named(OTHER.hex(), "key", known) == OTHER
    assert ids.named("aabb2", "key", known) == TWO
    with pytest.raises(ids.IdAmbiguous) as caught:
        ids.named("aabb1", "key", known)  # the first digits of one, the name of another
    assert caught.value.data == {"matches": [ONE.hex(), OTHER.hex()]}
    with pytest.raises(ids.IdAmbiguous, match="means 2 keys"):
        ids.named("twin", "key", {ONE: "twin", TWO: "twin"})
    with pytest.raises(ids.IdUnknown):
        ids.named("eeee", "key", known)
    assert ids.named("nobody", "key", known) is None


def test_names_and_keys_are_found_so(monkeypatch: pytest.MonkeyPatch) -> None:
    book = NameBook({OTHER.hex(): ONE, "cccc": TWO, "carol": OTHER, "c": OTHER})
    assert book.resolve(OTHER.hex()) == OTHER
    assert book.resolve("c") == OTHER
    with pytest.raises(ids.IdAmbiguous):
        book.resolve("cccc")
    records = [AuthorityRecord(id=ONE, name=OTHER.hex()), AuthorityRecord(id=OTHER, name="real")]
    monkeypatch.setattr(authority, "every", lambda _: records)
    assert authority.resolve(Ledger.__new__(Ledger), OTHER.hex()) == OTHER


def test_founders_names_that_are_no_one_s_alone_name_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = ("alice", "twin", "twin", ONE.hex(), "beef")
    documents = [IdentityDocument(name=name, tx_key=bytes([n])) for n, name in enumerate(named)]
    founders = [SimpleNamespace(document=document) for document in documents]
    monkeypatch.setattr(names.genesis_file, "read", lambda _: SimpleNamespace(documents=lambda: founders))
    home = Home(tmp_path)
    home.genesis_file.write_text("{}")
    book = NameBook.of_home(home)
    assert list(book.ids) == ["alice", "beef"]
    assert len(book.fiduciaries) == 5
    twin = book.fiduciaries[1]
    assert book.resolve(twin.hex()[:12]) == twin
    assert book.name_of(twin) == twin.hex()[:12]
