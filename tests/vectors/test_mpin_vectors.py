"""Milagro's M-Pin vectors come out, each value of them, and the checker sees every kind of wrong one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dta.mpin import vectors

HERE = Path(__file__).parent / "mpin" / "mpin-bls381-amcl.json"
CASES: list[dict[str, Any]] = json.loads(HERE.read_bytes())
GOOD, REFUSED = CASES[0], next(case for case in CASES if case["AuthResult"] != 0)
IDENTITY_POINT = "04" + "00" * 96


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["TEST"]))
def test_a_published_case_comes_out(case: dict[str, Any]) -> None:
    assert vectors.check(case) == []


def test_the_cases_are_twenty_accepted_and_ten_refused() -> None:
    assert [case["AuthResult"] for case in CASES] == [0] * 20 + [-19] * 10


@pytest.mark.parametrize("name", ["MS1", "SS1", "SS2", "SS", "CS1", "CS2", "CS", "TOKEN", "X", "U", "Y", "V"])
def test_a_case_with_another_value_fails_and_says_which(name: str) -> None:
    other = {**GOOD, name: CASES[1][name] if CASES[1][name] != GOOD[name] else CASES[1]["X"]}
    wrong = vectors.check(other)
    assert wrong
    if name not in ("MS1", "X", "Y"):  # those are what others are computed from
        assert name in wrong


@pytest.mark.parametrize("name", ["PIN1", "PIN2"])
def test_a_pin_off_by_one_fails(name: str) -> None:
    assert vectors.check({**GOOD, name: GOOD[name] + 1})


def test_a_result_that_is_not_so_fails_both_ways() -> None:
    assert vectors.check({**GOOD, "AuthResult": -19}) == ["AuthResult"]
    assert vectors.check({**REFUSED, "AuthResult": 0}) == ["AuthResult"]


def test_a_refused_case_with_the_right_pin_fails() -> None:
    assert set(vectors.check({**REFUSED, "PIN2": REFUSED["PIN1"]})) == {"V"}


@pytest.mark.parametrize("name", ["U", "V"])
@pytest.mark.parametrize(
    "value", [IDENTITY_POINT, "04" + "11" * 96, "00" * 97, "04"], ids=lambda v: f"{v[:4]}-{len(v)}"
)
def test_what_is_no_point_is_not_accepted(name: str, value: str) -> None:
    assert "AuthResult" in vectors.check({**GOOD, name: value})
    assert vectors.check({**GOOD, name: value, "AuthResult": vectors.INVALID_POINT}) == []


def test_malformed_values_fail_their_case_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    malformed: list[object] = [
        {**GOOD, "X": "zz"}, {**GOOD, "PIN1": "6999"}, {**GOOD, "PIN2": True}, {**GOOD, "CURVE": "bn254"}, 7, {},
        {**GOOD, "Y": "ff" * 48}, {**GOOD, "MS1": 12}, {name: value for name, value in GOOD.items() if name != "V"},
    ]  # fmt: skip
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps([GOOD, *malformed, REFUSED]))
    assert vectors.main([str(path)]) == 1
    said = capsys.readouterr()
    assert said.out == f"2 passed, {len(malformed)} failed\n"
    assert len(said.err.splitlines()) == len(malformed)


def test_the_command_counts_and_exits_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert vectors.main([str(HERE)]) == 0
    assert capsys.readouterr().out == "30 passed, 0 failed\n"


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"[" * 100_000, b"\xff\xfe"])
def test_a_file_that_is_none_is_said_to_be(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert vectors.main([str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "hint: " in said.err


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vectors.main([str(tmp_path / "missing")]) == 2
    assert "No such file" in capsys.readouterr().err
