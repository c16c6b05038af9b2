"""What the agent itself refuses, before anything of the client's is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dta.base.errors import EXIT_REFUSED, EXIT_USAGE, DtaError, JsonValue, TimedOut


class Unauthenticated(DtaError):
    """No credential, or one that is nobody's, over, or revoked. Which of these is not said."""

    kind = "unauthenticated"
    exit_code = EXIT_USAGE

    def __init__(self) -> None:
        super().__init__(
            "no credential that this agent knows",
            hint="send `Authorization: Bearer ...`; `dta serve token create` makes a token",
        )


class Forbidden(DtaError):
    """The credential does not allow it. ``data`` may say which scope is missing."""

    kind = "forbidden"
    exit_code = EXIT_REFUSED


class RateLimited(DtaError):
    """Too many calls, or too much at work at once. ``retry_after_s``: whole seconds, 1 or more."""

    kind = "rate-limited"
    exit_code = EXIT_REFUSED

    def __init__(self, message: str, retry_after_s: float) -> None:
        self.retry_after_s = max(1, int(retry_after_s + 0.999))
        super().__init__(message, hint="try again later", data={"retryAfter": self.retry_after_s})


class KeyAtWork(DtaError):
    """A call with this Idempotency-Key is still at work."""

    kind = "idempotency-key-at-work"
    exit_code = EXIT_REFUSED

    def __init__(self) -> None:
        super().__init__(
            "a call with this Idempotency-Key is at work", hint="wait for it, then send the same call again"
        )


class KeyOfAnotherBody(DtaError):
    """The Idempotency-Key was used with another body."""

    kind = "idempotency-key-reused"
    exit_code = EXIT_USAGE

    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key was used for another body", hint="a new call has a key of its own"
        )


class DigestDiffers(DtaError):
    """A decision names another content than there is now. ``data``: the proved one, under the field's name."""

    kind = "content-digest-differs"
    exit_code = EXIT_USAGE

    def __init__(self, digest: bytes, field: str) -> None:
        super().__init__(
            "the decision is about another content than there is now",
            hint=f"look at it again, and name the {field} that was looked at",
            data={field: digest.hex()},
        )


class NotReceived(DtaError):
    """The secret is still to come, so its keys are not erased. ``data``: the request, and its status."""

    kind = "not-received"
    exit_code = EXIT_REFUSED

    def __init__(self, request: bytes, data: Mapping[str, JsonValue]) -> None:
        super().__init__(
            f"the secret of the request {request.hex()} is still to come: its keys are kept",
            hint="receive it first; a request that nobody answers ends at its deadline",
            data=data,
        )


class BadCall(DtaError):
    """The call itself is malformed. ``status``: the HTTP status that says how."""

    kind = "bad-call"
    exit_code = EXIT_USAGE

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class NothingPlaced(TimedOut):
    """It took too long, and nothing was placed or asked for: nor will it be. A vault may have been opened for it."""

    kind = "nothing-placed"


UNPROCESSABLE: Final = (KeyOfAnotherBody, DigestDiffers)
"""Well-formed, and contradicting what is known: 422."""
