"""``dta vault``, ``dta order`` and ``dta policy`` as people and programs run them, over real proofs and real HTTP."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.state.records import CONCERNS
from dta.cli.main import run
from dta.client.custody import records
from tests.cli.order_transcript import play
from tests.cli.order_world import ServedWorld, served_world

SECRET = b"-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IHJlYWxseQ==\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as world:
        yield world


class Typist:
    """Runs command lines in people's homes, and keeps everything that was ever printed."""

    def __init__(self, world: ServedWorld, captured: Any) -> None:
        self.world = world
        self.captured = captured
        self.printed = ""

    def __call__(self, who: str, words: list[str]) -> tuple[int, str, str]:
        self.captured.readouterr()
        code = run(["--home", str(self.world.directory / who), *words])
        said = self.captured.readouterr()
        self.printed += said.out + said.err
        return code, said.out, said.err

    def json(self, who: str, *words: str, exit_code: int = 0) -> Any:
        code, out, _ = self(who, ["--json", *words])
        assert code == exit_code, out
        return json.loads(out)


@pytest.fixture
def dta(world: ServedWorld, capsys: Any, monkeypatch: Any) -> Typist:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return Typist(world, capsys)


def test_the_commands_do_what_their_transcript_says(world: ServedWorld, dta: Typist) -> None:
    secret, out, out3 = (world.directory / name for name in ("secret", "received", "received3"))
    secret.write_bytes(SECRET)
    names = {
        "SECRET": str(secret), "OUT": str(out), "OUT3": str(out3), "DRAFT": str(world.directory / "draft.json"),
        "RECEIPT": str(world.directory / "never.receipt"), "RECEIPT2": str(world.directory / "order.receipt"),
        "GENESIS": str(world.directory / "alice" / "genesis.json"),
        "BOB": world.people["bob"].hex(), "CAROL": world.people["carol"].hex(), "BYTES": str(len(SECRET)),
    }  # fmt: skip
    play(Path(__file__).with_name("orders.transcript"), dta, names)
    assert out.read_bytes() == out3.read_bytes() == SECRET
    assert out.stat().st_mode & 0o777 == 0o600
    assert "bm90IHJlYWxseQ" not in dta.printed


def from_stdin(monkeypatch: Any, content: bytes) -> None:
    class Piped:
        buffer = io.BytesIO(content)

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Piped())


def test_programs_get_one_json_value_for_results_and_for_errors(
    world: ServedWorld, dta: Typist, monkeypatch: Any
) -> None:
    vault = dta.json("alice", "vault", "open")
    assert vault["status"] == "open"
    assert [one["key"] for one in vault["fiduciaries"]] == ["published"] * 4
    from_stdin(monkeypatch, SECRET)
    placing = ("order", "place", "--vault", vault["vault"], "--secret-file", "-", "--beneficiary", "bob")
    order = dta.json("alice", *placing, "--expires-in", "3600")
    assert order["status"] == "active"
    assert order["policy"]["beneficiary"] == world.people["bob"].hex()
    assert order["expires_at_time_s"] > order["placed_time_s"]
    assert {one["outcome"] for one in dta.json("alice", "order", "show", order["order"])["fiduciaries"]} == {
        "fulfilled"
    }

    request = dta.json("bob", "order", "request", order["order"])
    assert request["status"] == "completed"
    refused = dta.json("bob", "order", "receive", request["request"], exit_code=2)
    assert refused["error"]["kind"] == "usage"
    out = world.directory / "secret.out"
    received = dta.json("bob", "order", "receive", order["order"], "--out", str(out))
    assert received["bytes"] == len(SECRET)
    assert received["bad_fiduciaries"] == []
    assert out.read_bytes() == SECRET

    shown = dta.json("alice", "order", "show", order["order"])
    assert [one["status"] for one in shown["requests"]] == ["completed"]
    assert [one["order"] for one in dta.json("alice", "order", "list")["orders"]] == [order["order"]]
    assert dta.json("alice", "order", "watch", order["order"])["status"] == "active"
    assert dta.json("alice", "order", "close", order["order"])["status"] == "closed"
    assert dta.json("alice", "order", "list")["orders"] == []
    assert dta.json("alice", "order", "list", "--all")["orders"][0]["status"] == "closed"
    wrong = dta.json("bob", "order", "request", order["order"], exit_code=3)["error"]
    assert (wrong["kind"], wrong["data"]["name"]) == ("would-be-refused", "ORDER_NOT_OPEN")


def test_a_secret_that_is_too_large_or_empty_never_leaves(world: ServedWorld, dta: Typist, monkeypatch: Any) -> None:
    vault = dta.json("alice", "vault", "open")["vault"]
    placing = ("order", "place", "--vault", vault, "--secret-file", "-", "--beneficiary", "bob")
    from_stdin(monkeypatch, bytes((1 << 20) + 1))
    assert dta.json("alice", *placing, exit_code=2)["error"]["kind"] == "usage"
    from_stdin(monkeypatch, bytes((1 << 20) - 100))
    assert dta.json("alice", *placing, exit_code=2)["error"]["kind"] == "cannot-seal"
    from_stdin(monkeypatch, b"")
    assert dta.json("alice", *placing, exit_code=2)["error"]["message"] == "the secret is empty"
    assert not any(world.gateways.blocks.values())


