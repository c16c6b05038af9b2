"""Each method that a door answers, at its limits: its parameters, its answer's length, its units. All of METHODS are
tried, so that one which is added later is too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from door_harness import Comet, Open, play

from dta.node.door.methods import BYTES_PER_UNIT, MAX_CALL_BYTES, MAX_ID_CHARS, MAX_KEY_HEX_CHARS, METHODS, Lane
from tests.support.comet_methods import LISTED, bound_of

WIDEST_IDS = ("~" * MAX_ID_CHARS, '"' * MAX_ID_CHARS, (1 << 53) - 1)
"""The second is twice as long as it is sent."""
each_method = pytest.mark.parametrize("method", METHODS)


def call(method: str, params: dict[str, Any], id_: str | int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


@each_method
def test_each_parameter_is_taken_at_its_largest_and_refused_one_beyond(tmp_path: Path, method: str) -> None:
    async def scenario(door: Open) -> None:
        for name in METHODS[method].params:
            bound = bound_of(method, name)
            for value in bound.largest:
                asked = call(method, {**LISTED[method], name: value})
                assert (await door.post(asked)).status_code == 200, name
                assert door.comet.calls[-1] == asked
            reached = len(door.comet.calls)
            for value in bound.beyond:
                answer = await door.post(call(method, {**LISTED[method], name: value}))
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602), name
                assert len(door.comet.calls) == reached, "a refused call reaches nobody"

    play(tmp_path, scenario, Comet(answers={method: {}}))


def test_a_key_that_is_asked_for_has_its_bound_in_bytes() -> None:
    assert [len(value) for value in bound_of("abci_query", "data").largest] == [MAX_KEY_HEX_CHARS] * 2


@each_method
def test_the_widest_call_there_is_fits_into_a_body_and_a_body_of_one_byte_more_is_not_read(
    tmp_path: Path, method: str
) -> None:
    widest = {name: bound_of(method, name).largest[-1] for name in METHODS[method].params}

    async def scenario(door: Open) -> None:
        for id_ in WIDEST_IDS:
            content = json.dumps(call(method, widest, id_)).encode()
            answer = await door.post(content.ljust(MAX_CALL_BYTES))
            assert (answer.status_code, answer.json()["id"]) == (200, id_)
            assert door.comet.calls[-1] == call(method, widest, id_)
            reached = len(door.comet.calls)
            assert (await door.post(content.ljust(MAX_CALL_BYTES + 1))).status_code == 413
            assert len(door.comet.calls) == reached

    play(tmp_path, scenario, Comet(answers={method: {}}))


@each_method
def test_an_id_that_is_longer_or_not_to_be_printed_is_refused_and_not_repeated(tmp_path: Path, method: str) -> None:
    async def scenario(door: Open) -> None:
        for id_ in ("~" * (MAX_ID_CHARS + 1), 1 << 53, "\x7f", "\x1f", "é"):
            answer = await door.post(call(method, LISTED[method], id_))
            assert answer.status_code == 400
            assert (answer.json()["error"]["code"], answer.json()["id"]) == (-32600, None)
            assert [one for one in door.comet.calls if one["id"] == id_] == []

    play(tmp_path, scenario, Comet())


@each_method
def test_an_answer_of_the_method_s_cap_comes_whole_and_one_of_a_byte_more_never_looks_as_if_it_did(
    tmp_path: Path, method: str
) -> None:
    most = METHODS[method].max_answer_bytes

    async def scenario(door: Open) -> None:
        door.comet.answers[method] = b" " * most
        answer = await door.post(call(method, LISTED[method]))
        assert (answer.status_code, len(answer.content)) == (200, most)
        assert ("access-control-allow-origin" in answer.headers) == METHODS[method].is_read
        door.comet.answers[method] = b" " * (most + 1)
        if METHODS[method].lane is Lane.QUERY:  # read whole before any of it is written
            assert (await door.post(call(method, LISTED[method]))).status_code == 503
        else:
            with pytest.raises(httpx.HTTPError):
                await door.post(call(method, LISTED[method]))
        assert len(door.door.budgets.rpc) == len(door.door.budgets.bulk) == 0

    play(tmp_path, scenario, Comet())


@each_method
def test_a_call_costs_its_units_and_its_answer_s_bytes_where_the_method_costs_by_them(
    tmp_path: Path, method: str
) -> None:
    """What is left of the units is counted by calls that cost one."""
    left = 3 - METHODS[method].cost_by_bytes

    async def scenario(door: Open) -> None:
        assert (await door.post(call(method, LISTED[method]))).status_code == 200
        del door.comet.answers[method]
        codes = [(await door.post(call("header", {}))).status_code for _ in range(left + 1)]
        assert codes == [200] * left + [429]

    assert (METHODS["header"].cost, METHODS["header"].cost_by_bytes) == (1, False)
    answers = {method: b" " * BYTES_PER_UNIT}
    play(tmp_path, scenario, Comet(answers=answers), rpc_units_per_minute=METHODS[method].cost + 3)
