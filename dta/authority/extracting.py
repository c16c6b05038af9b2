"""A member's side of extraction: its partials of a request, made from committed state and its share.

What is written once for both sides, the statements, is in ``abci_app/authority/proofs.py``. Blindings and nonces bind
their whole statement and 32 fresh random bytes, and the share: one for each item of each request, never used twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha384
from typing import Any, Final

from google.protobuf.message import Message

from abci_app.authority import epochs, extractions, proofs
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1
from abci_app.crypto.transcript import challenge
from abci_app.hashing import tagged
from abci_app.pb.dta.v1 import authority_pb2, tx_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.state.records import EXTRACTION_ITEMS, EXTRACTIONS
from abci_app.state.view import StateView
from dta.crypto.scalar import SecretScalar
from dta.hooks.errors import CannotAnswer, NotDue
from dta.secret import SecretBytes

Entropy = Callable[[int], bytes]
_RANDOM_BYTES: Final = 32


def answer(
    view: StateView,
    gid: bytes,
    fiduciary: bytes,
    request: bytes,
    share_of: Callable[[bytes, int], SecretScalar],
    entropy: Entropy = secrets.token_bytes,
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
    items = [EXTRACTION_ITEMS.get(view, request, number) for number in range(record.items)]
    if record.use in extractions.BLINDED:
        blinded = [
            blind(gid, record, member, number, item, share, entropy) for number, item in enumerate(items)
        ]
        if record.use == pb.USE_CUSTODY:
            return tx_pb2.FulfilSecret(request=request, epoch=record.epoch, partial=blinded[0])
        return pb.SubmitPartials(request=request, epoch=record.epoch, partials=blinded)
    clear = [multiply(gid, record, member, number, item, share, entropy) for number, item in enumerate(items)]
    return pb.SubmitUnblinded(request=request, epoch=record.epoch, partials=clear)


def blind(
    gid: bytes,
    record: pb.ExtractionRecord,
    member: authority_pb2.MemberRecord,
    number: int,
    item: pb.ExtractionItem,
    share: SecretScalar,
    entropy: Entropy = secrets.token_bytes,
) -> pb.BlindedPartial:
    """c1 = r*B1 and c3 = s_i*base + r*T with a fresh r, and the proof that they are."""
    group: Any = proofs.group_of(record.use)
    parts = proofs.statement_parts(gid, record, member, number, item)
    base, transport = group.decode(item.base), group.decode(item.transport)
    r = _fresh(b"r", share, parts, entropy).reveal()
    c1, c3 = (group.generator() * r).encode(), (base * share.reveal() + transport * r).encode()
    k_share = _fresh(b"k-share", share, (*parts, c1, c3), entropy).reveal()
    k_blinding = _fresh(b"k-blinding", share, (*parts, c1, c3), entropy).reveal()
    announced = (
        (G1.generator() * k_share).encode(),
        (group.generator() * k_blinding).encode(),
        (base * k_share + transport * k_blinding).encode(),
    )
    c = challenge(proofs.BLINDED, *parts, c1, c3, *announced)
    responses = scalars.encode(k_share + c * share.reveal()) + scalars.encode(k_blinding + c * r)
    return pb.BlindedPartial(c1=c1, c3=c3, proof=b"".join(announced) + responses)


def multiply(
    gid: bytes,
    record: pb.ExtractionRecord,
    member: authority_pb2.MemberRecord,
    number: int,
    item: pb.ExtractionItem,
    share: SecretScalar,
    entropy: Entropy = secrets.token_bytes,
) -> pb.UnblindedPartial:
    """s_i*base in clear, and the proof that its logarithm is the public share's."""
    parts = proofs.statement_parts(gid, record, member, number, item)
    base = G1.decode(item.base)
    value = (base * share.reveal()).encode()
    k = _fresh(b"k", share, (*parts, value), entropy).reveal()
    announced = (G1.generator() * k).encode(), (base * k).encode()
    c = challenge(proofs.UNBLINDED, *parts, value, *announced)
    return pb.UnblindedPartial(share=value, proof=b"".join(announced) + scalars.encode(k + c * share.reveal()))


def prove_possession(
    gid: bytes,
    use: pb.Use,
    request: bytes,
    subject: bytes,
    item_subject: bytes,
    x: SecretScalar,
    entropy: Entropy = secrets.token_bytes,
) -> tuple[bytes, bytes]:
    """(T = x*B1, the proof of possession) of a receiver's transport key for one item of one request."""
    group: Any = proofs.group_of(use)
    transport = (group.generator() * x.reveal()).encode()
    parts = proofs.possession_parts(gid, use, request, subject, item_subject, transport)
    k = _fresh(b"possession", x, parts, entropy).reveal()
    announced = (group.generator() * k).encode()
    c = challenge(proofs.POSSESSION, *parts, announced)
    return transport, announced + scalars.encode(k + c * x.reveal())


def _fresh(label: bytes, secret: SecretScalar, parts: tuple[bytes, ...], entropy: Entropy) -> SecretScalar:
    """A scalar that is unpredictable where either the randomness or the secret is, and new for each statement."""
    seed = tagged("DTA-v1-blinding", label, scalars.encode(secret.reveal()), entropy(_RANDOM_BYTES), *parts)
    return SecretScalar.from_wide(SecretBytes(sha384(seed).digest()))
