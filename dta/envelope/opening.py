"""Taking envelopes from outside and opening them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from abci_app import envelope, limits
from abci_app.cid import cid_of
from abci_app.crypto.hpke import CannotOpen
from abci_app.crypto.statements import hpke_key_digest
from abci_app.envelope import DecodedEnvelope
from abci_app.pb.dta.v1 import envelope_pb2
from dta.base.secret import SecretBytes
from dta.crypto.bls.batch import verify_batch
from dta.crypto.hpke import HpkePrivateKey
from dta.envelope.body import KEY_BYTES, open_body
from dta.envelope.errors import CannotOpenEnvelope, OpenFault


@dataclass(frozen=True, slots=True)
class Incoming:
    """A block from outside, the CID that should name it, and whose signatures may be on it.

    ``keys``: identity id -> BLS public key (48 bytes) as the ledger has it.
    """

    block: bytes
    cid: str
    keys: Mapping[bytes, bytes]


def receive(
    block: bytes, *, cid: str, gid: bytes, keys: Mapping[bytes, bytes], max_bytes: int = limits.MAX_ENVELOPE_BYTES
) -> DecodedEnvelope:
    """The envelope that ``cid`` names, its form and signature checked.

    ``keys`` as in :class:`Incoming`. Raises :class:`CannotOpenEnvelope` with OTHER_BLOCK, REFUSED (``detail`` is the
    :class:`abci_app.envelope.EnvelopeFault`) or SIGNATURE.
    """
    decoded = decode_named(block, cid, max_bytes)
    if not envelope.verify(decoded, gid, keys):
        raise CannotOpenEnvelope(OpenFault.SIGNATURE, cid)
    return decoded


def receive_many(incoming: Sequence[Incoming], gid: bytes) -> list[DecodedEnvelope | CannotOpenEnvelope]:
    """For each what :func:`receive` gives or raises, their signatures checked together (ADR 37)."""
    received: list[DecodedEnvelope | CannotOpenEnvelope] = []
    for one in incoming:
        try:
            received.append(decode_named(one.block, one.cid))
        except CannotOpenEnvelope as error:
            received.append(error)
    signed = [(place, one) for place, one in enumerate(received) if isinstance(one, DecodedEnvelope)]
    good = _verify_many([(one, incoming[place].keys) for place, one in signed], gid)
    for (place, decoded), is_good in zip(signed, good, strict=True):
        if not is_good:
            received[place] = CannotOpenEnvelope(OpenFault.SIGNATURE, decoded.cid)
    return received


def decode_named(block: bytes, cid: str, max_bytes: int = limits.MAX_ENVELOPE_BYTES) -> DecodedEnvelope:
    """The envelope that ``cid`` names, its form checked but no signature.

    Raises :class:`CannotOpenEnvelope` with OTHER_BLOCK or REFUSED.
    """
    if cid_of(block) != cid:
        raise CannotOpenEnvelope(OpenFault.OTHER_BLOCK, cid)
    try:
        return envelope.decode(block, max_bytes)
    except envelope.EnvelopeRefused as refused:
        raise CannotOpenEnvelope(OpenFault.REFUSED, cid, refused.reason.value) from None


def _verify_many(signed: Sequence[tuple[DecodedEnvelope, Mapping[bytes, bytes]]], gid: bytes) -> list[bool]:
    """What ``envelope.verify`` says of each: of several signers by itself, of one together with the others'."""
    good = [len(decoded.signers) > 1 and envelope.verify(decoded, gid, keys) for decoded, keys in signed]
    alone = [
        (place, (keys[decoded.signers[0]], envelope.statement_of(decoded, gid), decoded.signature))
        for place, (decoded, keys) in enumerate(signed)
        if len(decoded.signers) == 1 and decoded.signers[0] in keys
    ]
    for (place, _), is_good in zip(alone, verify_batch([claim for _, claim in alone]), strict=True):
        good[place] = is_good
    return good


def index_of(decoded: DecodedEnvelope, identity: bytes) -> int:
    """Which recipient ``identity`` is, from 1. Raises :class:`CannotOpenEnvelope` (NOT_A_RECIPIENT)."""
    for index, recipient in enumerate(decoded.header.recipients, start=1):
        if recipient.identity == identity:
            return index
    raise CannotOpenEnvelope(OpenFault.NOT_A_RECIPIENT, decoded.cid)


def open_record(decoded: DecodedEnvelope, gid: bytes, identity: bytes, private_key: HpkePrivateKey) -> SecretBytes:
    """A record's plaintext, for one of its recipients. Raises :class:`CannotOpenEnvelope`."""
    _need_type(decoded, envelope_pb2.ENVELOPE_TYPE_RECORD)
    index = index_of(decoded, identity)
    key = _open_seal(decoded, index, private_key, envelope.record_seal_info(gid, decoded.header, index))
    if len(key) != KEY_BYTES:
        raise CannotOpenEnvelope(OpenFault.SEAL, decoded.cid)
    return _open_body(decoded, key)


def open_share(
    decoded: DecodedEnvelope, identity: bytes, private_key: HpkePrivateKey, share_info: bytes
) -> SecretBytes:
    """A fiduciary's share out of an order's envelope.

    ``share_info``: :func:`abci_app.crypto.statements.share_seal_info` as the ledger's order has it. The share is as
    the principal sealed it: check it against its commitment. Raises :class:`CannotOpenEnvelope`.
    """
    _need_type(decoded, envelope_pb2.ENVELOPE_TYPE_ORDER)
    index = index_of(decoded, identity)
    return _open_seal(decoded, index, private_key, envelope.order_seal_info(share_info, decoded.header))


def open_order_body(decoded: DecodedEnvelope, key: SecretBytes) -> SecretBytes:
    """An order's secret, with the scalar that the shares gave back (32 bytes). Raises :class:`CannotOpenEnvelope`."""
    _need_type(decoded, envelope_pb2.ENVELOPE_TYPE_ORDER)
    return _open_body(decoded, key)


def _need_type(decoded: DecodedEnvelope, envelope_type: envelope_pb2.EnvelopeType) -> None:
    if decoded.header.type != envelope_type:
        raise CannotOpenEnvelope(OpenFault.TYPE, decoded.cid)


def _open_seal(decoded: DecodedEnvelope, index: int, private_key: HpkePrivateKey, info: bytes) -> SecretBytes:
    recipient = decoded.header.recipients[index - 1]
    if recipient.key_digest != hpke_key_digest(private_key.public):
        raise CannotOpenEnvelope(OpenFault.OTHER_KEY, decoded.cid)
    try:
        return private_key.open(info, recipient.sealed)
    except CannotOpen:
        raise CannotOpenEnvelope(OpenFault.SEAL, decoded.cid) from None


def _open_body(decoded: DecodedEnvelope, key: SecretBytes) -> SecretBytes:
    plaintext = open_body(key, decoded.header_bytes, decoded.body)
    if plaintext is None:
        raise CannotOpenEnvelope(OpenFault.BODY, decoded.cid)
    return plaintext
