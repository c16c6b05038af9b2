"""``dta authority accept``: an operator signs exactly what it was shown, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.authority import parties
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.state.records import AUTHORITIES, CEREMONIES, EPOCHS, MEMBERS
from tests.cli.order_world import ServedWorld, served_world
from tests.cli.test_governance_commands import Operators, make_fiduciary
from tests.support.authority import SIGNING


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    """Alice is a fiduciary, beside the four founders, who hold the signing key ``seal``."""
    with served_world(tmp_path) as world:
        make_fiduciary(world, world.people["alice"])
        with world.lock:
            world.chain.deal(SIGNING, name="seal")
            for _ in range(2):
                world.chain.make_block()
        yield world


@pytest.fixture
def dta(world: ServedWorld, capsys: Any, monkeypatch: Any) -> Operators:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return Operators(world, capsys)


def founders(world: ServedWorld, count: int) -> list[str]:
    return [founder.identity.hex() for founder in world.chain.replica.founders[:count]]


def proposed(world: ServedWorld, dta: Operators, *words: str, members: list[str]) -> pb.CeremonyRecord:
    """Alice proposes it, the founders vote: the ceremony that waits for consent."""
    named = [word for member in members for word in ("--member", member)]
    done = dta.json("alice", "authority", *words, *named)
    assert dta("founders", ["vote", done["proposal"], "3"])[0] == 0
    authority = AUTHORITIES.get(world.chain.replica.view, bytes.fromhex(done["authority"]))
    return CEREMONIES.get(world.chain.replica.view, authority.ceremony)


def test_the_terms_of_a_first_key_are_shown_signed_and_printed(world: ServedWorld, dta: Operators) -> None:
    members = sorted([*founders(world, 3), world.people["alice"].hex()])
    asked = proposed(world, dta, "create", "fresh", "--purpose", "signing", members=members)
    code, _, shown = dta("alice", ["authority", "accept", "fresh"])
    assert code == 2, "without a terminal and without --yes nothing is signed"
    signed = dta.json("alice", "authority", "accept", "fresh", "--yes")
    assert signed["signed"] == {
        "first": asked.id.hex(), "kind": "key", "threshold": 3, "candidates": members, "old_members": [],
        "digest": asked.terms.hex(),
    }  # fmt: skip
    assert "3 of 4 use the key together" in shown
    mine = parties.find(world.chain.replica.view, asked.id, world.people["alice"])
    assert mine is not None
    assert mine.consent_height


def test_the_terms_of_passing_a_key_on_name_all_that_hold_it_now(world: ServedWorld, dta: Operators) -> None:
    members = sorted([*founders(world, 2), world.people["alice"].hex()])
    asked = proposed(world, dta, "reshare", "seal", "--threshold", "2", members=members)
    code, out, said = dta("alice", ["authority", "accept", "seal", "--yes"])
    assert code == 0, said
    key = world.chain.replica.view
    authority = AUTHORITIES.get(key, asked.authority)
    held = EPOCHS.get(key, authority.id, authority.epoch).members
    old = [MEMBERS.get(key, authority.id, authority.epoch, index).fiduciary.hex() for index in range(1, held + 1)]
    assert "you sign, for this attempt and every other with the same terms:" in said
    assert "it passes the key on" in said
    (given,) = [line for line in said.splitlines() if "a share for" in line]
    (taken,) = [line for line in said.splitlines() if "a share from" in line]
    assert all(member[:12] in given for member in members)
    assert all(member[:12] in taken for member in old)
    assert "of 3 that will hold a share, all needed" in out


@pytest.mark.parametrize("change", [
    lambda record: setattr(record, "terms", bytes(32)),
    lambda record: setattr(record, "threshold", 2),
    lambda record: setattr(record, "first", bytes(32)),
    lambda record: setattr(record, "kind", pb.CEREMONY_KIND_REFRESH),
], ids=["terms", "threshold", "first", "kind"])  # fmt: skip
def test_nothing_is_signed_where_the_ledgers_digest_is_not_that_of_what_is_shown(
    world: ServedWorld, dta: Operators, change: Callable[[pb.CeremonyRecord], None]
) -> None:
    members = sorted([*founders(world, 3), world.people["alice"].hex()])
    asked = proposed(world, dta, "create", "fresh", "--purpose", "signing", members=members)
    change(asked)
    with world.lock:
        world.chain.write({CEREMONIES.key(_id(world)): asked.SerializeToString()})
        world.chain.make_block()
    code, _, said = dta("alice", ["authority", "accept", "fresh", "--yes"])
    assert code == 5
    assert "is not that of what is shown" in said
    mine = parties.find(world.chain.replica.view, _id(world), world.people["alice"])
    assert mine is not None
    assert not mine.consent_height


def _id(world: ServedWorld) -> bytes:
    """Of the one ceremony that is under way."""
    found = [pb.AuthorityRecord.FromString(value) for _, value in world.chain.replica.view.scan(AUTHORITIES.prefix)]
    (ceremony,) = [one.ceremony for one in found if one.ceremony]
    return ceremony
