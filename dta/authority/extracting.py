"""A member's side of extraction: its answer to a request, made from committed state and its share.

Each item of each request is blinded anew (:func:`dta.crypto.extraction.blind`): nothing is kept, nothing used twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from google.protobuf.message import Message

from abci_app.authority import epochs, extractions, proofs
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.extraction import Asked
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.records import EXTRACTION_ITEMS, EXTRACTIONS
from abci_app.state.view import StateView
from dta.crypto import extraction
from dta.crypto.proofs import RandomBytes
from dta.crypto.scalar import SecretScalar
from dta.hooks.errors import CannotAnswer, NotDue


def answer(
    view: StateView,
    gid: bytes,
    fiduciary: bytes,
    request: bytes,
    share_of: Callable[[bytes, int], SecretScalar],
    random_bytes: RandomBytes = secrets.token_bytes,
) -> Message:
    """``fiduciary``'s answer to all items of ``request``, as the state of ``view`` has it.

    ``share_of(authority, epoch)`` gives its share. Raises NotDue (the request ended, or is not ours), CannotAnswer
    (the share is not the one of the public share in state: nothing is made with it).
    """
    record = EXTRACTIONS.find(view, request)
    if record is None or record.status != pb.EXTRACTION_STATUS_PENDING:
        raise NotDue(f"extraction {request.hex()}")
    member = epochs.member_of(view, record.authority, record.epoch, fiduciary)
    if member is None:
        raise NotDue(f"extraction {request.hex()}")
    share = share_of(record.authority, record.epoch)
    if (G1.generator() * share.reveal()).encode() != member.public_share:
        raise CannotAnswer("our share is not the one that the ledger has the public share of")
    purpose = extractions.PURPOSE[record.use]
    items = [EXTRACTION_ITEMS.get(view, request, number) for number in range(record.items)]
    if record.use in extractions.BLINDED:
        blinded = [
            _blind(proofs.asked(gid, record, purpose, number), member.index, share, item, random_bytes)
            for number, item in enumerate(items)
        ]
        if record.use == pb.USE_CUSTODY:
            return tx_pb2.FulfilSecret(request=request, epoch=record.epoch, partial=blinded[0])
        return pb.SubmitPartials(request=request, epoch=record.epoch, partials=blinded)
    clear = [
        _multiply(proofs.asked(gid, record, purpose, number), member.index, share, item, random_bytes)
        for number, item in enumerate(items)
    ]
    return pb.SubmitUnblinded(request=request, epoch=record.epoch, partials=clear)


def _blind(
    asked: Asked, index: int, share: SecretScalar, item: pb.ExtractionItem, random_bytes: RandomBytes
) -> pb.BlindedPartial:
    if asked.use == pb.USE_SERVER:
        base, transport = G2.decode(item.base), G2.decode(item.transport)
        made = extraction.blind(asked, index, share, base, transport, random_bytes)
    else:
        made = extraction.blind(
            asked, index, share, G1.decode(item.base), G1.decode(item.transport), random_bytes
        )
    return pb.BlindedPartial(c1=made.c1, c3=made.c3, proof=made.proof)


def _multiply(
    asked: Asked, index: int, share: SecretScalar, item: pb.ExtractionItem, random_bytes: RandomBytes
) -> pb.UnblindedPartial:
    made = extraction.multiply(asked, index, share, G1.decode(item.base), random_bytes)
    return pb.UnblindedPartial(share=made.value, proof=made.proof)
