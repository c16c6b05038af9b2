"""The state machine's errors: few, carrying data, never matched by their text."""

from __future__ import annotations

from abci_app.codes import Code, info


class Refusal(Exception):
    """A transaction is refused with ``code`` and rolled back. ``detail`` names the field or the subject, for people.

    ``reason`` tells apart the checks that refuse with one code: a field's name, or a word or two for the rule. No two
    checks have code and reason in common, so that both together name one check (docs/spec/codes.md, Reasons).
    """

    def __init__(self, code: Code, detail: str = "", *, reason: str = "") -> None:
        super().__init__(code, detail, reason)
        self.code = code
        self.detail = detail
        self.reason = reason

    def __str__(self) -> str:
        meaning = info(self.code).meaning
        return f"{meaning}: {self.detail}" if self.detail else meaning


class GenesisRefused(Exception):
    """The genesis can't start a chain. ``field`` says where, ``reason`` why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"genesis: {self.field}: {self.reason}"


class StateBroken(Exception):
    """Committed state contradicts itself: a defect of ours. Ends the process (answering would fork the chain)."""


class UpgradeNeeded(Exception):
    """The chain needs protocol ``version``, which this binary does not have. Ends the process before that block."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version

    def __str__(self) -> str:
        return f"the chain is at protocol version {self.version}; this binary does not have it: install one that does"
