"""How a job ends without an answer."""

from __future__ import annotations

from enum import Enum


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


class Obstacle(Enum):
    """Why a job is given no answer, ever."""

    NOT_CONSENTED = "only a refresh is accepted without the operator's consent"
    CEREMONY_ID = "the ceremony's id is not the one that its authority, epoch and attempt give"
    CEREMONY_RECORD = "the ceremony's record is not the one that its digest names"
    NEW_SHARE = "the share is not usable"
    OLD_SHARE = "the share to pass on is not usable"
    NO_SHARES = "this program opens no shares"
    OTHER_SHARE = "our share is not the one that the ledger has the public share of"
    VAULT_IN_USE = "state says both that the vault is in use and that its key is to be destroyed"
    NOT_RELEASABLE = "the share can't be released"
    KEYS_TYPE = "the request's keys are in an envelope of another type"
    KEYS_FORM = "the envelope of the request's keys is malformed"
    KEYS_COUNT = "the request has not one key for each fiduciary"
    OTHER_KEY = "the request's key for us is not the one that the ledger names"
    KEY_FORM = "the request's key for us is malformed"


class CannotAnswer(Exception):
    """Trying again would change nothing. ``fault`` says why; ``detail`` is for the operator and holds no secret."""

    def __init__(self, fault: Obstacle, detail: str = "") -> None:
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.fault.value}: {self.detail}" if self.detail else self.fault.value
