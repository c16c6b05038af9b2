"""What can go wrong between a client and an order, beside the ledger's own refusals."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app.codes import Code, info
from dta.base.errors import EXIT_NOT_VERIFIED, EXIT_REFUSED, EXIT_UNREACHABLE, DtaError, JsonValue, TimedOut
from dta.blocks.peers import UploadResult


class WouldBeRefused(DtaError):
    """The ledger would refuse this, with ``code`` and ``reason``: nothing was sealed, uploaded or sent."""

    kind = "would-be-refused"
    exit_code = EXIT_REFUSED

    def __init__(self, code: Code, detail: str, *, reason: str = "") -> None:
        row = info(code)
        super().__init__(
            f"the ledger would refuse this with {row.name} ({int(code)}): {detail or row.meaning}",
            hint=row.hint,
            data={"code": int(code), "name": row.name, "reason": reason, "detail": detail},
        )
        self.code = code
        self.reason = reason


class UploadIncomplete(DtaError):
    """Some fiduciaries did not take a block, so nothing was sent to the ledger. ``data`` says who and why."""

    kind = "upload-incomplete"
    exit_code = EXIT_UNREACHABLE

    def __init__(self, cid: str, missed: Sequence[tuple[bytes, Sequence[UploadResult]]], allowed: int) -> None:
        failures: list[JsonValue] = [
            {
                "fiduciary": fiduciary.hex(),
                "gateways": [
                    {"url": one.gateway, "status": one.status, "error": one.error, "hint": one.hint} for one in results
                ],
            }
            for fiduciary, results in missed
        ]
        names = "; ".join(
            f"{fiduciary.hex()[:12]}: " + (", ".join(f"{r.gateway}: {r.error}" for r in results) or "has no gateway")
            for fiduciary, results in missed
        )
        super().__init__(
            f"{len(missed)} of the fiduciaries did not take the envelope ({names})",
            hint="try again; with --allow-missing N so many may fetch it from the others later",
            data={"cid": cid, "allowed": allowed, "missed": failures},
        )


class BlockNotFound(DtaError):
    """No gateway served a block whose hash is right. ``data`` says what each one did."""

    kind = "block-unavailable"
    exit_code = EXIT_UNREACHABLE

    def __init__(self, cid: str, attempts: Sequence[tuple[str, str]]) -> None:
        tried = "; ".join(f"{gateway}: {reason}" for gateway, reason in attempts) or "no gateway is known"
        super().__init__(
            f"no gateway has the envelope {cid} ({tried})",
            hint="ask a fiduciary of the order whether its gateway is up",
            data={"cid": cid, "attempts": [{"url": gateway, "error": reason} for gateway, reason in attempts]},
        )


class OrderFailed(DtaError):
    """Too many fiduciaries rejected the order. ``data`` has each one's reason."""

    kind = "order-failed"
    exit_code = EXIT_REFUSED


class RequestEnded(DtaError):
    """The request was vetoed, cancelled or expired before enough fiduciaries answered."""

    kind = "request-ended"
    exit_code = EXIT_REFUSED


class AnswersToCome(TimedOut):
    """The ledger was read, and the request has fewer answers than it needs: there may be more later."""


class ContentDiffers(DtaError):
    """A request's own transaction is not what its proved record commits to; or it is not the one that was shown."""

    kind = "content-differs"
    exit_code = EXIT_NOT_VERIFIED
