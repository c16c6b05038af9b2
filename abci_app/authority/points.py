"""One-time public keys: an ephemeral, a ceremony key or a transport key is used once, ever (docs/spec/authority.md)."""

from __future__ import annotations

from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.state.records import USED_POINTS


def use(context: Context, point: bytes, subject: bytes) -> None:
    """Take ``point`` (a canonical encoding, 48 or 96 bytes) for ``subject``. Refused with POINT_USED the second time.

    Whoever could send another's ephemeral again would have the honest open what it encrypts.
    """
    if USED_POINTS.exists(context.state, point):
        raise Refusal(Code.POINT_USED, point.hex(), reason="point")
    USED_POINTS.put(context.state, subject, point)
