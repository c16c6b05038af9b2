"""Waiting for something on the ledger: what reading takes counts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dta.client.custody.session import POLL_S, Session, Step
from dta.client.ledger.flow import Now, Sleep, sleep
from dta.client.mfa import issued
from dta.client.mfa.issued import NotIssued

READ_S = 20.0
"""A slow node's."""

WAIT_S = 60.0


class Clock:
    """Passes by what is slept, and read."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.reads = 0

    def run(self, flow: Any) -> Any:
        given = None
        while True:
            try:
                effect = flow.send(given)
            except StopIteration as ended:
                return ended.value
            if isinstance(effect, Sleep):
                self.now_s += effect.seconds
            given = self.now_s if isinstance(effect, Now) else None

    def read(self) -> int:
        self.now_s += READ_S
        self.reads += 1
        assert self.reads < 10 * WAIT_S / READ_S, "it waits for ever"
        return self.reads


def ledger_of(clock: Clock) -> Any:
    return SimpleNamespace(rpc=clock, next_block=lambda seconds, _: clock.run(sleep(seconds)))


def test_a_wait_for_a_slow_node_is_over_in_its_time() -> None:
    clock = Clock()
    party: Any = None
    session = Session(ledger_of(clock), party, party, Path())
    found = session.wait_for(clock.read, lambda _: False, lambda n: Step("", "", n, 9), WAIT_S)
    assert found == (clock.reads, False)
    assert clock.now_s - 1_000.0 < WAIT_S + READ_S + POLL_S


def test_a_wait_for_what_is_issued_is_over_in_its_time() -> None:
    clock = Clock()

    def read() -> None:
        clock.read()
        raise NotIssued("not yet")

    with pytest.raises(NotIssued):
        issued.wait_for(ledger_of(clock), read, WAIT_S)
    assert clock.now_s - 1_000.0 < WAIT_S + READ_S + POLL_S
