"""Tables over an enum that cannot be left incomplete: what may follow what, and what each value means.

A value that is added to the ``.proto`` and to no table ends the program when it is loaded, with its name: nobody finds
out in a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

from abci_app.errors import StateBroken

V = TypeVar("V")


class Enum(Protocol):
    """A protobuf enum."""

    def keys(self) -> list[str]: ...

    def Value(self, name: str) -> int: ...


def complete(enum: Enum, table: Mapping[int, V], *, but: tuple[str, ...] = ()) -> Mapping[int, V]:
    """``table``, which must have each value of ``enum`` and nothing else, but those named ``but``.

    Raises ValueError, which names what is missing or too much.
    """
    wanted = {enum.Value(name): name for name in enum.keys() if name not in but}  # noqa: SIM118
    missing = sorted(name for value, name in wanted.items() if value not in table)
    unknown = sorted(value for value in table if value not in wanted)
    if missing or unknown:
        raise ValueError(f"a table lacks {missing} and has {unknown}")
    return table


class Transitions(Mapping[int, tuple[int, ...]]):
    """Which status may follow which (docs/spec/custody.md). The first value of the enum, "unspecified", is none."""

    def __init__(self, enum: Enum, table: Mapping[int, tuple[int, ...]]) -> None:
        names = {enum.Value(name): name for name in enum.keys()}  # noqa: SIM118
        self._table = complete(enum, table, but=(names[0],))
        self._names = names

    def __getitem__(self, at: int) -> tuple[int, ...]:
        return self._table[at]

    def __iter__(self) -> Iterator[int]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def check(self, at: int, to: int) -> None:
        """Raise StateBroken where ``to`` can not follow ``at``."""
        if to not in self._table.get(at, ()):
            raise StateBroken(f"nothing goes from {self._names.get(at, at)} to {self._names.get(to, to)}")
