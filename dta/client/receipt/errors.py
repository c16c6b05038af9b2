"""Why a receipt is not believed."""

from __future__ import annotations

from dta.base.errors import NotVerified


class ReceiptRefused(NotVerified):
    """The receipt does not prove what it says, under the trust file at hand.

    ``step``: ``format``, ``chain``, ``trust``, ``header``, ``validators``, ``commit``, ``time``, ``transaction``,
    ``result``, ``state``, ``gid``, ``content`` (what belongs in a receipt of this kind) or ``claim`` (a question that
    it does not answer). ``reason`` is a sentence; ``path`` is where, as in ``blocks[2].commit``.
    """

    kind = "receipt-refused"

    def __init__(self, step: str, reason: str, path: str = "", *, hint: str = "") -> None:
        where = f" ({path})" if path else ""
        super().__init__(step, f"the receipt is refused: {reason}{where}", hint=hint, data={"path": path})
        self.reason = reason
        self.path = path
