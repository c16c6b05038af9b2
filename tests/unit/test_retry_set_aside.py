"""RetrySetAside: proposed only where something was set aside. What it does: tests/unit/test_upkeep.py."""

from __future__ import annotations

import pytest

from abci_app.block import Changes
from abci_app.codes import Code
from abci_app.execution import upkeep
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.state.records import SET_ASIDE
from tests.support.chain import Chain
from tests.support.governance import answer_to, pass_, proposing, record
from tests.support.refusals import refused

RETRY = pb.Action(retry_set_aside=pb.RetrySetAside())


def set_aside(chain: Chain, subject: bytes, entry: bytes, retries: int = 0) -> None:
    kept = pb.SetAside(kind=1, subject=subject, entry=entry, height=1, retries=retries).SerializeToString()
    chain.view.apply(Changes(leaves=((SET_ASIDE.key(1, subject), kept),)))


def test_where_nothing_was_set_aside_there_is_nothing_to_vote_on() -> None:
    chain = Chain(4)
    refused(answer_to(chain, chain.founders[0], proposing(RETRY)), Code.NOTHING_SET_ASIDE)
    set_aside(chain, bytes(32), b"")  # put back already
    refused(answer_to(chain, chain.founders[0], proposing(RETRY)), Code.NOTHING_SET_ASIDE)


def test_what_another_vote_put_back_meanwhile_is_not_put_back_twice() -> None:
    chain = Chain(4)
    set_aside(chain, bytes(32), b"deadline-time/x")
    both = [pass_(chain, RETRY, n) for n in range(1)]
    assert record(chain, both[0]).status == pb.PROPOSAL_STATUS_EXECUTED
    assert chain.view.index_get(b"deadline-time/x") is not None
    assert [(kept.entry, kept.retries) for kept in SET_ASIDE.all(chain.view)] == [(b"", 1)]


def test_what_fails_every_time_keeps_nothing_else_from_being_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(4)
    monkeypatch.setattr(upkeep, "MAX_RETRIED", 1)
    set_aside(chain, bytes(32), b"deadline-time/x", retries=1)
    set_aside(chain, bytes([1]) * 32, b"deadline-time/y")
    pass_(chain, RETRY)
    found = {record.subject: record.entry for record in SET_ASIDE.all(chain.view)}
    assert found == {bytes(32): b"deadline-time/x", bytes([1]) * 32: b""}
