"""A client that is generated from docs/spec/openapi.json, in another language, against agents as they run.

The application over it is tools/agent-client; scripts/lib/bootstrap.sh generates and builds.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from abci_app.state.records import COUNTERS, ORDERS
from dta.client.custody.keyfile import pending
from tests.cli.agent_process import agent_of, token_of
from tests.cli.order_world import ServedWorld, served_world

ROOT = Path(__file__).parents[2]
SECRET = "the treasure is under the oak \N{DECIDUOUS TREE}\n"
BUILD_S = 900
CALLS_S = 600
DONE, NOT_DONE, WRONG_USE = 0, 1, 2


@pytest.fixture(scope="module")
def program() -> str:
    """Built where its sources or the description changed."""
    script = '. scripts/lib/bootstrap.sh; ensure_agent_client; printf %s "$DTA_AGENT_CLIENT"'
    built = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S,
        check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return built.stdout


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as made:
        yield made


def called(program: str, home: Path, token: str, *words: str, given: str = "") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "AGENT_TOKEN": token}
    return subprocess.run(
        [program, str(home / "run" / "serve.sock"), *words], env=environment, input=given.encode(), capture_output=True,
        timeout=CALLS_S, check=False,
    )  # fmt: skip


def test_an_application_places_by_it_and_another_receives(program: str, world: ServedWorld) -> None:
    alice, bob = world.directory / "alice", world.directory / "bob"
    with agent_of(alice), agent_of(bob):
        token = token_of(alice)
        placed = called(program, alice, token, "place", "bob", given=SECRET)
        assert (placed.returncode, placed.stderr) == (DONE, b"")
        order = placed.stdout.decode().strip()
        again = called(program, alice, token, "place", "bob", given=SECRET)
        assert again.stdout == placed.stdout, "its Idempotency-Key is the same"
        received = called(program, bob, token_of(bob), "receive", order)
        assert (received.returncode, received.stdout.decode(), received.stderr) == (DONE, SECRET, b"")
    with world.lock:
        record = ORDERS.get(world.chain.replica.view, bytes.fromhex(order))
        counted = COUNTERS.get(world.chain.replica.view, world.people["alice"])
    assert (record.rule.identity, counted.orders) == (world.people["bob"], 1)
    assert pending(bob) == [], "done erases the request's keys"


def test_a_problem_is_read_by_the_fields_that_are_declared(program: str, world: ServedWorld) -> None:
    alice = world.directory / "alice"
    token = token_of(alice)
    with agent_of(alice):
        for problem, tried in (
            ("urn:dta:problem:unauthenticated (401)", called(program, alice, "dta_" + "A" * 43, "place", "bob")),
            ("urn:dta:problem:forbidden (403)", called(program, alice, token_of(alice, "read"), "place", "bob")),
            ("urn:dta:problem:not-found (404)", called(program, alice, token, "receive", "ab" * 32)),
        ):
            assert (tried.returncode, tried.stdout) == (NOT_DONE, b"")
            assert tried.stderr.decode().startswith(f"error: {problem}: "), tried.stderr
    assert called(program, alice, token, "place").returncode == WRONG_USE
