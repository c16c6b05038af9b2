"""Envelopes as bytes from outside: strict decoding, the signature, and what the seals bind (docs/spec/envelope.md).

Nothing here needs a secret. A block is decoded as ``Envelope``, its header as ``EnvelopeHeader``, each canonical and
bounded; the body is not looked into. Building and opening are ``dta/envelope``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from itertools import pairwise
from typing import Final

from abci_app import canonical, limits
from abci_app.cid import cid_of, is_cid
from abci_app.crypto import bls, hpke
from abci_app.crypto.statements import envelope_statement
from abci_app.hashing import HASH_BYTES, tagged, u32
from abci_app.pb.dta.v1 import envelope_pb2

VERSION: Final = 1
MAX_SIGNERS: Final = 16
MAX_RECIPIENTS: Final = 64
MAX_SEALED_BYTES: Final = limits.MAX_SEALED_ANSWER_BYTES

BODY_COMMITMENT_BYTES: Final = 32
BODY_OVERHEAD_BYTES: Final = BODY_COMMITMENT_BYTES + 16
"""A sealed body is ``key commitment (32) | ciphertext | tag (16)``."""

SEALED_TYPES: Final = (envelope_pb2.ENVELOPE_TYPE_RECORD, envelope_pb2.ENVELOPE_TYPE_ORDER)
CLEAR_TYPES: Final = (envelope_pb2.ENVELOPE_TYPE_IDENTITY_DOCUMENT, envelope_pb2.ENVELOPE_TYPE_REQUEST_KEYS)
WITHOUT_RECIPIENTS: Final = (*CLEAR_TYPES, envelope_pb2.ENVELOPE_TYPE_IDENTITY_SEALED)
WITH_CONTEXT: Final = (envelope_pb2.ENVELOPE_TYPE_ORDER, envelope_pb2.ENVELOPE_TYPE_IDENTITY_SEALED)


class EnvelopeFault(Enum):
    """Why a block is no envelope of ours."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    NOT_CANONICAL = "not-canonical"
    HEADER_MALFORMED = "header-malformed"
    HEADER_NOT_CANONICAL = "header-not-canonical"
    VERSION = "version"
    TYPE = "type"
    SENDER = "sender"
    TIME = "time"
    PREVIOUS_CID = "previous-cid"
    RECIPIENTS = "recipients"
    CONTEXT = "context"
    BODY = "body"
    SIGNERS = "signers"
    SIGNATURE = "signature"


class EnvelopeRefused(ValueError):
    """A block is refused. ``reason`` says which check failed."""

    def __init__(self, reason: EnvelopeFault) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason.value


@dataclass(frozen=True, slots=True)
class DecodedEnvelope:
    """An envelope whose form was checked, its signature not yet. ``header`` is read only.

    ``header_bytes`` are as signed; ``signers`` are 32-byte identity ids, ascending; ``signature`` has 96 bytes.
    """

    header: envelope_pb2.EnvelopeHeader
    header_bytes: bytes
    body: bytes
    signers: tuple[bytes, ...]
    signature: bytes
    cid: str


def decode(block: bytes, max_bytes: int = limits.MAX_ENVELOPE_BYTES) -> DecodedEnvelope:
    """Decode a block and check its form. Raises :class:`EnvelopeRefused`."""
    if len(block) > max_bytes:
        raise EnvelopeRefused(EnvelopeFault.TOO_LARGE)
    try:
        envelope = canonical.decode(envelope_pb2.Envelope, block, max_bytes)
    except canonical.Malformed:
        raise EnvelopeRefused(EnvelopeFault.MALFORMED) from None
    except canonical.NotCanonical:
        raise EnvelopeRefused(EnvelopeFault.NOT_CANONICAL) from None
    header = _decode_header(envelope.header)
    signers = tuple(envelope.signers)
    if not _signers_are_valid(signers, header.sender):
        raise EnvelopeRefused(EnvelopeFault.SIGNERS)
    if len(envelope.signature) != limits.BLS_SIGNATURE_BYTES:
        raise EnvelopeRefused(EnvelopeFault.SIGNATURE)
    if len(envelope.body) < (BODY_OVERHEAD_BYTES if header.type in SEALED_TYPES else 1):
        raise EnvelopeRefused(EnvelopeFault.BODY)
    return DecodedEnvelope(header, envelope.header, envelope.body, signers, envelope.signature, cid_of(block))


def _decode_header(data: bytes) -> envelope_pb2.EnvelopeHeader:
    try:
        header = canonical.decode(envelope_pb2.EnvelopeHeader, data, limits.MAX_ENVELOPE_BYTES)
    except canonical.Malformed:
        raise EnvelopeRefused(EnvelopeFault.HEADER_MALFORMED) from None
    except canonical.NotCanonical:
        raise EnvelopeRefused(EnvelopeFault.HEADER_NOT_CANONICAL) from None
    fault = header_fault(header)
    if fault is not None:
        raise EnvelopeRefused(fault)
    return header


