"""From bytes to an authenticated transaction, in two steps: what needs no state, then who signed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from google.protobuf.message import Message

from abci_app import canonical, limits
from abci_app.codes import Code
from abci_app.crypto import ed25519, statements
from abci_app.errors import Refusal
from abci_app.execution.spec import MessageClass, MessageSpec
from abci_app.identities import documents
from abci_app.mempool import MAX_TXS_BYTES
from abci_app.messages.registry import SPECS
from abci_app.pb.dta.v1 import identity_pb2, params_pb2, tx_pb2
from abci_app.state import as_of, records
from abci_app.state.due import DueKind
from abci_app.state.indexes import SEEN
from abci_app.state.records import IDENTITIES
from abci_app.state.view import StateView

MEMO_BYTES: Final = MAX_TXS_BYTES + (2 << 20)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedTx:
    """A transaction that is well formed. Shared by all who have the same bytes: read only, ``message`` too.

    ``answers``: what its results are due for, one each; a user's has none.
    """

    field: str
    message: Message
    signer: bytes
    signature: bytes
    body: bytes
    chain_id: str
    expires_at_height: int
    made_at_height: int
    answers: tuple[tuple[DueKind, bytes], ...]
    cost: int
    tx_hash: bytes

    @property
    def spec(self) -> MessageSpec[Any]:
        """What the message's type declares of itself."""
        return SPECS[self.field]


