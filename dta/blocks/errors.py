"""What can go wrong with a block. Every error carries its data; none is told apart by its text."""

from __future__ import annotations

from abci_app.limits import MAX_ENVELOPE_BYTES


class BlockError(Exception):
    """The base of every error here."""


class BlockMissing(BlockError):
    """The store does not hold ``cid``."""

    def __init__(self, cid: str) -> None:
        super().__init__(cid)
        self.cid = cid

    def __str__(self) -> str:
        return f"block {self.cid} is not in the store"


class BlockCorrupt(BlockError):
    """What the store held under ``cid`` hashes to something else, or can't be read. It was moved aside."""

    def __init__(self, cid: str) -> None:
        super().__init__(cid)
        self.cid = cid

    def __str__(self) -> str:
        return f"block {self.cid} is corrupt in the store and was set aside"


class BlockTooLarge(BlockError):
    """A block of more than ``MAX_ENVELOPE_BYTES``. ``size_bytes`` is what is known of its size: at least that."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes

    def __str__(self) -> str:
        return f"a block of {self.size_bytes} bytes is over the limit of {MAX_ENVELOPE_BYTES}"


class StoreFull(BlockError):
    """The disk, or its quota, has no room for ``size_bytes`` more at ``where``. Nothing of the block was kept."""

    def __init__(self, where: str, size_bytes: int) -> None:
        super().__init__(where, size_bytes)
        self.where = where
        self.size_bytes = size_bytes

    def __str__(self) -> str:
        return f"no room for {self.size_bytes} bytes in the block store at {self.where}"


class StoreBusy(BlockError):
    """Another process has the store at ``where`` open."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return f"the block store at {self.where} is open in another process"


class StoreUnreachable(BlockError):
    """A store behind a network (Kubo) did not do what it was asked. ``reason`` is for people."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"the block store at {self.where} failed: {self.reason}"


class BlockUnavailable(BlockError):
    """Neither the store nor any peer had ``cid``. ``attempts``: (gateway, reason), in the order tried.

    ``is_nowhere``: it is not only out of this node's reach. Some gateway said that it lacks the block, or none is
    known. Where no gateway answered, the fault may be this node's own line.
    """

    def __init__(self, cid: str, attempts: tuple[tuple[str, str], ...], is_nowhere: bool) -> None:
        super().__init__(cid, attempts)
        self.cid = cid
        self.attempts = attempts
        self.is_nowhere = is_nowhere

    def __str__(self) -> str:
        tried = "; ".join(f"{gateway}: {reason}" for gateway, reason in self.attempts) or "no gateway is known"
        said = "is available nowhere" if self.is_nowhere else "can't be had now"
        return f"block {self.cid} {said} ({tried})"


class BlockPending(BlockError):
    """``cid`` is still being fetched. Whoever asks for it next finds it, or waits for the same fetch."""

    def __init__(self, cid: str) -> None:
        super().__init__(cid)
        self.cid = cid

    def __str__(self) -> str:
        return f"block {self.cid} is still being fetched"
