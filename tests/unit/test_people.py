"""How the same people are spoken of: a name that somebody chose passes for nobody else's, and for no id."""

from __future__ import annotations

import pytest

from dta.light.people import People, line, spoken
from dta.light.types import Validator

ALICE, EVIL, BOB = bytes.fromhex("3f2a" * 16), bytes.fromhex("99" * 32), bytes.fromhex("bb" * 32)


@pytest.mark.parametrize(("name", "shown"), [
    ("alice", "alice"), ("node-1.example_x", "node-1.example_x"), ("beef", "beef"),
    ("alice " + ALICE.hex()[:58], f'"alice {ALICE.hex()[:58]}"'), (ALICE.hex(), f'"{ALICE.hex()}"'),
    ("3F2A3F2A", '"3F2A3F2A"'), ("-", '"-"'), ('a" b', '"a\\" b"'), ("Acme Trust", '"Acme Trust"'),
])  # fmt: skip
def test_a_name_stands_in_quotes_unless_it_is_one_plain_word(name: str, shown: str) -> None:
    assert spoken(name) == shown
    people = People({EVIL: name}, {Validator(bytes(32), 1).address: EVIL})
    assert people.named(EVIL) == f"{shown} {EVIL.hex()}"
    row = people.row(Validator(bytes(32), 1))
    assert row["name"] == name
    assert line(row).startswith(f"{shown}  {EVIL.hex()}  ")


def test_a_name_that_others_have_is_said_to_be_one() -> None:
    people = People({ALICE: "alice", BOB: "bob"}) | People({EVIL: "Alice"})
    assert people.named(EVIL) == f"Alice {EVIL.hex()} (a name that 1 more has here)"
    assert people.named(ALICE) == f"alice {ALICE.hex()} (a name that 1 more has here)"
    assert people.named(BOB) == f"bob {BOB.hex()}"
    assert People().named(BOB) == BOB.hex()
