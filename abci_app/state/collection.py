"""What a place in state is, declared once: an ASCII prefix, named parts, what is there, for machines and for people.

From one declaration derive the keys, how values are read and written, what a client proves and calls it
(:mod:`dta.client.ledger.leaves`) and the tables of docs/spec/state.md. ``records`` and ``indexes`` declare them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Generic, TypeAlias, TypeVar, TypeVarTuple

from google.protobuf.message import Message

from abci_app.errors import StateBroken
from abci_app.hashing import u32, u64
from abci_app.limits import ID_BYTES
from abci_app.state.overlay import Overlay
from abci_app.state.view import StateView

M = TypeVar("M", bound=Message)
Ts = TypeVarTuple("Ts")

SHARED_ENTRIES: Final = 256
PRESENT: Final = b"\x01"
"""An index entry that says no more than that it is there."""


def _as_it_is(value: bytes) -> bytes:
    return value


_U8: Final = tuple(bytes([value]) for value in range(256))


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a key. ``widths``: how many bytes it may have; more than one width only in the last part.

    ``name`` stands in braces in a label; ``text`` is what docs/spec/state.md calls it.
    """

    name: str
    widths: tuple[int, ...]
    text: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class KeyShape(Generic[*Ts]):
    """A prefix, then named parts: begun by :func:`at`, and each method adds a part. Numbers are big-endian."""

    __slots__ = ("parts", "prefix")

    def __init__(self, prefix: bytes, parts: tuple[Part, ...] = ()) -> None:
        self.prefix = prefix
        self.parts = parts

    def id(self, name: str, text: str = "") -> KeyShape[*Ts, bytes]:
        """32 bytes: an id, or an Ed25519 key."""
        return self.fixed(name, ID_BYTES, text=text)

    def fixed(self, name: str, *widths: int, text: str = "") -> KeyShape[*Ts, bytes]:
        """Bytes of this width; of one of these widths, as the last part."""
        return KeyShape(self.prefix, (*self.parts, Part(name, widths, text or name, _as_it_is, _as_it_is)))

    def u8(self, name: str) -> KeyShape[*Ts, int]:
        """A kind, in one byte."""
        return KeyShape(self.prefix, (*self.parts, Part(name, (1,), name, _U8.__getitem__, _number)))

    def u32(self, name: str) -> KeyShape[*Ts, int]:
        """A number in 4 bytes."""
        return KeyShape(self.prefix, (*self.parts, Part(name, (4,), f"u32 {name}", u32, _number)))

    def u64(self, name: str) -> KeyShape[*Ts, int]:
        """A number in 8 bytes: a height, or a time in seconds."""
        return KeyShape(self.prefix, (*self.parts, Part(name, (8,), f"u64 {name}", u64, _number)))


def at(prefix: str) -> KeyShape[()]:
    """The shape of keys that have this prefix alone, to add parts to. ``prefix`` ends in ``/``."""
    return KeyShape(prefix.encode("ascii"))


def _builder(prefix: bytes, parts: tuple[Part, ...]) -> Any:
    """What makes a key of values. The shapes that there are go without a loop: every transaction makes many keys."""
    encoders = [part.encode for part in parts]
    first, second, third = (*encoders, *[_as_it_is] * 3)[:3]
    shape = "".join("b" if encode is _as_it_is else "n" for encode in encoders)  # bytes as they are, or numbers
    plain: dict[str, Callable[..., bytes]] = {
        "": lambda: prefix,
        "b": prefix.__add__,
        "n": lambda a: prefix + first(a),
        "bb": lambda a, b: prefix + a + b,
        "bn": lambda a, b: prefix + a + second(b),
        "nb": lambda a, b: prefix + first(a) + b,
        "bnb": lambda a, b, c: prefix + a + second(b) + c,
        "bnn": lambda a, b, c: prefix + a + second(b) + third(c),
        "nnb": lambda a, b, c: prefix + first(a) + second(b) + c,
    }
    return plain.get(shape) or (
        lambda *values: prefix + b"".join(encode(value) for encode, value in zip(encoders, values, strict=True))
    )


class Collection(Generic[*Ts]):
    """What lives under one prefix. ``key(*parts)`` is the key of one entry."""

    def __init__(self, shape: KeyShape[*Ts]) -> None:
        self.prefix: Final = shape.prefix
        self.parts: Final = shape.parts
        self.key: Callable[[*Ts], bytes] = _builder(shape.prefix, shape.parts)
        least = len(shape.prefix) + sum(part.widths[0] for part in shape.parts[:-1])
        self._lengths = [least + width for width in (shape.parts[-1].widths if shape.parts else (0,))]

    def under(self, *leading: bytes | int) -> bytes:
        """What the keys with these first parts begin with."""
        return self.prefix + b"".join(
            part.encode(value) for part, value in zip(self.parts[: len(leading)], leading, strict=True)
        )

    def holds(self, key: bytes) -> bool:
        """Whether this is a key of the collection: its prefix, and as many bytes as its parts have."""
        return key.startswith(self.prefix) and len(key) in self._lengths

    def split(self, key: bytes) -> tuple[*Ts]:
        """A key's parts. Raises ValueError where it is none of this collection."""
        if not self.holds(key):
            raise ValueError(f"{key.hex()} is no key of {self.prefix.decode('ascii')}")
        found: list[Any] = []
        at_byte = len(self.prefix)
        for part in self.parts[:-1]:
            found.append(part.decode(key[at_byte : at_byte + part.widths[0]]))
            at_byte += part.widths[0]
        for part in self.parts[-1:]:
            found.append(part.decode(key[at_byte:]))
        parts: Any = tuple(found)
        return parts  # type: ignore[no-any-return]


