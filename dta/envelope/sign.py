"""Signing envelopes, by one person or by several who sign apart and whose signatures are then added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from abci_app import canonical, envelope, limits
from abci_app.crypto.bls import BadPoint
from abci_app.crypto.statements import envelope_statement
from abci_app.pb.dta.v1 import envelope_pb2
from dta.crypto.bls import BlsSigner, aggregate
from dta.envelope.build import Draft
from dta.envelope.errors import CannotSeal


def sign_part(draft: Draft, gid: bytes, signers: Iterable[bytes], key: BlsSigner) -> bytes:
    """One signer's signature (96 bytes) on a draft. All must agree beforehand on ``signers`` (identity ids)."""
    return key.sign(envelope_statement(gid, draft.header, draft.body, sorted(signers)))


def assemble(draft: Draft, signatures: Mapping[bytes, bytes], max_bytes: int = limits.MAX_ENVELOPE_BYTES) -> bytes:
    """The envelope's block, of ``signatures``: identity id -> :func:`sign_part`, all over these same signers.

    They are added, not verified: verify the block with :func:`abci_app.envelope.verify`. Raises :class:`CannotSeal`.
    """
    signers = sorted(signatures)
    try:
        signature = aggregate([signatures[signer] for signer in signers])
    except BadPoint:
        raise CannotSeal("signature", "a signature is missing or is no point of the group") from None
    block = canonical.encode(
        envelope_pb2.Envelope(header=draft.header, body=draft.body, signers=signers, signature=signature)
    )
    try:
        envelope.decode(block, max_bytes)
    except envelope.EnvelopeRefused as refused:
        raise CannotSeal(
            refused.reason.value,
            f"the envelope would be refused: {refused.reason.value}",
            block_bytes=len(block),
            max_envelope_bytes=max_bytes,
        ) from None
    return block


def sign(
    draft: Draft, gid: bytes, keys: Mapping[bytes, BlsSigner], max_bytes: int = limits.MAX_ENVELOPE_BYTES
) -> bytes:
    """The envelope's block, signed by all of ``keys`` (identity id -> signer). Raises :class:`CannotSeal`."""
    return assemble(draft, {signer: sign_part(draft, gid, keys, key) for signer, key in keys.items()}, max_bytes)
