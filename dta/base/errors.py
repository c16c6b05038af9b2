"""The errors of everything around the ledger: what went wrong, what to do about it, and who is to blame.

An error carries data, never only text: programs decide by ``kind`` (a stable string) and ``data``, people read
``message`` and ``hint``. The command line prints ``error: <message>`` and ``hint: <hint>`` and exits with
``exit_code``. No error of ours holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

JsonValue: TypeAlias = "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"
"""What ``data`` may hold: JSON without floats. Bytes are lower-case hex in it."""

EXIT_OK = 0
EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_UNREACHABLE = 4
EXIT_NOT_VERIFIED = 5
EXIT_TIMEOUT = 6
EXIT_NOT_FOUND = 7
EXIT_KEYSTORE = 8
EXIT_EXPIRED = 9
EXIT_UPGRADE = 10
EXIT_PLACE = 11
EXIT_COMMAND = 12
EXIT_INTERRUPTED = 130

EXIT_CODES: Mapping[int, str] = {
    EXIT_OK: "done",
    EXIT_INTERNAL: "a fault of this program",
    EXIT_USAGE: "the command, a file or the configuration is wrong; nothing was done",
    EXIT_REFUSED: "the ledger refused the transaction, and said why",
    EXIT_UNREACHABLE: "a node could not be reached, or did not answer as a node does",
    EXIT_NOT_VERIFIED: "what a node answered could not be verified; nothing was done with it",
    EXIT_TIMEOUT: "it took too long; it may still happen: look before trying again",
    EXIT_NOT_FOUND: "there is no such thing on the ledger (verified, where the read was)",
    EXIT_KEYSTORE: "the keystore or HSM refused or failed",
    EXIT_EXPIRED: "the transaction expired without being committed: it will never be; sign a new one",
    EXIT_UPGRADE: "the ledger has moved on to a protocol version that this program lacks: install one that has it",
    EXIT_PLACE: "the machine refused: a disk, a permission, a closed output; look before trying again",
    EXIT_COMMAND: "the program that was given the secret failed; the request's keys are kept: receive again",
    EXIT_INTERRUPTED: "interrupted",
}
"""The documented exit codes of ``dta``, each with its meaning."""


class DtaError(Exception):
    """Base of every error here. ``kind`` is stable and lower-case with dashes; ``data`` is JSON-able."""

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = EXIT_INTERNAL

    def __init__(self, message: str, *, hint: str = "", data: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data: dict[str, JsonValue] = dict(data or {})

    def as_json(self) -> dict[str, JsonValue]:
        """``{kind, message, hint, data, exit_code}``: what ``--json`` prints."""
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "data": self.data,
            "exit_code": self.exit_code,
        }


class UsageError(DtaError):
    """The caller's input, file or configuration is wrong. Nothing was sent."""

    kind = "usage"
    exit_code = EXIT_USAGE


class RefusedByLedger(DtaError):
    """The ledger answered a transaction with a code other than 0.

    ``height`` is where the refusal was committed, or None when the node's mempool check refused it (it is then in
    no block that we know of). ``reason`` says which check refused, where a block's result did
    (docs/spec/codes.md, Reasons): CometBFT passes none on from a mempool check.
    """

    kind = "refused"
    exit_code = EXIT_REFUSED

    def __init__(
        self, code: int, name: str, log: str, *, hint: str = "", height: int | None = None, reason: str = ""
    ) -> None:
        detail = f": {log}" if log else ""
        super().__init__(
            f"the ledger refused the transaction with {name} ({code}){detail}",
            hint=hint,
            data={"code": code, "name": name, "reason": reason, "log": log, "height": height},
        )
        self.code = code
        self.reason = reason
        self.name = name
        self.log = log
        self.height = height


class Expired(DtaError):
    """The ledger is past ``expires_at_height`` and no block up to it holds the transaction."""

    kind = "expired"
    exit_code = EXIT_EXPIRED


class Unreachable(DtaError):
    """No connection, or it broke: the request may or may not have been received."""

    kind = "unreachable"
    exit_code = EXIT_UNREACHABLE


class BadAnswer(DtaError):
    """A node answered something that CometBFT's RPC does not answer (malformed, too large, for another request)."""

    kind = "bad-answer"
    exit_code = EXIT_UNREACHABLE


class RateLimited(DtaError):
    """A door says that this address asks too much (HTTP 429). ``retry_after_s``: when it will answer again."""

    kind = "rate-limited"
    exit_code = EXIT_UNREACHABLE

    def __init__(self, message: str, retry_after_s: int, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, data={"retry_after_s": retry_after_s})
        self.retry_after_s = retry_after_s


class RpcError(DtaError):
    """The node answered with a JSON-RPC error. ``rpc_code``, ``rpc_message`` and ``rpc_data`` are as it said."""

    kind = "rpc"
    exit_code = EXIT_UNREACHABLE

    def __init__(self, method: str, rpc_code: int, rpc_message: str, rpc_data: str) -> None:
        # One line, whatever it said: a second could pass for one of ours.
        super().__init__(
            " ".join(f"the node answered {method} with an error: {rpc_message} {rpc_data}".split()),
            data={"method": method, "rpc_code": rpc_code, "rpc_message": rpc_message, "rpc_data": rpc_data},
        )
        self.method = method
        self.rpc_code = rpc_code
        self.rpc_message = rpc_message
        self.rpc_data = rpc_data


class NotVerified(DtaError):
    """An answer does not follow from what we trust: the node lies, is stale, or belongs to another chain.

    ``step`` names the check that failed (``header``, ``commit``, ``validators``, ``trust``, ``time``, ``proof``,
    ``answer``, ``gid``, ``realm``, ``item``, ``terms``, ``whole``: the ledger's own list lacks what it counts).
    """

    kind = "not-verified"
    exit_code = EXIT_NOT_VERIFIED

    def __init__(self, step: str, message: str, *, hint: str = "", data: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__(message, hint=hint, data={"step": step, **(data or {})})
        self.step = step


class TimedOut(DtaError):
    """It took longer than the caller allows. Nothing is known about what happens later."""

    kind = "timeout"
    exit_code = EXIT_TIMEOUT


class NotFound(DtaError):
    """There is no such thing."""

    kind = "not-found"
    exit_code = EXIT_NOT_FOUND


class KeystoreFailure(DtaError):
    """A keystore or HSM refused or failed."""

    kind = "keystore"
    exit_code = EXIT_KEYSTORE


class UpgradeRequired(DtaError):
    """The next block has rules that this program lacks; the node stopped before it."""

    kind = "upgrade-required"
    exit_code = EXIT_UPGRADE


class InternalError(DtaError):
    """A fault of this program: what should be impossible happened."""

    kind = "internal"
    exit_code = EXIT_INTERNAL
