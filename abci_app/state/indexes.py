"""The indexes, one declaration each: the table of docs/spec/state.md is made of it.

Indexes are not authenticated: each entry is a function of leaves (of the transactions in date for ``seen/``, of the
blocks so far for what notes where others begin), and is there so that a scan finds quickly what a leaf already says.
:data:`abci_app.messages.registry.INDEXES` has those too that a message declares for itself.
"""

from __future__ import annotations

from typing import Final

from abci_app.cid import digest_of
from abci_app.state.collection import Table, at
from abci_app.state.overlay import Overlay

_TABLE = Table()

NAMES_NO_BLOCK: Final = b"\x00"
_NAMED = "digest (32 bytes) of the block that it names, or `00`; `01` where an earlier version wrote it"


def block_named(cid: str) -> bytes:
    """The value that says which block an open order or request names; ``cid`` is empty where it names none.

    So who keeps these blocks reads no record to know which they are.
    """
    return digest_of(cid) if cid else NAMES_NO_BLOCK



DUE = _TABLE.index(
    at("due/").id("fiduciary").u8("kind").id("subject"),
    value="u64 time, u64 height: from both on",
    one_for="what that fiduciary's node owes",
)
DEADLINE_TIME = _TABLE.queue(
    at("deadline-time/").u64("time").u8("kind").id("subject"),
    at("deadline-time-first/"),
    one_for="an open order with an expiry time; a request that is not settled; an extraction of a realm; a closing"
    " vault that does not wait for its height; an open proposal",
)
DEADLINE_HEIGHT = _TABLE.queue(
    at("deadline-height/").u64("height").u8("kind").id("subject"),
    at("deadline-height-first/"),
    one_for="an open order with an expiry height (the height after it); a closing vault that waits for its height;"
    " a proposal that waits for its height",
)
SEEN = _TABLE.index(
    at("seen/").u64("expiry height").id("replay key"),
    value="u64 position in its bucket",
    one_for="a body that was consumed",
)
FORGOTTEN = _TABLE.index(
    at("seen-forgotten/"),
    value="u64 expiry height, replay key",
    one_for="the last body that was forgotten: no entry of the index above is before it",
)
VAULT_ORDERS = _TABLE.index(
    at("vault-orders/").id("vault", text="vault (or authority)").id("order"), value=_NAMED, one_for="an open order"
)
ORDER_KEYS = _TABLE.index(
    at("order-keys/").id("order").id("Ed25519 key"),
    value="u32 how many",
    one_for="a key that signed requests of the order",
)
ORDER_ANSWERERS = _TABLE.index(
    at("order-answerers/").id("order").id("fiduciary"), one_for="a fiduciary that answered a request of the order"
)
OPEN_REQUESTS = _TABLE.index(
    at("open-requests/").id("order").id("request"), value=_NAMED, one_for="a request that is not settled"
)
PRINCIPAL_ORDERS = _TABLE.index(at("principal-orders/").id("principal").id("order"), one_for="an order")
PRINCIPAL_VAULTS = _TABLE.index(at("principal-vaults/").id("principal").id("vault"), one_for="a vault")
FIDUCIARY_VAULTS = _TABLE.index(
    at("fiduciary-vaults/").id("fiduciary").id("vault"), one_for="a vault that names it and is not closed"
)
OPEN_PROPOSALS = _TABLE.index(
    at("open-proposals/").id("proposer").id("proposal"), one_for="a proposal that is open or passed"
)
WAITING_PROPOSALS = _TABLE.index(
    at("waiting-proposals/").u64("height at which it passed").id("proposal"),
    one_for="a proposal that passed and waits for room, or for the budget of a block's end",
)
OPEN_CEREMONIES = _TABLE.index(at("open-ceremonies/").id("ceremony"), one_for="an attempt that is under way")
FIDUCIARY_CEREMONIES = _TABLE.index(
    at("fiduciary-ceremonies/").id("fiduciary").id("ceremony"), one_for="an attempt and each party of it"
)
REFRESH = _TABLE.index(
    at("refresh/").u64("height").id("authority"), one_for="an authority's next scheduled refresh"
)
RESTARTS = _TABLE.index(
    at("restarts/").id("request"),
    one_for="a pending extraction request of an epoch that is not in force any more: it starts again",
)
UNSIGNED = _TABLE.queue(
    at("unsigned/").u64("height of the last share").id("request"),
    at("unsigned-first/"),
    one_for="a request whose signature's shares are complete, and not summed up yet",
)
OPEN_EXTRACTIONS = _TABLE.index(
    at("open-extractions/").id("authority").id("request"), one_for="an extraction request that is pending"
)
VETO_WINDOWS = _TABLE.queue(
    at("veto-window/").u8("stage").u64("time or height").id("request"),
    at("veto-window-first/").u8("stage"),
    one_for="a granted request under an authority key that is in its veto window: at the window's time (stage 1) or,"
    " where that has come, at its height (stage 2)",
)
RELEASE_QUEUE = _TABLE.index(
    at("release-queue/").id("authority").id("requester").u64("height of the grant").id("request"),
    one_for="a granted request that waits for its turn",
)
REQUESTER_REQUESTS = _TABLE.index(
    at("requester-requests/").id("requester").id("request"),
    one_for="a request that is not settled, and a realm's extraction request that is pending",
)
REVOKED_REQUESTERS = _TABLE.index(
    at("revoked-requesters/").id("identity"), one_for="a revoked identity that has an entry in the index above"
)

INDEXES: Final = tuple(_TABLE.indexes)
QUEUES: Final = (DEADLINE_TIME, DEADLINE_HEIGHT, UNSIGNED, VETO_WINDOWS)


def put_key(state: Overlay, key: bytes) -> None:
    """Put an entry that says no more than that it is there, by its key, whichever index it is of."""
    for queue in QUEUES:
        if key.startswith(queue.prefix):
            queue.put_key(state, key)
            return
    state.index_put(key)
