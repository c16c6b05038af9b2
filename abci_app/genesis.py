"""The first state: founders, parameters and what names this chain (docs/spec/genesis.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from abci_app import limits, text
from abci_app.block import Changes, Genesis, ValidatorUpdate
from abci_app.crypto import ed25519, statements
from abci_app.errors import GenesisRefused, Refusal
from abci_app.execution.context import BlockScratch, Context
from abci_app.hashing import tagged_hash, u32, u64
from abci_app.identities import documents
from abci_app.params import check_params
from abci_app.pb.dta.v1 import identity_pb2, params_pb2
from abci_app.state import as_of
from abci_app.state.memory_view import MemoryView
from abci_app.state.overlay import Overlay
from abci_app.state.records import (
    CHAIN,
    FIDUCIARIES,
    IDENTITIES,
    PARAMS,
    VALIDATOR_ADDRESSES,
    VALIDATOR_KEY_OWNERS,
    validator_address,
)


def parse_app_state(app_state: bytes) -> params_pb2.GenesisState:
    """``app_state`` as CometBFT passes it: protobuf's JSON of GenesisState. Bytes are base64. Raises GenesisRefused."""
    if len(app_state) > limits.MAX_GENESIS_BYTES:
        raise GenesisRefused("app_state", "too large")
    try:
        value: Any = json.loads(
            app_state, object_pairs_hook=_no_duplicates, parse_float=_no_float, parse_constant=_no_float
        )
        if not isinstance(value, dict):
            raise GenesisRefused("app_state", "not an object")
        state = json_format.ParseDict(value, params_pb2.GenesisState(), ignore_unknown_fields=False)
    except (ValueError, TypeError, json_format.ParseError) as error:
        raise GenesisRefused("app_state", str(error)) from None
    except (RecursionError, SystemError):  # nested without end; half a surrogate pair, in protobuf's parser
        raise GenesisRefused("app_state", "nested too deeply, or a string that is no text") from None
    return state


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Protobuf's JSON has two spellings of each name: max_upkeep_cost and maxUpkeepCost.
    if len(dict.fromkeys(name.replace("_", "").lower() for name, _ in pairs)) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)


def _no_float(literal: str) -> Any:
    raise ValueError(f"not a whole number: {literal}")


def genesis_id(
    genesis: Genesis,
    state: params_pb2.GenesisState,
    documents: Sequence[identity_pb2.IdentityDocument] | None = None,
) -> bytes:
    """``gid``: binds the chain and its genesis, founders' proofs and signatures left out (docs/spec/genesis.md).

    ``documents``: the founders', where the blocks in ``state`` are not signed yet and so can't be read; what
    ``state`` holds as their blocks then does not matter.
    """
    if documents is None:
        documents = [_read(fiduciary.document, "fiduciaries").document for fiduciary in state.fiduciaries]
    cleared = params_pb2.GenesisState()
    cleared.CopyFrom(state)
    for fiduciary, document in zip(cleared.fiduciaries, documents, strict=True):
        fiduciary.document = statements.document_without_proofs(document)
    validators = [
        validator.public_key + u64(validator.power)
        for validator in sorted(genesis.validators, key=lambda validator: validator.public_key)
    ]
    return tagged_hash(
        "DTA-v1-genesis",
        genesis.chain_id.encode("ascii"),
        u64(genesis.time.seconds) + u32(genesis.time.nanos),
        u64(genesis.initial_height),
        b"".join(validators),
        cleared.SerializeToString(deterministic=True),
    )


def _read(block: bytes, where: str) -> documents.ReadDocument:
    try:
        return documents.read(block)
    except Refusal as refusal:
        raise GenesisRefused(where, refusal.detail) from None


def init_chain(genesis: Genesis) -> Changes:
    """The changes that make the first state. Raises :class:`GenesisRefused`, naming the field."""
    if not text.is_chain_id(genesis.chain_id, limits.MAX_CHAIN_ID_CHARS):
        raise GenesisRefused("chain_id", f"letters, digits and -._, at most {limits.MAX_CHAIN_ID_CHARS}")
    state = parse_app_state(genesis.app_state)
    check_params(state.params)
    _check_validators(genesis, state)
    gid = genesis_id(genesis, state)
    overlay = Overlay(MemoryView())
    PARAMS.put(overlay, state.params)
    record = params_pb2.ChainRecord(
        chain_id=genesis.chain_id, gid=gid, genesis_time_s=genesis.time.seconds, initial_height=genesis.initial_height
    )
    CHAIN.put(overlay, record)
    context = Context(
        state=overlay, params=state.params, gid=gid, height=genesis.initial_height - 1, time=genesis.time,
        scratch=BlockScratch(),
    )  # fmt: skip
    for position, founder in enumerate(state.fiduciaries):
        _found(context, founder, f"fiduciaries[{position}]")
    return overlay.changes()


def _check_validators(genesis: Genesis, state: params_pb2.GenesisState) -> None:
    of_state = [ValidatorUpdate(fiduciary.validator_key, fiduciary.power) for fiduciary in state.fiduciaries]
    if not of_state:
        raise GenesisRefused("fiduciaries", "there must be at least one")
    if len(of_state) > state.params.max_fiduciaries:
        raise GenesisRefused("fiduciaries", f"at most {state.params.max_fiduciaries}")
    for fiduciary in of_state:
        if not ed25519.valid_public_key(fiduciary.public_key) or not 1 <= fiduciary.power <= limits.MAX_POWER:
            raise GenesisRefused("fiduciaries", "a validator key is malformed, or a power is not 1 to 1,000,000")

    def by_key(validator: ValidatorUpdate) -> bytes:
        return validator.public_key

    if sorted(genesis.validators, key=by_key) != sorted(of_state, key=by_key):
        raise GenesisRefused("validators", "must be the validator keys and powers of app_state.fiduciaries")


def _found(context: Context, founder: params_pb2.GenesisFiduciary, where: str) -> None:
    read = _read(founder.document, where)
    document = read.document
    if identity_pb2.ROLE_FIDUCIARY not in document.roles or document.identity:
        raise GenesisRefused(where, "a founder's document is a first one, with the fiduciary role")
    if not as_of.is_in_date(document, context.time_s):
        raise GenesisRefused(where, "not valid at genesis time")
    identity = statements.identity_id(document)
    taken = (IDENTITIES.key(identity), VALIDATOR_KEY_OWNERS.key(founder.validator_key))
    if any(context.state.get(key) is not None for key in taken):
        raise GenesisRefused(where, "the identity or the validator key stands there twice")
    try:
        documents.check_proofs(context.gid, identity, read)
        documents.take_keys(context.state, identity, document)
    except Refusal as refusal:
        raise GenesisRefused(where, str(refusal)) from None
    documents.write(context, identity, read, identity_pb2.IDENTITY_CHANGE_REGISTERED, founding=True)
    record = identity_pb2.FiduciaryRecord(
        id=identity, status=identity_pb2.FIDUCIARY_STATUS_ACTIVE, validator_key=founder.validator_key,
        power=founder.power, admitted_height=context.height,
    )  # fmt: skip
    FIDUCIARIES.put(context.state, record, identity)
    VALIDATOR_KEY_OWNERS.put(context.state, identity, founder.validator_key)
    VALIDATOR_ADDRESSES.put(context.state, identity, validator_address(founder.validator_key))