class LeafCollection(Collection[*Ts]):
    """Leaves of one kind. ``label``: what a person is told is there, with the key's parts by name in braces.

    ``value``: what is there; ``written_by``: who writes it, both for docs/spec/state.md.
    """

    def __init__(self, shape: KeyShape[*Ts], *, label: str, value: str, written_by: str) -> None:
        super().__init__(shape)
        self.label: Final = label
        self.value: Final = value
        self.written_by: Final = written_by

    def name(self, *parts: *Ts) -> str:
        """What to call one of them to a person: ids in hex, numbers in decimal."""
        shown = [value.hex() if isinstance(value, bytes) else value for value in parts]
        return self.label.format(**{part.name: value for part, value in zip(self.parts, shown, strict=True)})

    def exists(self, view: StateView, *parts: *Ts) -> bool:
        """Whether there is such a leaf."""
        return view.get(self.key(*parts)) is not None


class Records(LeafCollection[*Ts], Generic[M, *Ts]):
    """Leaves that are protobuf records of one type, in their canonical encoding."""

    def __init__(self, record: type[M], shape: KeyShape[*Ts], *, label: str, written_by: str, note: str = "") -> None:
        name = record.DESCRIPTOR.name
        super().__init__(shape, label=label, value=f"{name}: {note}" if note else name, written_by=written_by)
        self.record: Final = record
        self.parse: Callable[[bytes], M] = record.FromString
        # Parsed once for as long as the bytes stay the same, whichever key they are under.
        self._shared = lru_cache(maxsize=SHARED_ENTRIES)(record.FromString)

    def read(self, view: StateView, *parts: *Ts) -> M | None:
        """As :meth:`find`, but shared with whoever reads the same: never to be changed."""
        value = view.get(self.key(*parts))
        return None if value is None else self._shared(value)

    def find(self, view: StateView, *parts: *Ts) -> M | None:
        """The record, or None. The caller may change it and :meth:`put` it back."""
        value = view.get(self.key(*parts))
        return None if value is None else self.parse(value)

    def get(self, view: StateView, *parts: *Ts) -> M:
        """The record, which must be there: an index or another record names it."""
        record = self.find(view, *parts)
        if record is None:
            raise StateBroken(f"{self.record.DESCRIPTOR.name} is missing")
        return record

    def all(self, view: StateView, *leading: bytes | int) -> Iterator[M]:
        """The records whose key has these first parts, by key."""
        return (self.parse(value) for _, value in view.scan(self.under(*leading)))

    def put(self, state: Overlay, record: M, *parts: *Ts) -> None:
        """Write the record's canonical encoding."""
        state.put(self.key(*parts), record.SerializeToString(deterministic=True))

    def forget_shared(self) -> None:
        """Forget what :meth:`read` keeps: as a process does that starts again."""
        self._shared.cache_clear()


class Values(LeafCollection[*Ts]):
    """Leaves of plain bytes."""

    def find(self, view: StateView, *parts: *Ts) -> bytes | None:
        """The value, or None."""
        return view.get(self.key(*parts))

    def put(self, state: Overlay, value: bytes, *parts: *Ts) -> None:
        """Write the value: 1 to 4,096 bytes."""
        state.put(self.key(*parts), value)

    def delete(self, state: Overlay, *parts: *Ts) -> None:
        """Delete the leaf."""
        state.delete(self.key(*parts))


class Index(Collection[*Ts]):
    """Index entries of one kind. ``value``: what an entry holds; ``one_for``: what there is an entry for."""

    def __init__(self, shape: KeyShape[*Ts], *, one_for: str, value: str = "`01`") -> None:
        super().__init__(shape)
        self.value: Final = value
        self.one_for: Final = one_for

    def find(self, view: StateView, *parts: *Ts) -> bytes | None:
        """The entry's value, or None."""
        return view.index_get(self.key(*parts))

    def exists(self, view: StateView, *parts: *Ts) -> bool:
        """Whether there is such an entry."""
        return view.index_get(self.key(*parts)) is not None

    def put(self, state: Overlay, *parts: *Ts, value: bytes = PRESENT) -> None:
        """Write an entry."""
        state.index_put(self.key(*parts), value)

    def delete(self, state: Overlay, *parts: *Ts) -> None:
        """Delete an entry."""
        state.index_delete(self.key(*parts))

    def entries(self, view: StateView, *leading: bytes | int, limit: int | None = None) -> Iterator[tuple[*Ts]]:
        """The parts of the entries whose key has these first parts, ascending, at most ``limit``.

        Who writes meanwhile takes a list first.
        """
        return (self.split(key) for key, _ in view.index_scan(self.under(*leading), limit=limit))

    def items(self, view: StateView, *leading: bytes | int) -> Iterator[tuple[tuple[*Ts], bytes]]:
        """The same of all, each with its value."""
        return ((self.split(key), value) for key, value in view.index_scan(self.under(*leading)))

    def has_any(self, view: StateView, *leading: bytes | int) -> bool:
        """Whether there is an entry whose key has these first parts."""
        return any(view.index_scan(self.under(*leading), limit=1))


