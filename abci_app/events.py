"""Events: what CometBFT indexes, so that ``tx_search`` and subscriptions find all about an order, a vault, an identity.

Every event has an ``id`` (hex) and an ``action``: search for ``order.id='...'``, ``identity.id='...'``,
``fiduciary.id='...'``. The kinds and actions are listed in docs/spec/events.md.
"""

from __future__ import annotations

from abci_app.block import Event

KINDS = (
    "identity", "fiduciary", "vault", "order", "request", "proposal", "upgrade", "authority", "ceremony", "extraction",
    "realm",
)  # fmt: skip


def event(kind: str, id_: bytes, action: str, **attributes: bytes | int | str) -> Event:
    """An event about ``id_``. Bytes become hex, numbers decimal; attributes keep the order in which they are given."""
    pairs = [("id", id_.hex()), ("action", action)]
    for name, value in attributes.items():
        pairs.append((name, value.hex() if isinstance(value, bytes) else str(value)))
    return Event(kind, tuple(pairs))