def header_fault(header: envelope_pb2.EnvelopeHeader) -> EnvelopeFault | None:
    """The first rule of docs/spec/envelope.md that ``header`` breaks, or None. Builders hold their own to it too."""
    needs_context = header.type in WITH_CONTEXT
    checks = (
        (EnvelopeFault.VERSION, header.version == VERSION),
        (EnvelopeFault.TYPE, header.type in SEALED_TYPES or header.type in WITHOUT_RECIPIENTS),
        (EnvelopeFault.SENDER, len(header.sender) == limits.ID_BYTES),
        (EnvelopeFault.TIME, header.time_s <= limits.MAX_TIME_S),
        (EnvelopeFault.PREVIOUS_CID, not header.previous_cid or is_cid(header.previous_cid)),
        (EnvelopeFault.CONTEXT, len(header.context) in ((HASH_BYTES,) if needs_context else (0, HASH_BYTES))),
        (EnvelopeFault.RECIPIENTS, _recipients_are_valid(header)),
    )
    return next((fault for fault, holds in checks if not holds), None)


def _recipients_are_valid(header: envelope_pb2.EnvelopeHeader) -> bool:
    recipients = header.recipients
    if header.type in WITHOUT_RECIPIENTS:
        return not recipients
    if not 0 < len(recipients) <= MAX_RECIPIENTS:
        return False
    identities = {recipient.identity for recipient in recipients}
    return len(identities) == len(recipients) and all(
        len(recipient.identity) == limits.ID_BYTES
        and len(recipient.key_digest) == HASH_BYTES
        and hpke.SEALED_OVERHEAD_BYTES < len(recipient.sealed) <= MAX_SEALED_BYTES
        for recipient in recipients
    )


def _signers_are_valid(signers: tuple[bytes, ...], sender: bytes) -> bool:
    """Ascending without repetition, 1 to 16 ids, the sender among them: nobody sends in another's name."""
    return (
        0 < len(signers) <= MAX_SIGNERS
        and all(len(signer) == limits.ID_BYTES for signer in signers)
        and all(one < following for one, following in pairwise(signers))
        and sender in signers
    )


def verify(decoded: DecodedEnvelope, gid: bytes, keys: Mapping[bytes, bytes]) -> bool:
    """Whether every signer signed. ``keys``: identity id -> BLS key (48 bytes) whose possession was proved.

    A signer that ``keys`` lacks makes it False.
    """
    public_keys = [keys.get(signer) for signer in decoded.signers]
    known = [key for key in public_keys if key is not None]
    if len(known) != len(public_keys):
        return False
    return bls.aggregate_verify_same_message(known, statement_of(decoded, gid), decoded.signature)


def statement_of(decoded: DecodedEnvelope, gid: bytes) -> bytes:
    """What each of the envelope's signers signed."""
    return envelope_statement(gid, decoded.header_bytes, decoded.body, list(decoded.signers))


def header_without_seals(header: envelope_pb2.EnvelopeHeader) -> bytes:
    """The header's canonical encoding with every recipient's ``sealed`` cleared: what each seal binds.

    So no recipient, order of recipients, sender, time or context can be swapped under a seal.
    """
    cleared = envelope_pb2.EnvelopeHeader()
    cleared.CopyFrom(header)
    for recipient in cleared.recipients:
        recipient.ClearField("sealed")
    return canonical.encode(cleared)


def record_seal_info(gid: bytes, header: envelope_pb2.EnvelopeHeader, index: int) -> bytes:
    """HPKE ``info`` of a RECORD's key sealed to ``recipients[index - 1]`` (``index`` counts from 1)."""
    return tagged("DTA-v1-record-seal", gid, header_without_seals(header), u32(index))


def order_seal_info(share_info: bytes, header: envelope_pb2.EnvelopeHeader) -> bytes:
    """HPKE ``info`` of an ORDER's share: the custodian's own ``share_info``, then a digest of the header.

    ``share_info`` is :func:`abci_app.crypto.statements.share_seal_info`, which has the index and the commitment.
    """
    return share_info + tagged("DTA-v1-seal-header", sha256(header_without_seals(header)).digest())


def body_key_info(header_bytes: bytes) -> bytes:
    """HKDF ``info`` of a sealed body's key and key commitment: the whole header, encapsulations included.

    Encapsulations are random, so that no two envelopes share an AEAD key even where their key material is the same.
    """
    return tagged("DTA-v1-envelope-body", sha256(header_bytes).digest())
