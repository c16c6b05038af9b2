"""The commands of docs/howto/orders.md, sign.md and configuration.md, as they stand there, by real proofs and HTTP."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.records import SIGNING_POLICIES
from dta.cli.main import run
from tests.cli.order_world import ServedWorld, served_world
from tests.support.authority import CUSTODY, SIGNING
from tests.support.command_blocks import to_run
from tests.support.command_player import Player
from tests.support.custody import k_of

HERE = "tests/cli/test_page_commands.py"
SECRET = b"-----BEGIN EC PRIVATE KEY-----\nbm90IHJlYWxseQ==\n-----END EC PRIVATE KEY-----\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    """With a custody key ``safe``, and a signing key ``seal`` for what alice and bob agree on."""
    with served_world(tmp_path) as world:
        with world.lock:
            world.chain.deal(CUSTODY, name="safe")
            seal = world.chain.deal(SIGNING, name="seal")
            policy = k_of(2, world.people["alice"], world.people["bob"])
            record = extraction_pb2.SigningPolicy(authority=seal.id, policy=policy)
            world.chain.write({SIGNING_POLICIES.key(seal.id): record.SerializeToString()})
            for _ in range(2):
                world.chain.make_block()
        yield world


@pytest.fixture
def player(world: ServedWorld, tmp_path: Path, capsys: Any, monkeypatch: Any) -> Player:
    """All are in one directory, so that a file goes from hand to hand."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    monkeypatch.chdir(tmp_path)

    def dta(who: str, words: list[str]) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["--home", str(tmp_path / who), *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return Player(world.people, "alice", dta)


def test_the_page_on_orders_does_what_it_says(player: Player, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(SECRET)
    in_a_vault, under_a_key, contacts, inbox, authorised, never_released = to_run("docs/howto/orders.md", HERE)
    player.play(in_a_vault)
    assert (tmp_path / "received.pem").read_bytes() == SECRET
    player.play(under_a_key)
    unreleased = player.names["ORDER"]
    player.names["BOB"] = "b0" * 32
    assert "robert" in player.play(contacts)
    player.play(inbox)
    player.play(authorised)
    player.names["ORDER"] = unreleased
    assert "never released" in player.play(never_released)
    assert (tmp_path / "order.receipt").stat().st_size > 0


def test_the_page_on_signing_does_what_it_says(player: Player, tmp_path: Path) -> None:
    (tmp_path / "release.txt").write_text("version 1\n")
    (signed,) = to_run("docs/howto/sign.md", HERE)
    assert re.search(r"^valid +release", player.play(signed), re.MULTILINE)
    assert len((tmp_path / "signature.bin").read_bytes()) == 48


def test_the_page_on_configuration_does_what_it_says(player: Player) -> None:
    (looked_at,) = to_run("docs/howto/configuration.md", HERE)
    said = player.play(looked_at)
    assert "client.toml" in said
    assert "hooks.max_state_age_s" in said
