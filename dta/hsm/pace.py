"""How much a keystore does a second, and whether more threads get more out of it. Nothing is judged by it."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from abci_app.hashing import tagged
from dta.hsm import labels, selftest
from dta.hsm.errors import KeystoreError
from dta.hsm.keystore import CheckStep, Keystore

THREADS: Final = (1, 2, 4, 8)
SPAN_S: Final = 0.25
GAIN: Final = 1.2
"""Threads gain where they do at least so many times as much: less is this machine's weather."""

_TAG: Final = "DTA-v1-keystore-self-test"
NAME: Final = "pace"


def check_pace(store: Keystore) -> list[CheckStep]:
    """A step with what the node's own two keys do a second in 1, 2, 4 and 8 threads; none where they are not there.

    One is a signature and a derivation: about what an order costs a node. What is signed is under a tag that no
    verifier takes.
    """
    try:
        if store.signing_public_key(labels.node_key()) is None or not store.has_prf_key(labels.root()):
            return []
        rates = {threads: _rate(store, threads) for threads in THREADS}
    except KeystoreError as error:
        return [selftest.failed(NAME, error)]
    said = ", ".join(f"{rate:.0f} in {threads}" for threads, rate in rates.items())
    best = gaining(rates)
    enough = "1 thread suffices" if best == 1 else f"{best} threads suffice"
    detail = f"signatures with a derivation each, a second, by threads: {said}; {enough}"
    return [CheckStep(NAME, "ok", detail)]


def gaining(rates: dict[int, float]) -> int:
    """The most threads that do ``GAIN`` times as much as the best of fewer. ``rates``: threads -> a second."""
    best = min(rates)
    for threads in sorted(rates):
        if rates[threads] >= GAIN * rates[best]:
            best = threads
    return best


def _rate(store: Keystore, threads: int) -> float:
    """Rounds a second of all threads together. Raises KeystoreError."""
    begun_s = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        rounds = sum(pool.map(lambda _: _rounds(store, begun_s + SPAN_S), range(threads)))
    return rounds / (time.monotonic() - begun_s)


def _rounds(store: Keystore, until_s: float) -> int:
    data = tagged(_TAG, secrets.token_bytes(32))
    rounds = 0
    while rounds == 0 or time.monotonic() < until_s:
        store.sign(labels.node_key(), data)
        store.prf(labels.root(), data)
        rounds += 1
    return rounds
