"""What docs/spec/door.md says of the door's methods and places is what the code has: each row, and each number."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path

import pytest

from dta.node.door.config import Budgets, DoorConfig
from dta.node.door.follow import NEAR_BLOCKS, RESOLVE_EVERY_S
from dta.node.door.index import MOST_EVENTS, PAGE_EVENTS
from dta.node.door.methods import BYTES_PER_UNIT, MAX_CALL_BYTES, MAX_ID_CHARS, METHODS, Lane, Method
from dta.node.door.names import THREADS
from tests.support.comet_methods import bound_of
from tests.support.tables import rows_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "spec" / "door.md"
TEXT = " ".join(PAGE.read_text().split())
CONFIG = DoorConfig("", Path(), "", b"")
WORDS = {2: "Two", 4: "four", 5: "five", 12: "Twelve", 2_000_000: "two million"}
CODE = re.compile(r"`([^`]+)`")


def methods_on_the_page() -> dict[str, list[str]]:
    """The row of each method, which may stand in it with others."""
    return {name: row for row in rows_of(PAGE, "method") for name in CODE.findall(row[0])}


def size(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes >= 1 << 20 else f"{size_bytes >> 10} KiB"


def test_the_page_lists_the_methods_that_there_are_each_once() -> None:
    named = [name for row in rows_of(PAGE, "method") for name in CODE.findall(row[0])]
    assert sorted(named) == sorted(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_s_row_has_its_parameters_units_and_cap(name: str) -> None:
    row, method = methods_on_the_page().get(name, [""] * 4), METHODS[name]
    assert sorted(CODE.findall(re.sub(r"\([^)]*\)", "", row[1]))) == sorted(method.params)
    assert row[2] == str(method.cost) + (" and its bytes" if method.cost_by_bytes else "")
    assert row[3] == size(method.max_answer_bytes)


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_s_row_says_of_a_parameter_s_values_is_so(name: str) -> None:
    said = dict(re.findall(r"`(\w+)` \(([^)]*)\)", methods_on_the_page().get(name, [""] * 4)[1]))
    for parameter, values in said.items():
        largest = bound_of(name, parameter).largest
        form, _, most = values.rpartition(", ")
        if form in ("base64", "hex"):
            found = {len(b64decode(one) if form == "base64" else bytes.fromhex(one)) for one in largest}
            assert found == {int(most.removesuffix(" bytes").replace(",", ""))}
        elif CODE.findall(values):
            assert set(CODE.findall(values)) == set(largest)
        else:
            assert values == " or ".join(str(one).lower() for one in largest)
    assert set(said) == {one for one in METHODS[name].params if not of_plain_form(METHODS[name], one)}


def of_plain_form(method: Method, parameter: str) -> bool:
    """Whether the page says by a sentence what it may be: a decimal string, or a flag that may be both."""
    takes = method.params[parameter]
    return takes("1") or (takes(True) and takes(False))


PLACES = {
    "max_connections": CONFIG.connection_s, "max_reserved": CONFIG.connection_s,
    "max_ipfs": CONFIG.answer_s + CONFIG.upload_s, "of fiduciaries": CONFIG.answer_s + CONFIG.upload_s,
    "max_rpc": CONFIG.body_s + CONFIG.answer_s, "max_bulk": 0.0, "max_streams": CONFIG.stream_s,
    "max_reads": CONFIG.connection_s,
}  # fmt: skip
"""What each row of Places is of, in their order, and how long one is had. ``reserved`` is ``max_reserved`` too."""


def test_the_rows_of_places_are_the_configuration_s() -> None:
    expected = []
    for name, seconds in PLACES.items():
        setting = "max_reserved" if name == "of fiduciaries" else name
        time = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s" if seconds else ""
        expected.append(
            [str(getattr(CONFIG, setting)), str(getattr(CONFIG, f"{setting}_per_address")), time]
        )
    assert [row[1:] for row in rows_of(PAGE, "what")] == expected


def test_every_budget_has_a_row_of_places() -> None:
    """Connections that wait have one besides; ``arriving`` are those of fiduciaries."""
    kinds = {"arriving": "max_reserved", "reserved": "of fiduciaries"}
    assert {kinds.get(name, f"max_{name}") for name in Budgets.__slots__} == PLACES.keys() - {"max_connections"}


def word(number: int) -> str:
    return WORDS.get(number, str(number))


def named(lane: Lane) -> str:
    return ", ".join(f"`{name}`" for name, method in METHODS.items() if method.lane is lane)


SENTENCES = [
    f"A body of at most {MAX_CALL_BYTES / 1000:.0f} kB",
    f"at most {MAX_ID_CHARS} printable characters",
    f"Each address has {CONFIG.rpc_units_per_minute:,} units a minute",
    f"charged one unit for {size(BYTES_PER_UNIT)} as it goes out",
    f"{word(CONFIG.max_queries)} calls at a time reach the application ({named(Lane.QUERY)}); the others wait "
    f"{CONFIG.query_s:.0f} s at most",
    f"{word(CONFIG.max_bulk)} calls for blocks, their results and the genesis ({named(Lane.BULK)}) are answered at a "
    f"time, {word(CONFIG.max_bulk_per_address)} of one address",
    f"Each address has {CONFIG.reads_per_minute} a minute, as many at once",
    f"pages of {PAGE_EVENTS} events",
    f"A comment every {CONFIG.heartbeat_s:.0f} s",
    f"Who takes longer than {CONFIG.slow_reader_s:.0f} s for what was written is cut",
    f"the index is at most {NEAR_BLOCKS} blocks behind",
    f"looked up every {word(int(RESOLVE_EVERY_S) // 60)} minutes",
    f"Lookups have {word(THREADS)} threads of their own",
    f"At most {word(MOST_EVENTS)} are kept",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_number_on_the_page_is_the_code_s(sentence: str) -> None:
    assert sentence in TEXT


def test_only_what_changes_something_is_answered_without_leave_for_browsers() -> None:
    writes = [f"`{name}`" for name, method in METHODS.items() if not method.is_read]
    assert f"{' and '.join([*writes, '`PUT`'])} are answered without it." in TEXT
