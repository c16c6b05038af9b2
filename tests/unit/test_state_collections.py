"""What is declared of state: its keys, its parts, what a person is told; and that nothing else is in it."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path

import pytest

from abci_app.messages.registry import INDEXES, LEAVES
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.collection import AnyLeaves, Index, Records, Values, at
from abci_app.state.deadlines import DeadlineKind
from abci_app.state.indexes import DEADLINE_TIME, OPEN_REQUESTS
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay
from abci_app.state.records import (
    IDENTITY_HISTORY,
    PARTIALS,
    PERMITS,
    REQUESTS,
    UPGRADES,
    USED_POINTS,
)
from dta.client.ledger import leaves
from tests.sim.rebuild import undeclared
from tests.support.messages import busy_custody

ROOT = Path(__file__).parents[2]
A, B = b"\x01" * 32, b"\x02" * 32
ONE, TWO = A.hex(), B.hex()


def test_a_key_is_the_prefix_and_its_parts_big_endian() -> None:
    assert UPGRADES.key() == b"upgrade/"
    assert REQUESTS.key(A) == b"request/" + A
    assert IDENTITY_HISTORY.key(A, 258) == b"id-history/" + A + bytes([0, 0, 1, 2])
    assert PARTIALS.key(A, 1, 2, B) == b"partial/" + A + bytes([0, 0, 0, 1, 0, 0, 0, 2]) + B
    assert DEADLINE_TIME.key(3, DeadlineKind.PROPOSAL, A) == b"deadline-time/" + bytes([0] * 7 + [3, 10]) + A
    assert OPEN_REQUESTS.under(A) == b"open-requests/" + A
    assert OPEN_REQUESTS.under() == OPEN_REQUESTS.prefix


@pytest.mark.parametrize("places", [*LEAVES, *INDEXES], ids=lambda places: places.prefix.decode())
def test_a_key_is_split_into_what_it_was_built_of(places: AnyLeaves) -> None:
    values = [part.decode(bytes([n]) * part.widths[-1]) for n, part in enumerate(places.parts, start=1)]
    key = places.key(*values)
    assert places.split(key) == tuple(values)
    assert places.under(*values) == key
    for wrong in (key + b"\0", key[:-1], b"x" + key[1:]):
        assert not places.holds(wrong)
        with pytest.raises(ValueError, match="is no key of"):
            places.split(wrong)


def test_a_last_part_may_have_one_of_several_widths() -> None:
    for width in (48, 96):
        assert USED_POINTS.split(USED_POINTS.key(bytes(width))) == (bytes(width),)
    assert not USED_POINTS.holds(USED_POINTS.key(bytes(64)))


def test_too_many_or_too_few_parts_make_no_key() -> None:
    for places, parts in ((REQUESTS, (A, B)), (IDENTITY_HISTORY, (A,)), (PARTIALS, (A, 1, 2)), (UPGRADES, (A,))):
        with pytest.raises((TypeError, ValueError)):
            places.key(*parts)


def test_no_prefix_is_the_beginning_of_another() -> None:
    prefixes = [places.prefix for places in (*LEAVES, *INDEXES)]
    assert len(set(prefixes)) == len(prefixes)
    for one in prefixes:
        assert one.endswith(b"/")
        assert one.count(b"/") == 1
        assert not [other for other in prefixes if other != one and other.startswith(one)]


def test_a_label_names_parts_of_its_key_and_says_something_of_its_own() -> None:
    for one in LEAVES:
        named = [name for _, name, _, _ in string.Formatter().parse(one.label) if name is not None]
        assert set(named) <= {part.name for part in one.parts}
        assert one.value
        assert one.written_by
    assert len({one.label for one in LEAVES}) == len(LEAVES)
    assert all(one.one_for for one in INDEXES)


def test_what_a_person_is_told_a_leaf_is() -> None:
    assert leaves.of(REQUESTS, A).name == f"request {ONE}"
    assert leaves.of(UPGRADES).name == "planned upgrade"
    assert leaves.of(IDENTITY_HISTORY, A, 3).name == f"history entry 3 of identity {ONE}"
    assert leaves.of(PARTIALS, A, 0, 5, B).name == f"partial of {TWO} for item 0 of extraction {ONE}"
    assert leaves.of(PERMITS, A, 20_000, B).name == f"permit of client {TWO} for day 20000 in realm {ONE}"


def test_everything_in_state_is_of_a_declared_kind() -> None:
    """Every simulated schedule asks this after every block; here it is seen to fail."""
    view = busy_custody()[0].chain.view
    assert undeclared(view) == []
    other = Overlay(view)
    other.put(REQUESTS.key(A + b"\0"), b"x")
    other.put(b"nothing/", b"x")
    other.index_put(REQUESTS.key(A))
    assert undeclared(other) == [b"nothing/", REQUESTS.key(A + b"\0"), REQUESTS.key(A)]


def test_records_values_and_entries_are_written_and_read() -> None:
    records = Records(custody_pb2.CounterRecord, at("a/").id("who").u32("n"), label="a", written_by="a")
    values = Values(at("b/").u64("n"), label="b", value="b", written_by="b")
    index = Index(at("c/").id("who").u64("n"), one_for="c")
    state = Overlay(MemoryView())
    assert (records.find(state, A, 1), values.find(state, 1), index.find(state, A, 1)) == (None, None, None)
    for number in (2, 1):
        records.put(state, custody_pb2.CounterRecord(open_orders=number), A, number)
        index.put(state, A, number)
    values.put(state, b"value", 7)
    assert records.get(state, A, 2).open_orders == 2
    assert [one.open_orders for one in records.all(state, A)] == [1, 2]
    assert list(records.all(state, B)) == []
    assert values.find(state, 7) == b"value"
    assert list(index.entries(state)) == [(A, 1), (A, 2)]
    assert list(index.entries(state, A, limit=1)) == [(A, 1)]
    assert index.has_any(state, A)
    assert not index.has_any(state, B)
    values.delete(state, 7)
    index.delete(state, A, 1)
    assert not values.exists(state, 7)
    assert not index.exists(state, A, 1)
    assert index.exists(state, A, 2)


SNIPPET = """
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.records import IDENTITY_HISTORY, REQUESTS
from abci_app.state.view import StateView
from dta.client.ledger import leaves
from dta.client.ledger.leaves import Leaf

leaf: Leaf[custody_pb2.RequestRecord] = leaves.of(REQUESTS, b"")

def read(view: StateView) -> custody_pb2.RequestRecord:
    IDENTITY_HISTORY.key(b"", 1)
"""


@pytest.mark.parametrize(
    ("line", "exit_code"),
    [
        ("return REQUESTS.get(view, b'')", 0),
        ("return REQUESTS.get(view, 5)", 1),
        ("return REQUESTS.get(view, b'', b'')", 1),
        ("return IDENTITY_HISTORY.get(view, b'', 1)", 1),
        ("IDENTITY_HISTORY.key(1, b'')", 1),
        ("leaves.of(REQUESTS, 5)", 1),
    ],
)
def test_mypy_knows_the_parts_and_the_record(tmp_path: Path, line: str, exit_code: int) -> None:
    module = tmp_path / "module.py"
    rest = "" if line.startswith("return") else "    return REQUESTS.get(view, b'')\n"
    module.write_text(f"{SNIPPET}    {line}\n{rest}")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(module)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stdout
