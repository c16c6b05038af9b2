"""Writes full-protocol.json: one login of each kind in each suite with every scalar chosen, as known answers.

Run from the repository's root: ``python -m tests.vectors.mpin.generate``. The test that reads the file computes the
same with another library and hashing of its own.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

from abci_app.crypto.curve import ORDER
from dta.crypto.scalar import SecretScalar
from dta.mpin.agreement import exponent
from dta.mpin.protocol import ClientLogin, Parties, accepts, one_pass_y, server_keys
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import AMCL, RFC9380, Suite

FILE = Path(__file__).with_name("full-protocol.json")
DAY, TIME_S, PIN = 20_833, 1_800_000_000, 2718


def scalar(name: str) -> int:
    """A scalar that depends on its name."""
    return int.from_bytes(sha256(f"dta mpin vector {name}".encode()).digest(), "big") % ORDER


def case(suite: Suite, day: int | None) -> dict[str, Any]:
    """All values of one login, bytes in hex in the suite's encoding."""
    ids = {name: sha256(name.encode()).digest() for name in ("gid", "authority", "realm", "client", "server")}
    who = Parties(suite, *ids.values(), day)
    s, x, y, r, w = (scalar(name) for name in "sxyrw")
    a, q, base = who.a, who.q, who.base
    permit = None if day is None else who.permit_point(day) * s
    with patch.object(SecretScalar, "random", side_effect=[SecretScalar(x), SecretScalar(r)] * 2):
        login = ClientLogin(who, SecretPoint(a * s), permit, full=True)
        one = ClientLogin(who, SecretPoint(a * s), permit, full=True)
    assert login.r is not None
    v, w_point = login.answer(y), base * w
    assert accepts(base, q, q * s, login.u, y, v)
    h = exponent(suite, who.transcript(), login.u, v, y, login.r, w_point)
    keys = login.keys(y, v, w_point)
    assert keys == server_keys(who, q * s, login.u, v, y, login.r, SecretScalar(w), w_point)
    one_y, one_v = one.one_pass(TIME_S)
    assert one_y == one_pass_y(who, TIME_S, one.u)
    points = {"A": a, "token": a * (s - PIN), "U": login.u, "V": v, "R": login.r, "W": w_point, "one_pass_V": one_v}
    if day is not None and permit is not None:
        points |= {"D": who.permit_point(day), "permit": permit}
    return {
        "suite": suite.name, "day": day, "time": TIME_S, "pin": PIN,
        **{name: value.hex() for name, value in ids.items()},
        **{name: suite.write_scalar(value).hex() for name, value in
           {"s": s, "x": x, "y": y, "r": r, "w": w, "h": h, "one_pass_y": one_y}.items()},
        **{name: suite.write_g1(point).hex() for name, point in points.items()},
        "Q": suite.write_g2(q).hex(), "server_secret": suite.write_g2(q * s).hex(),
        "identity": who.identity.hex(), "server_identity": who.server_identity.hex(),
        "session_key": keys.session.reveal().hex(), "ticket": keys.ticket.reveal().hex(),
        "client_confirmation": keys.client_confirmation().hex(),
        "server_confirmation": keys.server_confirmation().hex(),
    }  # fmt: skip


def cases() -> list[dict[str, Any]]:
    """What the file holds."""
    return [case(suite, day) for suite in (RFC9380, AMCL) for day in (None, DAY)]


def main() -> None:
    """Writes the file."""
    FILE.write_text(json.dumps(cases(), indent=1) + "\n")


if __name__ == "__main__":
    main()
