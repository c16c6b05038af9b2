"""What can go wrong around envelopes. No error holds a secret."""

from __future__ import annotations

from enum import Enum

from dta.base.errors import EXIT_NOT_VERIFIED, DtaError, UsageError


class CannotSeal(UsageError):
    """An envelope can't be made of this. ``reason`` is a fault's name; ``data`` has the figures."""

    kind = "cannot-seal"

    def __init__(self, reason: str, message: str, *, hint: str = "", **figures: int) -> None:
        super().__init__(message, hint=hint, data={"reason": reason, **figures})
        self.reason = reason


class OpenFault(Enum):
    """Why an envelope is not taken or not opened."""

    OTHER_BLOCK = "other-block"
    REFUSED = "refused"
    SIGNATURE = "signature"
    TYPE = "type"
    NOT_A_RECIPIENT = "not-a-recipient"
    OTHER_KEY = "other-key"
    SEAL = "seal"
    BODY = "body"


_MEANINGS = {
    OpenFault.OTHER_BLOCK: "the block is not the one that its CID names",
    OpenFault.REFUSED: "the block is no envelope of the protocol",
    OpenFault.SIGNATURE: "the envelope's signature does not verify under its signers' keys",
    OpenFault.TYPE: "the envelope is of another type",
    OpenFault.NOT_A_RECIPIENT: "the envelope does not name this identity as a recipient",
    OpenFault.OTHER_KEY: "the envelope is sealed to another key of this identity",
    OpenFault.SEAL: "this recipient's seal does not open",
    OpenFault.BODY: "the body does not open under this key",
}


class CannotOpenEnvelope(DtaError):
    """An envelope is not taken or not opened. ``reason`` says at which step, ``detail`` what exactly."""

    kind = "cannot-open"
    exit_code = EXIT_NOT_VERIFIED

    def __init__(self, reason: OpenFault, cid: str, detail: str = "") -> None:
        message = _MEANINGS[reason] + (f": {detail}" if detail else "")
        super().__init__(message, data={"reason": reason.value, "cid": cid, "detail": detail})
        self.reason = reason
        self.detail = detail
