"""``dta order receive --exec``: the secret goes to a program, and its keys go once the program has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dta
from dta.base.errors import EXIT_COMMAND, EXIT_USAGE
from dta.cli.main import run
from dta.client.custody import keyfile
from tests.cli.order_world import ServedWorld, served_world

SECRET = b"the treasure is under the oak"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as made:
        yield made


def asked(world: ServedWorld) -> str:
    """A request of bob's for a secret of alice's."""
    with dta.Client(world.directory / "alice") as alice, dta.Client(world.directory / "bob") as bob:
        order = alice.orders.place(SECRET, vault=alice.vaults.open().id, beneficiary="bob")
        return bob.orders.request(order.id).id


def receive(world: ServedWorld, request: str, *words: str) -> int:
    return run(["--home", str(world.directory / "bob"), "order", "receive", request, *words])


def kept(world: ServedWorld) -> list[str]:
    return [request.hex() for request in keyfile.pending(world.directory / "bob")]


@pytest.mark.parametrize("source", ["", " < /dev/fd/{fd}"], ids=["stdin", "descriptor"])
def test_the_program_gets_the_secret_and_the_keys_are_erased(
    world: ServedWorld, source: str, capfd: Any
) -> None:
    request, out = asked(world), world.directory / "got"
    assert receive(world, request, "--exec", f"sh -c 'cat > {out}{source}'") == 0
    assert out.read_bytes() == SECRET
    assert kept(world) == []
    said = capfd.readouterr()
    assert SECRET.decode() not in said.out + said.err


def test_a_program_that_fails_leaves_the_keys_and_the_secret_is_received_again(world: ServedWorld, capfd: Any) -> None:
    request, out = asked(world), world.directory / "got"
    assert receive(world, request, "--json", "--exec", "sh -c 'echo not here; exit 3'") == EXIT_COMMAND
    said = json.loads(capfd.readouterr().out)
    assert (said["error"]["kind"], said["error"]["data"]["status"]) == ("command-failed", 3)
    assert kept(world) == [request]
    assert receive(world, request, "--json", "--exec", f"sh -c 'cat > {out}'") == 0
    assert out.read_bytes() == SECRET
    assert json.loads(capfd.readouterr().out)["program"] == "sh"
    assert kept(world) == []


@pytest.mark.parametrize("words", [["--exec", "no-such-program"], ["--exec", "cat", "--out", "x"]])
def test_what_can_not_be_run_is_refused_before_the_secret_is_received(world: ServedWorld, words: list[str]) -> None:
    request = asked(world)
    assert receive(world, request, *words) == EXIT_USAGE
    assert kept(world) == [request]
