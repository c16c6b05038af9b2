"""Every message keeps to what it declares; the registry, the codes and the pages that list them agree."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from abci_app import limits, params
from abci_app.codes import CODES, Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.messages import registry, submit_results
from abci_app.messages.registry import EVENTS, INDEXES, LEAVES, SPECS
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2, tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.indexes import QUEUES
from tests.sim.schedule import run_schedule
from tests.support.messages import busy_custody, sensible_messages

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "spec"


def watched(spec: MessageSpec[Any], calls: dict[str, int]) -> MessageSpec[Any]:
    """The same message type, held to its declaration each time it is called."""

    def refused(refusal: Refusal) -> None:
        assert refusal.code in spec.codes, f"{spec.field} may not answer {refusal.code.name}"

    def validate(message: Any) -> None:
        try:
            spec.validate(message)
        except Refusal as refusal:
            refused(refusal)
            raise

    def execute(context: Context, message: Any) -> bytes:
        calls[spec.field] += 1
        before, already = context.state.checkpoint(), len(context.events)  # results before it in a bundle
        try:
            data = spec.execute(context, message)
        except Refusal as refusal:
            refused(refusal)
            raise
        for _, key, _, _ in context.state._journal[before:]:
            # A message that writes to a queue may move where it begins.
            may = [*spec.writes, *(queue.first for queue in QUEUES if queue in spec.writes)]
            assert any(places.holds(key) for places in may), f"{spec.field} may not write {key!r}"
        for event in context.events[already:]:
            assert any(one.includes(event) for one in spec.events), f"{spec.field} may not emit {event}"
        return data

    return dataclasses.replace(spec, validate=validate, execute=execute)


def test_every_message_writes_answers_and_emits_only_what_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, int] = defaultdict(int)
    for name, spec in list(SPECS.items()):
        monkeypatch.setitem(SPECS, name, watched(spec, calls))
    for name in submit_results.RESULTS:
        monkeypatch.setitem(submit_results.RESULTS, name, SPECS[name])
    for seed in range(5_000, 5_080):
        run_schedule(seed)  # a broken declaration becomes code FAILED, with which a schedule fails
    never = [spec.message.DESCRIPTOR.name for name, spec in SPECS.items() if name not in calls]
    assert never == [], f"tests/sim/moves.py: no schedule ever brings {never} to their rules; each needs a move"


def test_the_registry_names_each_message_of_the_body_once_and_in_its_order() -> None:
    fields = [field.name for field in tx_pb2.TxBody.DESCRIPTOR.oneofs_by_name["message"].fields]
    assert list(SPECS) == fields
    assert len({spec.message for spec in SPECS.values()}) == len(fields)


@pytest.mark.parametrize("name", SPECS)
def test_what_a_message_declares_exists(name: str) -> None:
    spec = SPECS[name]
    assert set(spec.writes) <= {*LEAVES, *INDEXES}
    assert len(set(spec.writes)) == len(spec.writes)
    assert set(spec.codes) <= set(Code)
    assert len(set(spec.codes)) == len(spec.codes)
    assert set(spec.events) <= set(EVENTS)
    assert len(set(spec.events)) == len(spec.events)
    assert (spec.due is not None or spec.parts is not None) == (spec.message_class is MessageClass.RESULT)
    assert spec.__class__.__doc__
    empty = spec.message()
    if spec.parts is None:
        assert 0 < spec.cost(empty) < params.default_params().max_block_cost
    if spec.due is not None:
        assert isinstance(spec.due(empty)[0], DueKind)


def test_a_cost_grows_with_what_it_is_for_and_never_past_a_block() -> None:
    custody, ids = busy_custody()
    for _, message, _ in sensible_messages(custody, ids):
        name = next(name for name, spec in SPECS.items() if isinstance(message, spec.message))
        assert SPECS[name].cost(message) >= SPECS[name].cost(SPECS[name].message())


def greatest(name: str) -> Message:
    """A result with as much in it as its form allows."""
    members, items = limits.MAX_AUTHORITY_MEMBERS, limits.MAX_EXTRACTION_ITEMS
    dealing = authority_pb2.Dealing(
        commitments=[bytes(48)] * members, shares=[bytes(32)] * members, constant_g2=bytes(96)
    )
    partials = [extraction_pb2.BlindedPartial(c1=bytes(96), c3=bytes(96))] * items
    disputes = authority_pb2.DisputeDealings(accusations=[authority_pb2.Accusation()] * members)
    return {
        "submit_results": tx_pb2.SubmitResults(results=[tx_pb2.Result(dispute_dealings=disputes)]),
        "deal_shares": authority_pb2.DealShares(dealing=dealing),
        "dispute_dealings": disputes,
        "submit_partials": extraction_pb2.SubmitPartials(partials=partials),
        "submit_unblinded": extraction_pb2.SubmitUnblinded(partials=[extraction_pb2.UnblindedPartial()] * items),
    }.get(name, SPECS[name].message())


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.message_class is MessageClass.RESULT])
def test_the_smallest_block_has_room_for_the_greatest_result(name: str) -> None:
    """Whatever governance changes meanwhile, what a fiduciary owes is never too dear to be sent."""
    message = greatest(name)
    has_items = [one for one in message.DESCRIPTOR.fields if one.is_repeated]
    assert not [one.name for one in has_items if not getattr(message, one.name)], "say what the greatest one is"
    assert SPECS[name].cost(message) <= params.MIN_BLOCK_COST


def table_rows(page: str, first_heading: str) -> list[list[str]]:
    """The rows of the Markdown table whose first heading is given."""
    lines = (PAGES / page).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


def test_every_code_has_a_number_a_row_and_a_hint_of_its_own() -> None:
    assert sorted(CODES) == sorted(int(code) for code in Code)
    assert len(Code.__members__) == len(CODES), "two names for one number"
    assert max(CODES) < 32_000
    assert len({row.meaning for row in CODES.values()}) == len(CODES)
    assert [row.name for number, row in CODES.items() if number and not row.hint] == []


def test_every_code_is_declared_by_a_message_or_belongs_to_the_transaction() -> None:
    declared = {code for spec in SPECS.values() for code in spec.codes}
    of_transactions = {code for code in Code if code < 40} | {Code.NEXT_KEY_MISMATCH}
    of_queries = {code for code in Code if 200 <= code < 220}
    assert set(Code) - declared - of_transactions - of_queries == set()


def test_the_page_of_parameters_is_the_table_of_parameters() -> None:
    expected = [
        [f"`{name}`", f"{default:,}", f"{least:,}", f"{most:,}"]
        for name, (default, least, most) in params._BOUNDS.items()
    ]
    assert [row[:4] for row in table_rows("parameters.md", "parameter")] == expected


def test_a_message_costs_one_module_and_one_line_of_the_registry() -> None:
    """Cost of change: a module of its own, imported in one line and listed in one more."""
    text = Path(registry.__file__).read_text()
    for name in SPECS:
        assert (Path(registry.__file__).parent / f"{name}.py").is_file()
        assert len(re.findall(rf"\b{name}\b", text)) == 2
    elsewhere = [ROOT / "abci_app" / name for name in ("transition.py", "mempool.py", "sweep.py", "replay.py")]
    for path in elsewhere:
        mentioned = [name for name in SPECS if re.search(rf'["\']{name}["\']', path.read_text())]
        assert mentioned == [], f"{path.name} knows messages by name"