def test_lists_and_an_order_s_requests_are_whole_and_ask_no_index(
    world: ServedWorld, dta: Typist, monkeypatch: Any
) -> None:
    vault = dta.json("alice", "vault", "open")["vault"]
    secret = world.directory / "secret"
    secret.write_bytes(SECRET)
    placing = ("order", "place", "--vault", vault, "--secret-file", str(secret), "--beneficiary", "bob")
    order = dta.json("alice", *placing)["order"]
    asked = [dta.json("bob", "order", "request", order)["request"] for _ in range(2)]
    monkeypatch.setattr(records, "load_all", lambda directory: [])
    monkeypatch.setattr(records, "order_ids", lambda directory: [])
    monkeypatch.setattr(records, "known_vaults", lambda directory: {})
    shown = dta.json("alice", "order", "show", order)["requests"]
    assert [(one["request"], one["number"]) for one in shown] == [(asked[0], 1), (asked[1], 2)]
    assert [one["vault"] for one in dta.json("alice", "vault", "list")["vaults"]] == [vault]
    for who, role in (("alice", "principal"), ("bob", "beneficiary"), ("bob", "party")):
        listed = dta.json(who, "order", "list", "--role", role)
        assert [(one["order"], one["kind"]) for one in listed["orders"]] == [(order, "secret")]
        assert (listed["role"], listed["orders"][0]["requests_made"]) == (role, 2)
    assert dta.json("bob", "order", "list")["orders"] == []
    assert "search" not in world.node.calls


def test_a_node_that_leaves_something_out_of_a_list_is_refused(world: ServedWorld, dta: Typist) -> None:
    dta.json("alice", "vault", "open")
    hidden = CONCERNS.key(world.people["alice"], 1).hex()

    def lie(params: dict[str, Any], honest: Any) -> Any:
        if params["data"] == hidden:
            honest["response"]["value"] = None
        return honest

    world.node.lies["abci_query"] = lie
    for words in (["vault", "list"], ["order", "list"], ["inbox"]):
        error = dta.json("alice", *words, exit_code=5)["error"]
        assert (error["kind"], error["data"]["step"]) == ("not-verified", "proof")


def test_an_order_that_was_refused_shows_its_code(world: ServedWorld, dta: Typist) -> None:
    """The client checks first, so what it sends is refused only where somebody was quicker: here, a closing vault."""
    vault = dta.json("alice", "vault", "open")["vault"]
    secret = world.directory / "secret"
    secret.write_bytes(SECRET)
    world.gateways.down = {"gateway-0"}
    placing = ("order", "place", "--vault", vault, "--secret-file", str(secret), "--beneficiary", "bob")
    error = dta.json("alice", *placing, exit_code=4)["error"]
    assert error["kind"] == "upload-incomplete"
    (left,) = dta.json("alice", "order", "list")["orders"]
    assert left["status"] == "not placed"
    assert dta.json("alice", "order", "show", left["order"])["status"] == "not placed"

    world.gateways.down = set()
    dta.json("alice", "vault", "close", vault, "--yes")
    refused = dta.json("alice", "order", "resume", left["order"], exit_code=3)["error"]
    assert refused["data"]["name"] == "VAULT_NOT_OPEN"
    shown = dta.json("alice", "order", "show", left["order"])
    assert (shown["status"], shown["name"], shown["code"]) == ("refused", "VAULT_NOT_OPEN", 77)


def test_a_policy_is_checked_and_explained_without_a_ledger(world: ServedWorld, dta: Typist) -> None:
    tree = {"all": ["alice", {"of": ["bob", "carol"], "threshold": 1, "group": "board"}]}
    file = world.directory / "policy.json"
    file.write_text(json.dumps(tree))
    code, out, _ = dta("alice", ["policy", "check", "--policy-file", str(file), "--not-before", "2030-01-01T00:00:00Z"])
    assert code == 0
    assert "all of (alice" in out
    assert "board: any of (bob" in out
    shown = dta.json("alice", "policy", "check", "--policy", "2of:alice,bob,carol", "--veto-window", "5")
    assert shown["policy"]["nodes"][0] == {"threshold": 2, "children": [1, 2, 3], "group": ""}
    for words in (
        ["--policy", "both:alice,bob"],
        ["--policy", "single:alice,bob"],
        ["--policy", "all:alice,"],
        ["--policy", "0of:alice"],
        ["--policy", "any:alice", "--policy-file", str(file)],
        ["--policy", "any:alice", "--not-after", "tomorrow"],
    ):
        assert dta("alice", ["policy", "check", *words])[0] == 2, words
