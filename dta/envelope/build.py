"""Building envelopes: the header, the seals, the body. What comes out is a draft; ``sign.py`` makes it a block."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from abci_app import canonical, envelope, limits
from abci_app.crypto.hpke import SEALED_OVERHEAD_BYTES, BadHpkeKey
from abci_app.crypto.statements import hpke_key_digest
from abci_app.pb.dta.v1 import envelope_pb2
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey
from dta.base.secret import SecretBytes
from dta.crypto.hpke import seal
from dta.envelope.body import KEY_BYTES, seal_body
from dta.envelope.errors import CannotSeal


@dataclass(frozen=True, slots=True)
class Draft:
    """An envelope that nobody signed yet: the header's canonical bytes and the body."""

    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class RecordRecipient:
    """Who may open a record: identity id (32 bytes) and its HPKE key."""

    identity: bytes
    key: HpkeKey


@dataclass(frozen=True, slots=True)
class ShareRecipient:
    """Who holds a share of an order's key: identity id (32 bytes), vault key, and what is sealed to it.

    ``info`` is :func:`abci_app.crypto.statements.share_seal_info` for this share; the header is bound on top of it.
    """

    identity: bytes
    key: HpkeKey
    info: bytes
    share: SecretBytes


def clear_envelope(
    envelope_type: envelope_pb2.EnvelopeType, *, sender: bytes, time_s: int, body: bytes, previous_cid: str = ""
) -> Draft:
    """An envelope whose body is in clear: an identity document or a request's keys, canonically encoded.

    ``time_s``: Unix seconds. Raises :class:`CannotSeal`.
    """
    if envelope_type not in envelope.CLEAR_TYPES:
        raise CannotSeal("type", "this type of envelope is sealed, never in clear")
    header = _header(envelope_type, sender, time_s, previous_cid, b"")
    _check_header(header)
    return Draft(canonical.encode(header), body)


def identity_sealed(*, sender: bytes, time_s: int, identity: bytes, ciphertext: bytes) -> Draft:
    """An envelope around what is encrypted to an order's identity (32 bytes). Raises :class:`CannotSeal`."""
    header = _header(envelope_pb2.ENVELOPE_TYPE_IDENTITY_SEALED, sender, time_s, "", identity)
    _check_header(header)
    return Draft(canonical.encode(header), ciphertext)


def seal_record(
    *,
    gid: bytes,
    sender: bytes,
    time_s: int,
    recipients: Sequence[RecordRecipient],
    plaintext: SecretBytes,
    previous_cid: str = "",
    context: bytes = b"",
) -> Draft:
    """A record that every one of ``recipients`` (1 to 64) can open: a fresh key, sealed to each of them.

    The plaintext's length shows; pad it where that tells something. Raises :class:`CannotSeal`.
    """
    header = _header(envelope_pb2.ENVELOPE_TYPE_RECORD, sender, time_s, previous_cid, context)
    for recipient in recipients:
        _add_recipient(header, recipient.identity, recipient.key)
    _check_header_before_sealing(header)
    key = SecretBytes(secrets.token_bytes(KEY_BYTES))
    # Every info is computed before a seal is written, though it clears them anyway: nothing depends on the order.
    infos = [envelope.record_seal_info(gid, header, index) for index in range(1, len(recipients) + 1)]
    for entry, recipient, info in zip(header.recipients, recipients, infos, strict=True):
        entry.sealed = _seal(recipient.key, info, key)
    return _sealed_draft(header, key, plaintext)


def seal_order(
    *,
    sender: bytes,
    time_s: int,
    context: bytes,
    recipients: Sequence[ShareRecipient],
    key: SecretBytes,
    secret: SecretBytes,
    previous_cid: str = "",
) -> Draft:
    """An order's envelope: ``secret`` under ``key``, whose shares are sealed to ``recipients`` in the order's order.

    ``key``: the shared scalar, 32 bytes (:func:`dta.crypto.shamir.random_scalar`), used for this order alone.
    ``context``: :func:`abci_app.crypto.statements.order_context`. The secret's length shows. Raises
    :class:`CannotSeal`.
    """
    header = _header(envelope_pb2.ENVELOPE_TYPE_ORDER, sender, time_s, previous_cid, context)
    for recipient in recipients:
        _add_recipient(header, recipient.identity, recipient.key)
    _check_header_before_sealing(header)
    infos = [envelope.order_seal_info(recipient.info, header) for recipient in recipients]
    for entry, recipient, info in zip(header.recipients, recipients, infos, strict=True):
        entry.sealed = _seal(recipient.key, info, recipient.share)
    return _sealed_draft(header, key, secret)


def _header(
    envelope_type: envelope_pb2.EnvelopeType, sender: bytes, time_s: int, previous_cid: str, context: bytes
) -> envelope_pb2.EnvelopeHeader:
    return envelope_pb2.EnvelopeHeader(
        version=envelope.VERSION,
        type=envelope_type,
        sender=sender,
        time_s=time_s,
        previous_cid=previous_cid,
        context=context,
    )


def _add_recipient(header: envelope_pb2.EnvelopeHeader, identity: bytes, key: HpkeKey) -> None:
    header.recipients.add(identity=identity, key_digest=hpke_key_digest(key))


def _check_header(header: envelope_pb2.EnvelopeHeader) -> None:
    fault = envelope.header_fault(header)
    if fault is not None:
        raise CannotSeal(fault.value, f"the envelope's header is wrong: {fault.value}")


def _check_header_before_sealing(header: envelope_pb2.EnvelopeHeader) -> None:
    """As :func:`_check_header`, with placeholders of the least length for the seals: fail before the work."""
    trial = envelope_pb2.EnvelopeHeader()
    trial.CopyFrom(header)
    for entry in trial.recipients:
        entry.sealed = bytes(SEALED_OVERHEAD_BYTES + 1)
    _check_header(trial)


def _seal(key: HpkeKey, info: bytes, plaintext: SecretBytes) -> bytes:
    try:
        return seal(key, info, plaintext)
    except BadHpkeKey:
        raise CannotSeal("recipients", "a recipient's HPKE key is malformed") from None


def _sealed_draft(header: envelope_pb2.EnvelopeHeader, key: SecretBytes, plaintext: SecretBytes) -> Draft:
    _check_header(header)
    header_bytes = canonical.encode(header)
    if len(header_bytes) + len(plaintext) + envelope.BODY_OVERHEAD_BYTES > limits.MAX_ENVELOPE_BYTES:
        raise CannotSeal(
            "too-large",
            "the secret is too large for one envelope",
            hint="an envelope has at most 1 MiB: store the bulk elsewhere and safeguard its key",
            secret_bytes=len(plaintext),
            max_envelope_bytes=limits.MAX_ENVELOPE_BYTES,
        )
    return Draft(header_bytes, seal_body(key, header_bytes, plaintext))
