"""Whose an identity document is, by its CID: the current one's, or one that was rotated away since."""

from __future__ import annotations

from collections.abc import Callable

from abci_app.crypto import statements
from abci_app.state.records import IDENTITY_HISTORY
from dta.base.errors import NotVerified
from dta.client.identity import document
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger


def identity_of(ledger: Ledger, cid: str, fetch: Callable[[str], bytes]) -> bytes:
    """The identity's id (32 bytes). The block says whose it claims to be; the ledger, by proof, whether it ever was.

    ``fetch`` gives the block of a CID, its hash checked. Raises what it and verified reads raise, UsageError (no
    document), NotFound (no such identity), NotVerified (``answer``: never a document of the identity that it names).
    """
    claimed = document.read(fetch(cid)).document
    identity = claimed.identity or statements.identity_id(claimed)
    record = ledger.identity(identity)
    if record.document_cid == cid:
        return identity
    for sequence in range(record.history_count):
        if ledger.get(leaves.of(IDENTITY_HISTORY, identity, sequence)).document_cid == cid:
            return identity
    raise NotVerified(
        "answer",
        f"{cid} was never a document of {identity.hex()}",
        hint="whoever gave it to you made it up, or it is of another ledger",
        data={"identity": identity.hex(), "cid": cid},
    )