_NONE: Final = b"\xff" * 8
"""Where the first entry is of a queue that has none."""


class Queue(Index[*Ts]):
    """An index that blocks take from its beginning on: a number, a time or a height, says from when on each is due.

    ``first``: for the parts before that number, the height of the block that noted it, and what no key of these parts
    goes on with less than. Without it each block would step over all that LevelDB has deleted before the first that is
    left, and has not compacted. Where it is not due yet nothing is looked for; who puts an entry before it moves it
    there. A note that the block before did not make is none: a program that knows no notes may have put entries since.
    """

    def __init__(self, shape: KeyShape[*Ts], first: AnyIndex, *, one_for: str, value: str = "`01`") -> None:
        super().__init__(shape, one_for=one_for, value=value)
        self.first: Final = first
        self._leading_bytes: Final = sum(part.widths[0] for part in first.parts)

    def put(self, state: Overlay, *parts: *Ts, value: bytes = PRESENT) -> None:
        """Write an entry."""
        self.put_key(state, self.key(*parts), value)

    def put_key(self, state: Overlay, key: bytes, value: bytes = PRESENT) -> None:
        """As :meth:`put`, an entry by its key."""
        state.index_put(key, value)
        leading = len(self.prefix) + self._leading_bytes
        note = self.first.prefix + key[len(self.prefix) : leading]
        noted = state.index_get(note)
        if noted is not None and key[leading:] < noted[8:]:
            state.index_put(note, noted[:8] + key[leading:])

    def due(self, state: Overlay, height: int, last: int, *leading: bytes | int, limit: int) -> list[tuple[*Ts]]:
        """The parts of the entries with these first parts whose next one, a number, is ``last`` at most.

        At most ``limit``. Of the others one is read; none where the first is known to be one of them. Called once in
        each block, of which ``height`` is.
        """
        under, note = self.under(*leading), self.first.under(*leading)
        noted = state.index_get(note)
        first = noted[8:] if noted is not None and _number(noted[:8]) == height - 1 else None
        if first is not None and _number(first[:8]) > last:
            state.index_put(note, u64(height) + first)
            return []
        keys = (key for key, _ in state.index_scan(under, b"" if first is None else under + first[:-1], limit))
        found: list[bytes] = []
        begins = _NONE
        for key in keys:
            if begins is _NONE:
                begins = key[len(under) :]
            if _number(key[len(under) :][:8]) > last:
                break
            found.append(key)
        state.index_put(note, u64(height) + begins)
        return [self.split(key) for key in found]


AnyLeaves: TypeAlias = LeafCollection[*tuple[Any, ...]]
AnyIndex: TypeAlias = Index[*tuple[Any, ...]]
AnyCollection: TypeAlias = Collection[*tuple[Any, ...]]


class Table:
    """Makes collections and notes them, in the order of their declaration."""

    def __init__(self) -> None:
        self.leaves: list[AnyLeaves] = []
        self.indexes: list[AnyIndex] = []

    def records(
        self, record: type[M], shape: KeyShape[*Ts], *, label: str, written_by: str, note: str = ""
    ) -> Records[M, *Ts]:
        """See :class:`Records`."""
        made = Records(record, shape, label=label, written_by=written_by, note=note)
        self.leaves.append(made)
        return made

    def values(self, shape: KeyShape[*Ts], *, label: str, value: str, written_by: str) -> Values[*Ts]:
        """See :class:`Values`."""
        made = Values(shape, label=label, value=value, written_by=written_by)
        self.leaves.append(made)
        return made

    def index(self, shape: KeyShape[*Ts], *, one_for: str, value: str = "`01`") -> Index[*Ts]:
        """See :class:`Index`."""
        made = Index(shape, one_for=one_for, value=value)
        self.indexes.append(made)
        return made

    def queue(self, shape: KeyShape[*Ts], first: KeyShape[*tuple[Any, ...]], *, one_for: str) -> Queue[*Ts]:
        """See :class:`Queue`. ``first``: the shape of its notes."""
        note: AnyIndex = Index(
            first,
            value="u64 height of the last block, then what follows in a key of the index above",
            one_for="a queue: no entry of the index above is before it",
        )
        made = Queue(shape, note, one_for=one_for)
        self.indexes += [made, note]
        return made
