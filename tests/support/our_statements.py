"""What the code computes for each row of tests/vectors/statements: our functions, by the rows' names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import nacl.signing
from google.protobuf.message import Message

from abci_app import envelope, genesis, replay
from abci_app.authority import bases, record
from abci_app.block import Genesis, Time, ValidatorUpdate
from abci_app.cid import cid_of
from abci_app.crypto import statements
from abci_app.crypto.curve import G1
from abci_app.hashing import prefixed
from abci_app.messages.registry import LEAVES
from abci_app.pb.dta.v1 import (
    authority_pb2,
    concern_pb2,
    custody_pb2,
    envelope_pb2,
    extraction_pb2,
    governance_pb2,
    identity_pb2,
    mfa_pb2,
    params_pb2,
    tx_pb2,
)
from abci_app.state import nodes
from abci_app.state.collection import Records, Values
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay
from abci_app.state.records import SEEN_BUCKETS, validator_address
from abci_app.state.tree import NodeCache, changes_of, update_tree
from dta.base.secret import SecretBytes
from dta.blocks.auth import put_statement
from dta.client.ledger.tx import build_tx
from dta.crypto.bls import BlsPrivateKey
from dta.envelope.body import seal_body
from dta.hsm import labels, selftest
from dta.light import hashes, wire
from dta.light.types import BlockId, Commit, CommitSig, Header, PartSetHeader, Validator, ValidatorSet, Version
from tests.support.our_proofs import PROOFS
from tests.vectors.statements.rows import Msg

_MODULES = (
    authority_pb2, concern_pb2, custody_pb2, envelope_pb2, extraction_pb2, governance_pb2, identity_pb2, mfa_pb2,
    params_pb2, tx_pb2,
)  # fmt: skip


def as_ours(value: Any) -> Any:
    """A row's input as our functions take it: messages by the generated code."""
    if isinstance(value, Msg):
        made: Message = next(getattr(module, value.type) for module in _MODULES if hasattr(module, value.type))()
        _fill(made, value.fields)
        return made
    if isinstance(value, list):
        return [as_ours(each) for each in value]
    if isinstance(value, dict):
        return {name: as_ours(each) for name, each in value.items()}
    return bytes(value) if isinstance(value, bytes) else value


