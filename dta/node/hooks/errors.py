"""How a job ends without an answer."""

from __future__ import annotations


class Retry(Exception):
    """Not now: try again after a pause. ``reason`` is for the operator and holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class NotAtHead(Retry):
    """What this node knows may be old: it acts on nothing."""


class NotDue(Exception):
    """State says meanwhile that nothing is owed."""


class CannotAnswer(Exception):
    """Trying again would change nothing. ``reason`` is for the operator and holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