class TxMemo:
    """Remembers transactions by their exact bytes, decoded and their message validated: a hit and a miss give the same.

    A node meets the same bytes in CheckTx, at each recheck, in proposals and in the block. ``max_bytes`` bounds the
    lengths of what is remembered; the oldest go first. What was never validated is not let in: its fields may be many.
    """

    def __init__(self, max_bytes: int = MEMO_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._decoded: dict[bytes, DecodedTx] = {}

    def __len__(self) -> int:
        return len(self._decoded)

    def get(self, tx: bytes) -> DecodedTx | None:
        """What these bytes were decoded to, if that is remembered."""
        return self._decoded.get(tx)

    def keep(self, tx: bytes, decoded: DecodedTx) -> None:
        """Remember it. When it is too much, forget an eighth of the entries.

        Many at once: finding the first entry of a dictionary costs a walk over those deleted before it.
        """
        if tx in self._decoded or len(tx) > self._max_bytes:
            return
        self._decoded[tx] = decoded
        self._bytes += len(tx)
        while self._bytes > self._max_bytes:
            for oldest in list(islice(self._decoded, len(self._decoded) // 8 + 1)):
                del self._decoded[oldest]
                self._bytes -= len(oldest)


def decode(tx: bytes, params: params_pb2.Params, chain_id: str, height: int, memo: TxMemo) -> DecodedTx:
    """Everything that can be refused without state but the parameters: PrepareProposal, ProcessProposal, CheckTx and
    execution all begin here. ``height`` is that of the block it would be in. Raises :class:`Refusal`."""
    if len(tx) > params.max_tx_bytes:
        raise Refusal(Code.TOO_LARGE, f"{len(tx)} bytes, at most {params.max_tx_bytes}")
    decoded = memo.get(tx) or _parse(tx)
    if decoded.chain_id != chain_id:
        raise Refusal(Code.WRONG_CHAIN)
    if height > decoded.expires_at_height:
        raise Refusal(Code.EXPIRED, f"at height {decoded.expires_at_height}")
    if decoded.expires_at_height > height + params.max_expiry_blocks:
        raise Refusal(Code.EXPIRY_TOO_FAR, f"at most {params.max_expiry_blocks} blocks ahead")
    if decoded.cost > params.max_block_cost:
        raise Refusal(Code.TOO_COSTLY, f"{decoded.cost} of {params.max_block_cost}", reason="tx")
    most = params.max_block_cost // limits.BUNDLE_COST_PART
    if len(decoded.answers) > 1 and decoded.cost > most:
        raise Refusal(Code.TOO_COSTLY, f"{decoded.cost}, and several results cost {most} at most", reason="bundle")
    return decoded


def _parse(tx: bytes) -> DecodedTx:
    """What no parameter, no height and no chain changes."""
    signed = _canonical(tx_pb2.SignedTx, tx, "transaction")
    signer, signature, body_bytes = signed.signer, signed.signature, signed.body
    if len(signer) != limits.ID_BYTES or len(signature) != limits.ED25519_SIGNATURE_BYTES:
        raise Refusal(Code.MALFORMED, "signer or signature has a wrong length", reason="signer")
    body = _canonical(tx_pb2.TxBody, body_bytes, "body")
    if len(body.salt) != limits.SALT_BYTES:
        raise Refusal(Code.MALFORMED, f"the salt must be {limits.SALT_BYTES} bytes", reason="salt")
    field = body.WhichOneof("message")
    if field is None:
        raise Refusal(Code.MALFORMED, "no message", reason="message")
    message, spec = getattr(body, field), SPECS[field]
    is_result = spec.message_class is MessageClass.RESULT
    if body.made_at_height and not (is_result and body.made_at_height < body.expires_at_height):
        raise Refusal(Code.MALFORMED, "made_at_height is of a result, and before its expiry", reason="made-at")
    answers = _answers(spec, message)
    return DecodedTx(
        field=field, message=message, signer=signer, signature=signature, body=body_bytes, chain_id=body.chain_id,
        expires_at_height=body.expires_at_height, made_at_height=body.made_at_height, answers=answers,
        cost=spec.cost(message), tx_hash=sha256(tx).digest(),
    )  # fmt: skip


def _answers(spec: MessageSpec[Any], message: Message) -> tuple[tuple[DueKind, bytes], ...]:
    """What a message is due for, or each result in a bundle, whose shape is checked by this."""
    parts = [(spec, message)] if spec.parts is None else spec.parts(message)
    return tuple(one.due(part) for one, part in parts if one.due is not None)


def _canonical(cls: type[Any], data: bytes, what: str) -> Any:
    try:
        return canonical.decode(cls, data, limits.MAX_TX_BYTES)
    except canonical.Malformed:
        raise Refusal(Code.MALFORMED, what, reason=what) from None
    except canonical.NotCanonical:
        raise Refusal(Code.NOT_CANONICAL, what, reason=what) from None


def authenticate(
    view: StateView, tx: DecodedTx, gid: bytes, time_s: int, memo: ed25519.SignatureMemo
) -> identity_pb2.IdentityRecord | None:
    """The signer's record (None for an identity that registers itself). Raises :class:`Refusal`.

    The key that must have signed: a hook's result, the node key (or the operator's); a message with a
    ``signing_key`` of its own, that one; all else, the current transaction key.
    """
    record = IDENTITIES.find(view, tx.signer)
    if record is None:
        _check_newcomer(view, tx)
    else:
        _check_status(record, tx, time_s)
    signed_bytes = statements.signed_tx_bytes(gid, tx.signer, tx.body)
    candidates = _signing_keys(gid, record, tx)
    if not any(memo.verify(key, signed_bytes, tx.signature) for key in candidates):
        by_node = record is not None and record.node_key and tx.spec.message_class is MessageClass.USER
        if record is not None and by_node and memo.verify(record.node_key, signed_bytes, tx.signature):
            raise Refusal(Code.NOT_ALLOWED, "the node key signs results of hooks only", reason="node-key")
        raise Refusal(Code.BAD_SIGNATURE)
    return record


def _check_newcomer(view: StateView, tx: DecodedTx) -> None:
    """Only a registration of its own comes from an identity that is not known, and only where no sponsor is needed.

    Refused here, before it is consumed: signers are made up for nothing and would fill blocks and replay buckets.
    """
    message = tx.message
    if not isinstance(message, tx_pb2.RegisterIdentity):
        raise Refusal(Code.UNKNOWN_SIGNER, tx.signer.hex(), reason="newcomer")
    if records.params(view).registration != params_pb2.REGISTRATION_OPEN:
        raise Refusal(Code.SPONSOR_REQUIRED, tx.signer.hex(), reason="registration")
    if statements.identity_id(documents.read(message.envelope).document) != tx.signer:
        raise Refusal(Code.UNKNOWN_SIGNER, "the signer is not the document's identity", reason="document")


def _check_status(record: identity_pb2.IdentityRecord, tx: DecodedTx, time_s: int) -> None:
    if record.status == identity_pb2.IDENTITY_STATUS_REVOKED:
        raise Refusal(Code.SIGNER_REVOKED)
    if tx.spec.by_next_key:
        return  # a rotation lifts a suspension and mends a document that ran out
    if record.status == identity_pb2.IDENTITY_STATUS_SUSPENDED:
        raise Refusal(Code.SIGNER_SUSPENDED)
    if not as_of.is_in_date(record, time_s):
        raise Refusal(Code.SIGNER_NOT_VALID_NOW)


def _signing_keys(gid: bytes, record: identity_pb2.IdentityRecord | None, tx: DecodedTx) -> list[bytes]:
    if tx.spec.signing_key is not None:
        return [tx.spec.signing_key(gid, record, tx.message)]
    assert record is not None, "a newcomer only registers itself"
    if tx.spec.message_class is MessageClass.RESULT and record.node_key:
        return [record.node_key, record.tx_key]
    return [record.tx_key]


def require_unseen(view: StateView, tx: DecodedTx, replay_key: bytes) -> None:
    """Refuse with REPLAYED what was included already."""
    if is_seen(view, tx, replay_key):
        raise Refusal(Code.REPLAYED)


def is_seen(view: StateView, tx: DecodedTx, replay_key: bytes) -> bool:
    """Whether this signer's body was included already."""
    return SEEN.exists(view, tx.expires_at_height, replay_key)
