"""What M-Pin's steps cost, as multiples of one two-pairing check of the library: ``python -m tests.bench.mfa``.

Each figure is the median of many runs, the steps and the check in turn, in time of this thread on the processor: what
else the machine does counts for nothing. Only the curve's work: no transport, no ledger, no disk.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from abci_app.crypto.curve import G1, G2, pairing_check
from dta.base.secret import SecretBytes
from dta.crypto.scalar import SecretScalar
from dta.mpin.pin import Pin, secret_of, token_of
from dta.mpin.protocol import ClientLogin, Parties, accepts, fresh_y, one_pass_y, server_keys
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import AMCL, RFC9380, Suite

DEFAULT_ROUNDS: Final = 100


@dataclass(frozen=True, slots=True)
class StepCost:
    """One step of a login: its median time and how many two-pairing checks that is."""

    suite: str
    step: str
    milliseconds: float
    checks: float


def measure(rounds: int = DEFAULT_ROUNDS) -> list[StepCost]:
    """All steps of both suites. The first entry is the two-pairing check itself."""
    p, q = G1.generator() * 3, G2.generator() * 5
    pairs = [(p * 5, G2.generator()), (-p, q)]
    steps: dict[tuple[str, str], Callable[[], object]] = {("", "two-pairing check"): lambda: pairing_check(pairs)}
    for suite in (RFC9380, AMCL):
        for name, step in _steps(suite).items():
            steps[suite.name, name] = step
    times: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
    for _ in range(rounds):
        for key, step in steps.items():
            started = time.thread_time()
            step()
            times[key].append(time.thread_time() - started)
    medians = {key: statistics.median(found) for key, found in times.items()}
    unit = medians["", "two-pairing check"]
    return [StepCost(suite, name, value * 1_000, value / unit) for (suite, name), value in medians.items()]


def _steps(suite: Suite) -> dict[str, Callable[[], object]]:
    """A login's steps from bytes to bytes, as client and server do them; a fresh client each time."""
    master, w = SecretScalar.random(), SecretScalar.random()
    gid, key, realm, client, server = (bytes([number]) * 32 for number in range(5))
    names = iter(range(1 << 30))
    who = Parties(suite, gid, key, realm, client, server)
    pin = Pin(SecretBytes(b"2718"))
    token = token_of(SecretPoint(who.a * master.reveal()), who.a, pin)
    q, secret = who.q, who.q * master.reveal()
    login = ClientLogin(who, secret_of(token, who.a, pin), full=True)
    y = fresh_y()
    v = login.answer(y)
    w_point = who.a * w.reveal()
    u_bytes, v_bytes, r_bytes = (suite.write_g1(point) for point in (login.u, v, login.r or v))

    def somebody() -> Parties:
        # AMCL's hash is remembered for a while: a client that was not there before is the honest case.
        return Parties(suite, gid, key, realm, next(names).to_bytes(32, "big"), server)

    def log_in(full: bool = False) -> bytes:
        new = somebody()
        mine = ClientLogin(new, secret_of(token, new.a, pin), full=full)
        u, answer = suite.write_g1(mine.u), mine.answer(y)
        if full:
            mine.keys(y, answer, w_point)
        return u + suite.write_g1(answer)

    def server_pass_2() -> bool:
        return accepts(who.a, q, secret, suite.read_g1(u_bytes), y, suite.read_g1(v_bytes))

    def server_two_pass() -> bool:
        base = somebody().base
        return accepts(base, q, secret, suite.read_g1(u_bytes), fresh_y(), suite.read_g1(v_bytes))

    def server_one_pass() -> bool:
        new = somebody()
        u, answer = suite.read_g1(u_bytes), suite.read_g1(v_bytes)
        return accepts(new.base, q, secret, u, one_pass_y(new, 1_800_000_000, u), answer)

    def server_full() -> None:
        new = somebody()
        u, answer, r = suite.read_g1(u_bytes), suite.read_g1(v_bytes), suite.read_g1(r_bytes)
        base = new.base
        accepts(base, q, secret, u, y, answer)
        server_keys(new, secret, u, answer, y, r, w, base * w.reveal())

    return {
        "client, both passes": log_in,
        "client, full protocol": lambda: log_in(full=True),
        "server, pass 2 alone": server_pass_2,
        "server, both passes": server_two_pass,
        "server, one pass": server_one_pass,
        "server, full protocol": server_full,
    }


def main() -> int:
    """Prints the figures as JSON."""
    rows = [
        {"suite": cost.suite, "step": cost.step, "ms": round(cost.milliseconds, 3), "checks": round(cost.checks, 2)}
        for cost in measure()
    ]
    sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
