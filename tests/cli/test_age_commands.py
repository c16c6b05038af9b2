"""``dta age recipient``, and ``age-plugin-dta`` as age starts it: a process, its pipes, a home."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dta
from dta.age.protocol import Conversation
from dta.age.recipient import Stanza, decode_identity, decode_recipient
from dta.base.errors import EXIT_USAGE
from dta.base.secret import SecretBytes
from dta.cli.main import run
from tests.cli.order_world import ServedWorld, world_with_key
from tests.support.actors import seeded
from tests.support.age import encoded

FILE_KEY = seeded("file key")[:16]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with world_with_key(tmp_path) as made:
        yield made


def recipient(world: ServedWorld, capsys: Any, *words: str) -> Any:
    capsys.readouterr()
    assert run(["--json", "--home", str(world.directory / "alice"), "age", "recipient", *words]) == 0
    return json.loads(capsys.readouterr().out)


def plugin(machine: str, first: list[bytes], answers: int, home: Path) -> list[Stanza]:
    """What the plugin says to age, which answers ``ok`` so often."""
    done = subprocess.run(
        [sys.executable, "-m", "dta.age", f"--age-plugin={machine}"],
        input=b"".join([*first, encoded("done"), *[encoded("ok")] * answers]),
        env={**os.environ, "DTA_HOME": str(home)}, capture_output=True, check=True, timeout=600,
    )  # fmt: skip
    assert done.stderr == b""
    return list(Conversation(io.BytesIO(done.stdout), io.BytesIO()).phase())


def test_a_file_key_is_wrapped_without_a_home_and_unwrapped_by_the_beneficiary(
    world: ServedWorld, capsys: Any
) -> None:
    made = recipient(world, capsys, "--authority", "safe", "--beneficiary", "bob")
    assert decode_recipient(made["recipient"]) == decode_identity(made["identity"])
    assert decode_recipient(made["recipient"]).order.hex() == made["order"]
    assert recipient(world, capsys, "--order", made["order"][:8]) == made
    first = [encoded("add-recipient", made["recipient"]), encoded("wrap-file-key", body=FILE_KEY)]
    [wrapped] = plugin("recipient-v1", first, 1, world.directory / "nowhere")
    stanza = encoded(wrapped.kind, *wrapped.arguments, body=wrapped.body)
    [given] = plugin("identity-v1", [encoded("add-identity", made["identity"]), stanza], 1, world.directory / "bob")
    assert given == Stanza("file-key", ("0",), FILE_KEY)


def test_a_home_that_is_none_is_told_to_age(world: ServedWorld, capsys: Any) -> None:
    made = recipient(world, capsys, "--authority", "safe", "--beneficiary", "bob")
    stanza = decode_recipient(made["recipient"]).wrap(_secret())
    sent = encoded("recipient-stanza", "0", stanza.kind, *stanza.arguments, body=stanza.body)
    [error] = plugin("identity-v1", [encoded("add-identity", made["identity"]), sent], 1, world.directory / "nowhere")
    assert (error.kind, error.arguments) == ("error", ("internal",))
    assert b"on no ledger yet" in error.body


def _secret() -> Any:
    return SecretBytes(FILE_KEY)


@pytest.mark.parametrize("words", [[], ["--authority", "safe", "--order", "00" * 32]])
def test_a_recipient_is_of_a_key_or_of_an_order(world: ServedWorld, words: list[str]) -> None:
    assert run(["--home", str(world.directory / "alice"), "age", "recipient", *words]) == EXIT_USAGE


def test_an_order_in_a_vault_is_no_recipient(world: ServedWorld) -> None:
    with dta.Client(world.directory / "alice") as alice:
        order = alice.orders.place(b"x", vault=alice.vaults.open().id, beneficiary="bob")
    assert run(["--home", str(world.directory / "alice"), "age", "recipient", "--order", order.id]) == EXIT_USAGE


def test_an_order_that_is_closed_is_no_recipient_any_more_and_one_that_expires_is_said_to(
    world: ServedWorld, capsys: Any
) -> None:
    """(!) What is encrypted to it would be lost."""
    home = str(world.directory / "alice")
    with dta.Client(home) as alice:
        order = alice.orders.place(b"x", authority="safe", beneficiary="bob", expires_at=int(time.time()) + 86_400)
        assert run(["--home", home, "age", "recipient", "--order", order.id]) == 0
        assert "this order expires" in capsys.readouterr().err
        alice.orders.close(order.id)
    assert run(["--home", home, "age", "recipient", "--order", order.id]) == EXIT_USAGE
    assert "the order is closed" in capsys.readouterr().err


def test_a_plugin_that_age_does_not_run_says_what_it_is_for() -> None:
    for words in ([], ["--age-plugin=identity-v2"], ["--help"]):
        done = subprocess.run([sys.executable, "-m", "dta.age", *words], capture_output=True, text=True, timeout=600)
        assert (done.returncode, done.stdout) == (EXIT_USAGE, "")
        assert "age -d -j dta" in done.stderr
