"""``python -m dta.mpin.vectors FILE``: checks Milagro's M-Pin vectors on BLS12-381 against the AMCL suite.

A file is a JSON list of two-pass cases, every value in hex but ``PIN1``, ``PIN2`` and ``AuthResult``: shares of
the master secret (``MS1``, ``MS2``), of the server's secret (``SS1``, ``SS2``) and of the client's (``CS1``,
``CS2``), their sums, the ``TOKEN`` made with PIN1, a login with PIN2 (``X``, ``U``, ``Y``, ``V``) and how it ended.
Each value is computed again from those before it. Prints ``N passed, N failed``; exits with 1 when any failed, with
2 for a file that is none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from abci_app.crypto.curve import G1, G2, ORDER, BadPoint
from dta.mpin.protocol import accepts
from dta.mpin.suite import AMCL, AMCL_SCALAR_BYTES

CURVE: Final = "bls381"
ACCEPTED: Final = 0
BAD_PIN: Final = -19
INVALID_POINT: Final = -14
"""What Milagro's server answers for a U or V that is no point."""

MAX_FILE_BYTES: Final = 64 << 20
_TEXTS: Final = ("MPINId", "MS1", "MS2", "SS1", "SS2", "SS", "CS1", "CS2", "CS", "TOKEN", "X", "U", "Y", "V")
_SCALARS: Final = ("MS1", "MS2", "X", "Y")
_NUMBERS: Final = ("PIN1", "PIN2", "AuthResult")


class BadVectors(Exception):
    """The file is no list of such cases: nothing was checked."""


def read(content: bytes) -> list[Any]:
    """The cases of a file. Raises BadVectors."""
    try:
        cases = json.loads(content)
    except (ValueError, RecursionError):
        raise BadVectors("it is not JSON") from None
    if not isinstance(cases, list) or not cases:
        raise BadVectors("it is not a list of cases")
    return cases


def check(case: object) -> list[str]:
    """The names of a case's values that are missing, malformed or come out otherwise; none when it passes."""
    if not isinstance(case, dict):
        return ["the case is not an object"]
    values: Mapping[str, Any] = case
    malformed = [name for name in _TEXTS if not _is_hex(values.get(name))]
    malformed += [name for name in _NUMBERS if type(values.get(name)) is not int]
    malformed += [name for name in _SCALARS if name not in malformed and _scalar(bytes.fromhex(values[name])) is None]
    if str(values.get("CURVE")).lower() != CURVE:
        malformed.append("CURVE")
    return malformed or _compare({name: bytes.fromhex(values[name]) for name in _TEXTS}, values)


def _compare(given: Mapping[str, bytes], values: Mapping[str, Any]) -> list[str]:
    ms1, ms2, x, y = (int.from_bytes(given[name], "big") for name in _SCALARS)
    a, q = AMCL.client_point(given["MPINId"]), G2.generator()
    secret, server = a * (ms1 + ms2), q * (ms1 + ms2)
    token = secret - a * values["PIN1"]
    expected: dict[str, G1 | G2] = {
        "SS1": q * ms1, "SS2": q * ms2, "SS": server, "CS1": a * ms1, "CS2": a * ms2, "CS": secret, "TOKEN": token,
    }  # fmt: skip
    if values["AuthResult"] != INVALID_POINT:
        # A login with something that is no point follows from nothing.
        expected |= {"U": a * x, "V": -((token + a * values["PIN2"]) * (x + y))}
    wrong = [name for name, point in expected.items() if _written(point) != given[name]]
    if _server_answer(a, q, server, given["U"], y, given["V"]) != values["AuthResult"]:
        wrong.append("AuthResult")
    return wrong


def _server_answer(a: G1, q: G2, secret: G2, u: bytes, y: int, v: bytes) -> int:
    try:
        return ACCEPTED if accepts(a, q, secret, AMCL.read_g1(u), y, AMCL.read_g1(v)) else BAD_PIN
    except BadPoint:
        return INVALID_POINT


def _written(point: G1 | G2) -> bytes:
    try:
        return AMCL.write_g1(point) if isinstance(point, G1) else AMCL.write_g2(point)
    except BadPoint:
        return b""


def _scalar(data: bytes) -> int | None:
    number = int.from_bytes(data, "big")
    return number if len(data) == AMCL_SCALAR_BYTES and number < ORDER else None


def _is_hex(value: object) -> bool:
    try:
        return isinstance(value, str) and bytes.fromhex(value) is not None
    except ValueError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dta.mpin.vectors", description="Check Milagro's M-Pin vectors.")
    parser.add_argument("file", type=Path)
    path = parser.parse_args(arguments).file
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise BadVectors(f"it has more than {MAX_FILE_BYTES} bytes")
        cases = read(content)
    except OSError as error:
        sys.stderr.write(f"error: can't read {path}: {error.strerror}\nhint: check the path\n")
        return 2
    except BadVectors as error:
        sys.stderr.write(f"error: {path} holds no M-Pin vectors: {error}\nhint: docs/spec/mfa.md, Vectors\n")
        return 2
    failed = 0
    for index, case in enumerate(cases):
        if wrong := check(case):
            failed += 1
            name = case.get("TEST", index) if isinstance(case, dict) else index
            sys.stderr.write(f"case {name}: {', '.join(wrong)}\n")
    sys.stdout.write(f"{len(cases) - failed} passed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
