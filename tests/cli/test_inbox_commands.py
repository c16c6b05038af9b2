"""``dta inbox`` and ``dta contacts`` as people and programs run them, over real proofs and real HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dta.cli.inbox import _COMMANDS, _LOOK, commands_of, inbox_lines, until
from dta.cli.main import command_line
from dta.client.inbox import reading
from dta.client.inbox.items import Action, Deadline, Inbox, Item, ItemKind
from dta.client.names import NameBook
from tests.cli.order_transcript import play
from tests.cli.order_world import ServedWorld, served_world
from tests.cli.test_order_commands import SECRET, Typist


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as world:
        yield world


@pytest.fixture
def dta(world: ServedWorld, capsys: Any, monkeypatch: Any) -> Typist:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    monkeypatch.setattr(reading, "POLL_S", 0.05)
    return Typist(world, capsys)


def test_the_commands_do_what_their_transcript_says(world: ServedWorld, dta: Typist) -> None:
    secret = world.directory / "secret"
    secret.write_bytes(SECRET)
    names = {"SECRET": str(secret), "OUT": str(world.directory / "received")}
    names |= {name.upper(): id_.hex() for name, id_ in world.people.items()}
    play(Path(__file__).with_name("inbox.transcript"), dta, names)


def test_programs_get_all_of_an_inbox_and_one_a_line_when_they_watch(world: ServedWorld, dta: Typist) -> None:
    secret = world.directory / "secret"
    secret.write_bytes(SECRET)
    vault = dta.json("alice", "vault", "open")["vault"]
    placing = ("order", "place", "--vault", vault, "--secret-file", str(secret), "--beneficiary", "bob")
    order = dta.json("alice", *placing, "--policy", "2of:bob,carol", "--expires-in", "3600")
    request = dta.json("bob", "order", "request", order["order"])
    found = dta.json("carol", "inbox")
    [item] = found["items"]
    assert (item["kind"], item["subject"], item["parent"]) == ("request", request["request"], order["order"])
    assert (item["actions"], item["status"], item["roles"]) == (["approve"], "pending", ["party"])
    assert item["commands"] == [f"dta order approve {request['request']}"]
    assert item["content_digest"] == request["content_digest"]
    assert item["deadline_time_s"] == min(request["deadline_time_s"], order["expires_at_time_s"])
    assert (item["origin"], item["asker"]) == (world.people["alice"].hex(), world.people["bob"].hex())
    assert (found["identity"], found["entries"], found["outside"]) == (world.people["carol"].hex(), 1, [])
    assert item["proved_at_height"] >= found["whole_at_height"] > 0

    code, out, _ = dta("carol", ["--json", "inbox", "--watch", "--for", "0.3"])
    assert code == 0
    [line] = out.splitlines()
    assert [one["subject"] for one in json.loads(line)["items"]] == [request["request"]]


def test_every_action_of_every_kind_has_a_command_that_there_is() -> None:
    """Kinds without an action are those that are only shown."""
    assert {kind for kind, _ in _COMMANDS} | set(_LOOK) == set(ItemKind)
    assert {action for _, action in _COMMANDS} == set(Action)
    for pattern in (*_COMMANDS.values(), *_LOOK.values()):
        group: Any = command_line()
        for word in pattern.split()[1:]:
            if word.startswith(("{", "-")) or not hasattr(group, "commands"):
                break
            group = group.commands[word]
        assert not hasattr(group, "commands"), pattern


def item(number: int, kind: ItemKind = ItemKind.ORDER, *actions: Action, **given: Any) -> Item:
    return Item(kind, bytes([number]) * 32, "active", actions, Deadline(), 1, bytes([200]) * 32, **given)


def test_so_many_of_strangers_are_shown_and_the_rest_is_counted() -> None:
    outside = [item(number, ItemKind.ORDER, Action.REQUEST) for number in range(25)]
    found = Inbox(b"m" * 32, (), outside, 7, 40, 9, (10, 0))  # type: ignore[arg-type]
    lines = inbox_lines(found, NameBook())
    assert lines[0] == "nothing waits"
    assert sum("dta order request" in line for line in lines) == 20
    assert lines[-1] == "and 12 more"


@pytest.mark.parametrize(
    ("deadline", "shown"),
    [
        (Deadline(), "-"), (Deadline(1), "1970-01-01 00:00:01Z"), (Deadline(height=7), "height 7"),
        (Deadline(1, 7), "1970-01-01 00:00:01Z or height 7"),
        (Deadline(1, 7, is_both=True), "1970-01-01 00:00:01Z and height 7"),
    ],
)  # fmt: skip
def test_a_deadline_says_which_of_two_counts(deadline: Deadline, shown: str) -> None:
    assert until(deadline) == shown


def test_what_has_no_action_is_shown_by_a_command() -> None:
    proposal = item(1, ItemKind.PROPOSAL, label="revoke-identity")
    assert commands_of(proposal) == [f"dta governance show {proposal.subject.hex()}"]
