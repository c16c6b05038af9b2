"""What the commands on vaults and orders share: who acts, whom names mean, and how progress and records are shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from dta.base import ids, place
from dta.base.errors import UsageError
from dta.cli.session import Session, session_of
from dta.client.acting import party_of
from dta.client.custody import finding, keyfile, own_vaults, records
from dta.client.custody import session as sdk
from dta.client.custody.session import Step
from dta.client.ledger.ledger import Ledger
from dta.client.names import NameBook

Wait: TypeAlias = Annotated[float, typer.Option(help="Seconds to wait for the fiduciaries; 0 does not wait.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True, slots=True)
class Work:
    """One command at work: ``custody`` is what the SDK's flows take, ``names`` whom this home knows."""

    session: Session
    custody: sdk.Session
    names: NameBook
    pause: Callable[[], None]
    """Shows no progress until the next step: while a person is asked."""

    @property
    def ledger(self) -> Ledger:
        return self.custody.ledger

    def name(self, identity: bytes) -> str:
        """What to call an identity: the local name and the id's first digits."""
        return self.names.name_of(identity)


@contextmanager
def at_work(context: typer.Context) -> Iterator[Work]:
    """The ledger, and the identity to act as; keystores open when a key is first needed."""
    session = session_of(context)
    profile = session.profile()
    with session.keyring() as ring, session.ledger() as ledger, _shown(session) as progress:
        party = party_of(ring, profile)
        blocks = session.blocks(ledger.trust.gid)
        custody = sdk.Session(ledger, party, blocks, session.home.path, progress)
        yield Work(session, custody, NameBook.of_home(session.home), progress.pause)


@contextmanager
def _shown(session: Session) -> Iterator[_Steps]:
    """Progress on stderr: a bar on a terminal, else one line a step."""
    console = Console(stderr=True)
    steps = _Steps(session) if not console.is_terminal or session.as_json else _Bar(session, console)
    try:
        yield steps
    finally:
        steps.pause()


class _Steps:
    """Says each step in a line."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, step: Step) -> None:
        self._session.talk(_line(step))

    def pause(self) -> None:
        """Show nothing until the next step."""


class _Bar(_Steps):
    """A bar, from the first step on. It is drawn again and again, also over a question: paused while one is asked."""

    def __init__(self, session: Session, console: Console) -> None:
        super().__init__(session)
        # A step may name a key, whose name is no markup of rich's.
        text = TextColumn("{task.description}", markup=False)
        columns = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._display = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._is_on = False

    def __call__(self, step: Step) -> None:
        if not self._is_on:
            self._display.start()
            self._is_on = True
        for stage, task in self._tasks.items():
            if stage != step.stage:
                self._display.update(task, visible=False)
        if step.stage not in self._tasks:
            self._tasks[step.stage] = self._display.add_task(step.message)
        total = step.total or None
        self._display.update(
            self._tasks[step.stage], description=step.message, total=total, completed=step.done, visible=True
        )

    def pause(self) -> None:
        if self._is_on:
            self._display.stop()
            self._is_on = False


def _line(step: Step) -> str:
    return f"{step.message} ({step.done} of {step.total})" if step.total else step.message


def ask(work: Work, question: str, yes: bool) -> None:
    """Asks a person at a terminal; a script has decided by what it runs. Raises UsageError for a no."""
    work.pause()
    work.session.ask(question, yes)


def find_order(work: Work, text: str) -> bytes:
    """An order's id: its digits, or the first of one of this home's, or of one that the ledger says concerns it."""
    return ids.resolve(text, "order", lambda: known_orders(work), lambda: finding.orders(work.ledger, _self(work)))


def find_vault(work: Work, text: str) -> bytes:
    """The same of a vault."""
    home = work.session.home.path
    return ids.resolve(
        text, "vault", lambda: records.known_vaults(home), lambda: own_vaults.every(work.custody)
    )


def find_request(work: Work, text: str, what: str = "request") -> bytes:
    """The same of a request: one that it may approve or veto, too."""
    home = work.session.home.path
    return ids.resolve(
        text, what, lambda: keyfile.pending(home), lambda: finding.requests(work.ledger, _self(work))
    )


def known_orders(work: Work) -> list[bytes]:
    """The orders that this home placed."""
    return records.order_ids(work.session.home.path)


def _self(work: Work) -> bytes:
    return work.custody.party.identity


def read_secret(path: str, max_bytes: int, what: str) -> bytes:
    """A file's bytes, or standard input's for ``-``. Never from the command line. Raises UsageError."""
    try:
        if path == "-":
            if sys.stdin.isatty():
                raise UsageError(f"{what} would show on the terminal", hint="pipe it in, or give a file")
            content = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(max_bytes + 1)
    except OSError as error:
        raise place.failure(error, f"can't read {what} {path}") from None
    if len(content) > max_bytes:
        raise UsageError(
            f"{what} is over {max_bytes} bytes", hint="store the bulk elsewhere, encrypted, and safeguard its key"
        )
    return content


def moment(time_s: int) -> str:
    """Block time for people, in UTC; a hyphen for none."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if time_s else "-"


def cut_short(is_cut: bool) -> list[str]:
    """What to say where a door's index has more than is looked at, or lacks blocks."""
    return ["the list is cut: the door's index has more than is looked at, or not every block"] if is_cut else []


def table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Rows as aligned columns under their names; nothing for no rows."""
    if not rows:
        return []
    heads = list(rows[0])
    cells = [heads, *([str(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
