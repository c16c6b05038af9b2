"""``dta inbox``: what waits for somebody's decision or receipt (docs/howto/orders.md, What waits for you)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer

from abci_app.pb.dta.v1 import concern_pb2
from dta.base.errors import DtaError, JsonValue
from dta.cli.custody import moment, table
from dta.cli.session import Session, session_of
from dta.client.inbox.home import HomeInbox
from dta.client.inbox.items import Action, Deadline, Inbox, Item, ItemKind
from dta.client.names import NameBook

_SHOWN_OUTSIDE: Final = 20
"""Of strangers, on a terminal; JSON has all that are listed."""

_COMMANDS: Final = {
    (ItemKind.ORDER, Action.REQUEST): "dta order request {subject}",
    (ItemKind.REQUEST, Action.APPROVE): "dta order approve {subject}",
    (ItemKind.REQUEST, Action.VETO): "dta order veto {subject}",
    (ItemKind.SIGNING, Action.APPROVE): "dta sign approve {subject}",
    (ItemKind.SIGNING, Action.VETO): "dta sign veto {subject}",
    (ItemKind.RECEIPT, Action.RECEIVE): "dta order receive {subject} --out FILE",
    (ItemKind.CEREMONY, Action.CONSENT): "dta authority accept {parent}",
    (ItemKind.VAULT, Action.CANCEL_CLOSE): "dta vault cancel-close {subject}",
    (ItemKind.SERVER, Action.REQUEST_AS_SERVER): "dta mfa server request-secret --realm {subject}",
}
_LOOK: Final = {ItemKind.PROPOSAL: "dta governance show {subject}"}


def inbox(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Go on: show it again whenever something else waits.")] = False,
    seconds: Annotated[
        float, typer.Option("--for", min=0, help="With --watch, so many seconds; without, until it is stopped.")
    ] = 0,
) -> None:
    """What waits for this identity's decision or receipt, the nearest deadline first, proved whole.

    A node that leaves anything out is refused. What comes from nobody that this home knows (`dta contacts`) is listed
    apart, below, and not without end. With --watch and --json each line is one inbox.
    """
    session = session_of(context)
    identity = session.profile().identity
    with session.ledger() as ledger:
        box = HomeInbox(ledger, identity, session.home.path, lambda: NameBook.of_home(session.home).known())
        if not watch:
            found = box.read()
            session.show(inbox_json(found), inbox_lines(found, NameBook.of_home(session.home)))
            return
        for found in box.watch(seconds or math.inf, _missed(session)):
            session.show_line(inbox_json(found), ["", *inbox_lines(found, NameBook.of_home(session.home))])


def _missed(session: Session) -> Callable[[DtaError], None]:
    """Says that nothing is seen, once for each reason and not for each look that fails so."""
    said: set[str] = set()

    def say(error: DtaError) -> None:
        if error.message not in said:
            session.talk(f"warning: what waits can't be seen for now: {error.message}")
            said.add(error.message)

    return say


def inbox_json(found: Inbox) -> dict[str, JsonValue]:
    """An inbox, all of it."""
    return {
        "identity": found.identity.hex(), "items": [item_json(item) for item in found.items],
        "outside": [item_json(item) for item in found.outside], "outside_left": found.outside_left,
        "entries": found.total, "whole_at_height": found.height,
    }  # fmt: skip


def item_json(item: Item) -> dict[str, JsonValue]:
    """One item. ``commands``: what does each of its ``actions``."""
    return {
        "kind": item.kind.value, "subject": item.subject.hex(), "parent": item.parent.hex(), "status": item.status,
        "actions": [action.value for action in item.actions], "commands": list(commands_of(item)),
        "deadline_time_s": item.deadline.time_s, "deadline_height": item.deadline.height,
        "deadline_is_both": item.deadline.is_both, "since_height": item.since_height, "origin": item.origin.hex(),
        "asker": item.asker.hex(), "roles": [role_name(role) for role in item.roles],
        "content_digest": item.content_digest.hex(), "label": item.label, "entry": item.number,
        "proved_at_height": item.height,
    }  # fmt: skip


def role_name(role: concern_pb2.ConcernRole) -> str:
    """A role in lower case, as people and JSON see it."""
    return concern_pb2.ConcernRole.Name(role).removeprefix("CONCERN_ROLE_").lower().replace("_", "-")


def commands_of(item: Item) -> list[str]:
    """The commands that decide it; where there is nothing to decide, the one that shows it."""
    patterns = [_COMMANDS[item.kind, action] for action in item.actions] or [_LOOK[item.kind]]
    return [pattern.format(subject=item.subject.hex(), parent=item.parent.hex()) for pattern in patterns]


def inbox_lines(found: Inbox, names: NameBook) -> list[str]:
    """An inbox for people."""
    lines = table(_rows(found.items, names)) or ["nothing waits"]
    if found.outside or found.outside_left:
        shown = found.outside[:_SHOWN_OUTSIDE]
        left = len(found.outside) - len(shown) + found.outside_left
        lines += ["", "from others than your contacts (`dta contacts add` makes one):", *table(_rows(shown, names))]
        lines += [f"and {left} more"] if left else []
    return lines


def _rows(items: Sequence[Item], names: NameBook) -> list[dict[str, object]]:
    """A row for each command; what it is about in the first of an item."""
    rows: list[dict[str, object]] = []
    for item in items:
        for position, command in enumerate(commands_of(item)):
            about = ("", "", "") if position else (until(item.deadline), what(item, names), _origin(item, names))
            rows.append(dict(zip(("until", "what", "from", "command"), (*about, command), strict=True)))
    return rows


def until(deadline: Deadline) -> str:
    """A deadline for people."""
    found = [moment(deadline.time_s)] if deadline.time_s else []
    found += [f"height {deadline.height}"] if deadline.height else []
    return (" and " if deadline.is_both else " or ").join(found) or "-"


def what(item: Item, names: NameBook) -> str:
    """What waits, for people."""
    return {
        ItemKind.ORDER: "an order for you to ask for",
        ItemKind.REQUEST: f"a request of {names.name_of(item.asker)}",
        ItemKind.SIGNING: f"a signature, {item.label!r}",
        ItemKind.RECEIPT: "a secret to receive",
        ItemKind.CEREMONY: f"a ceremony of the key {item.label!r}",
        ItemKind.PROPOSAL: f"a proposal about you, {item.label}",
        ItemKind.VAULT: "a vault that closes",
        ItemKind.SERVER: f"a server's secret of the realm {item.label!r}",
    }[item.kind]


def _origin(item: Item, names: NameBook) -> str:
    return names.name_of(item.origin) if item.origin else "the fiduciaries"

