"""What a demo says to the person who watches: numbered steps, what was done, a table at the end; on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.panel import Panel
from rich.table import Table


class Telling:
    """Counts the steps and keeps the rows of the summary."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._steps = 0
        self._rows: list[tuple[str, str, str]] = []
        self._started_at = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A numbered step, with a sign of life while it runs."""
        self._steps += 1
        self.console.print(f"\n[bold cyan]{self._steps}. {title}[/bold cyan]")
        with self.console.status("working", spinner="dots"):
            yield

    def done(self, line: str) -> None:
        """Something that happened, and was checked."""
        self.console.print(f"  [green]done[/green]  {line}")

    def aside(self, line: str) -> None:
        """What a command said, word for word."""
        self.console.print(f"      [dim]{line}[/dim]")

    def fact(self, what: str, how: str, outcome: str) -> None:
        """A row of the summary."""
        self._rows.append((what, how, outcome))

    def summary(self) -> None:
        """The table of all rows, and how long it took."""
        table = Table("what", "how", "outcome", title="What happened")
        for row in self._rows:
            table.add_row(*row)
        self.console.print()
        self.console.print(table)
        seconds = time.monotonic() - self._started_at
        self.console.print(Panel(f"Everything above was checked as it happened. {seconds:.0f} seconds.", expand=False))