def _fill(message: Message, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            inner: Message = getattr(message, name)
            inner.SetInParent()
            _fill(inner, value)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    _fill(getattr(message, name).add(), each)
                else:
                    getattr(message, name).append(each)
        else:
            setattr(message, name, value)


def encoded(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


# --- the ledger -----------------------------------------------------------------------------------------------


class _Signer:
    def __init__(self, identity: bytes, seed: bytes) -> None:
        self.identity = identity
        self._key = nacl.signing.SigningKey(seed)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


def _whole_transaction(
    chain_id: str, gid: bytes, seed: bytes, signer: bytes, expires_at_height: int, salt: bytes, made_at_height: int
) -> bytes:
    if len(seed) != 32:
        raise ValueError("a seed has 32 bytes")
    by, message = _Signer(signer, seed), tx_pb2.SuspendIdentity()
    return build_tx(chain_id, gid, by, message, expires_at_height, salt, made_at_height).tx


def _of_body(gid: bytes, signer: bytes, body: tx_pb2.TxBody) -> bytes:
    return statements.signed_tx_bytes(gid, signer, encoded(body))


def _replay_bucket(keys: list[bytes]) -> bytes | None:
    state = Overlay(MemoryView())
    for key in keys:
        replay.consume(state, 300, key)
    return SEEN_BUCKETS.find(state, 300)


def _genesis_id(
    chain_id: str, seconds: int, nanos: int, initial_height: int, validators: list[dict[str, Any]],
    state: params_pb2.GenesisState, documents: list[identity_pb2.IdentityDocument],
) -> bytes:  # fmt: skip
    updates = tuple(ValidatorUpdate(each["public_key"], each["power"]) for each in validators)
    world = Genesis(chain_id, Time(seconds, nanos), initial_height, updates, b"")
    return genesis.genesis_id(world, state, documents)


class _RecordingKeystore:
    """Has a node key, and keeps what it is asked to sign."""

    def __init__(self) -> None:
        self._key = nacl.signing.SigningKey(bytes(32))
        self.signed: list[bytes] = []

    def signing_public_key(self, _: str) -> bytes:
        return bytes(self._key.verify_key)

    def has_prf_key(self, _: str) -> bool:
        return False

    def sign(self, _: str, message: bytes) -> bytes:
        self.signed.append(message)
        return self._key.sign(message).signature


def _keystore_self_test(drawn: bytes) -> bytes:
    store: Any = _RecordingKeystore()
    with mock.patch("dta.hsm.selftest.secrets.token_bytes", return_value=drawn):
        selftest.check_answers(store)
    signed: bytes = store.signed[0]
    return signed


_LEDGER: dict[str, Callable[..., Any]] = {
    "signed bytes": statements.signed_tx_bytes,
    "replay key": statements.replay_key,
    "transaction as it is sent": _whole_transaction,
    **{
        f"signed bytes of {field.message_type.name}": _of_body
        for field in tx_pb2.TxBody.DESCRIPTOR.oneofs_by_name["message"].fields
    },
    **{
        f"signed bytes of a bundle with {field.message_type.name}": _of_body
        for field in tx_pb2.Result.DESCRIPTOR.oneofs_by_name["message"].fields
    },
    "data of a bundle": lambda outcomes: encoded(outcomes),
    "replay bucket": _replay_bucket,
    "upload of a block": put_statement,
    "identity id": statements.identity_id,
    "next key": statements.next_key_digest,
    "next key of a founder": statements.next_key_digest,
    "possession of a document's key": statements.document_statement,
    "possession of a BLS key": statements.bls_possession_statement,
    "possession of a validator key": statements.validator_key_statement,
    "possession of a validator key to admit": statements.validator_key_statement,
    "proposal id": statements.proposal_id,
    **{
        f"action {field.message_type.name}": statements.action_digest
        for field in governance_pb2.Action.DESCRIPTOR.oneofs_by_name["kind"].fields
    },
    "parameters": statements.params_digest,
    "genesis id": _genesis_id,
    "label of a vault key": lambda gid, subject: labels.vault(gid, subject).encode(),
    "label of a receive key": lambda gid, subject: labels.receive(gid, subject).encode(),
    "label of a deal key": lambda gid, subject: labels.deal(gid, subject).encode(),
    "what the doctor signs": _keystore_self_test,
    "checksums of stored pairs": lambda parts: prefixed(*parts),
    "authority id": record.authority_id,
    "ceremony id": record.ceremony_id,
    "known part of a record": record.known_digest,
    "known part of a first key's record": record.known_digest,
    "terms of a consent": record.terms_digest,
    "frozen record": record.record_digest,
    "name of a dealing": lambda dealing: record.dealing_digest(encoded(dealing)),
}


# --- custody --------------------------------------------------------------------------------------------------


def _secret_key(secret: bytes) -> BlsPrivateKey:
    return BlsPrivateKey(int.from_bytes(secret, "big"))


def _envelope_signature(gid: bytes, header: bytes, body: bytes, signers: list[bytes], secret: bytes) -> bytes:
    return _secret_key(secret).sign(statements.envelope_statement(gid, header, body, signers))


def _bls_possession(gid: bytes, identity: bytes, secret: bytes) -> bytes:
    key = _secret_key(secret)
    return key.prove_possession(statements.bls_possession_statement(gid, identity, key.public_key))


def _sealed_body(key_material: bytes, header: bytes, plaintext: bytes) -> bytes:
    return seal_body(SecretBytes(key_material), header, SecretBytes(plaintext))


def _order_seal_info(context: bytes, index: int, commitment: bytes, header: envelope_pb2.EnvelopeHeader) -> bytes:
    return envelope.order_seal_info(statements.share_seal_info(context, index, commitment), header)


_CUSTODY: dict[str, Callable[..., Any]] = {
    "vault id": statements.vault_id,
    "order id": statements.order_id,
    "request id": statements.request_id,
    "policy hash": statements.policy_hash,
    "policy hash, beneficiary open": statements.policy_hash,
    "digest of an HPKE key": statements.hpke_key_digest,
    "order context": statements.order_context,
    "share commitment": statements.share_commitment,
    "key commitment": statements.key_commitment,
    "digest of a request's keys": statements.request_keys_digest,
    "content of a request": statements.request_content_digest,
    "content of a signing order": statements.signing_content_digest,
    "authorisation of a request": statements.authorisation_statement,
    "authorisation of a request under an authority key": statements.authorisation_statement,
    "info of a share's seal": statements.share_seal_info,
    "info of an answer's seal": statements.answer_seal_info,
    "info of a record's seal": envelope.record_seal_info,
    "info of a share's seal in its envelope": _order_seal_info,
    "info of a body's key": envelope.body_key_info,
    "sealed body": _sealed_body,
    "what an envelope's signers sign": statements.envelope_statement,
    "signature under an envelope": _envelope_signature,
    "proof of possession of a BLS key": _bls_possession,
    "what a signing key signs": statements.signing_message,
    "what a signing key signs, by digest": statements.signing_message,
    "signature of a signing key": lambda message, secret: (
        bases.signing_point(message) * int.from_bytes(secret, "big")
    ).encode(),
    "identity of an order": statements.custody_identity,
    "point under a long tag": lambda message, tag: G1.hash(message, tag).encode(),
    "point of an order's identity": lambda identity: bases.custody_point(identity).encode(),
}


# --- state and blocks -----------------------------------------------------------------------------------------


def _root(entries: list[dict[str, bytes]]) -> bytes:
    leaves: list[tuple[bytes, bytes | None]] = [(each["key"], each["value"]) for each in entries]
    if len(dict(leaves)) != len(leaves) or any(not key or not value for key, value in leaves):
        raise ValueError("keys are different, neither they nor values are empty")
    return nodes.ref_hash(update_tree(lambda _: b"", NodeCache(), nodes.NO_REF, 1, changes_of(leaves, 1)).root)


def _leaf(collection: Any) -> Callable[..., bytes]:
    def ours(key: dict[str, Any], value: Any) -> bytes:
        whole: bytes = collection.key(*key.values())
        if not collection.holds(whole):
            raise ValueError("no key of this collection")
        state = Overlay(MemoryView())
        assert isinstance(collection, Records | Values)
        collection.put(state, value, *key.values())
        stored = state.get(whole)
        if not stored:
            raise ValueError("a value is not empty")
        return _root([{"key": whole, "value": stored}])

    return ours


def _block_id(value: dict[str, Any]) -> BlockId:
    return BlockId(value["hash"], PartSetHeader(value["total"], value["parts"]))


def _header(
    block_version: int, app_version: int, time: dict[str, int], last_block_id: dict[str, Any], **others: Any
) -> bytes:
    version, moment = Version(block_version, app_version), Time(time["seconds"], time["nanos"])
    return hashes.header_hash(Header(version=version, time=moment, last_block_id=_block_id(last_block_id), **others))


def _commit(signatures: list[dict[str, Any]]) -> bytes:
    signed = tuple(
        CommitSig(
            each["flag"], each["address"], Time(each["time"]["seconds"], each["time"]["nanos"]), each["signature"]
        )
        for each in signatures
    )
    return hashes.commit_hash(Commit(1, 0, BlockId(), signed))


def _precommit(chain_id: str, height: int, round: int, block: dict[str, Any] | None, time: dict[str, int]) -> bytes:
    moment = Time(time["seconds"], time["nanos"])
    return wire.precommit_sign_bytes(chain_id, height, round, None if block is None else _block_id(block), moment)


def _address(public_key: bytes) -> bytes:
    assert validator_address(public_key) == Validator(public_key, 1).address
    return validator_address(public_key)


_STATE: dict[str, Callable[..., Any]] = {
    "leaf": lambda key, value: nodes.leaf_hash(changes_of([(key, value)], 1).popitem()[0], value),
    "inner node": nodes.inner_hash,
    **{f"root of {count}": _root for count in ("no leaf", "one leaf", "three leaves", "sixty leaves")},
    **{f"leaf {collection.prefix.decode()}": _leaf(collection) for collection in LEAVES},
    "CID of a block": lambda block: cid_of(block).encode(),
    "header": _header,
    "validators": lambda validators: hashes.validators_hash(
        ValidatorSet(tuple(Validator(each["public_key"], each["power"]) for each in validators))
    ),
    "last commit": _commit,
    "transactions of a block": hashes.data_hash,
    "results of a block": lambda results: hashes.results_hash([hashes.ResultLeaf(**each) for each in results]),
    "precommit": _precommit,
    "precommit for nil": _precommit,
    "validator address": _address,
}

OURS: dict[str, Callable[..., Any]] = {**_LEDGER, **_CUSTODY, **PROOFS, **_STATE}
