"""CometBFT's genesis file as this system makes it, read strictly (docs/spec/genesis.md).

The gid covers what the application is given: chain id, time, initial height, validators and app_state. CometBFT's
consensus parameters are not in it, so they are compared with the ones that every file of ours has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format

from abci_app import limits
from abci_app.block import Genesis, Time, ValidatorUpdate
from abci_app.crypto import statements
from abci_app.errors import GenesisRefused
from abci_app.genesis import genesis_id, init_chain
from abci_app.identities import documents
from abci_app.pb.dta.v1 import params_pb2
from dta.base.errors import BadAnswer, UsageError
from dta.client.genesis import cometbft
from dta.client.genesis.cometbft import GenesisValidator
from dta.client.identity import document
from dta.light import decode
from dta.light.people import People

_FIELDS = {
    "genesis_time", "chain_id", "initial_height", "consensus_params", "validators", "app_hash", "app_state",
}  # fmt: skip


@dataclass(frozen=True)
class GenesisFile:
    """A genesis that the application accepts. ``content``: the file's bytes, the same for everybody."""

    content: bytes
    genesis: Genesis
    state: params_pb2.GenesisState
    gid: bytes

    def documents(self) -> list[documents.ReadDocument]:
        """The founders' documents, in the file's order."""
        return [document.read(fiduciary.document) for fiduciary in self.state.fiduciaries]

    def people(self) -> People:
        """The founders."""
        names, owners = {}, {}
        for read, founder in zip(self.documents(), self.state.fiduciaries, strict=True):
            identity = statements.identity_id(read.document)
            names[identity] = read.document.name
            owners[cometbft.address(founder.validator_key)] = identity
        return People(names, owners)


def rfc3339(time_s: int) -> str:
    """Unix seconds as CometBFT writes a time."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> int:
    """Unix seconds of a whole second in RFC 3339, UTC. Raises UsageError."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise UsageError(f"not a time: {text!r}", hint="write it in UTC as 2026-11-23T12:00:00Z") from None


def write(chain_id: str, time_s: int, state: params_pb2.GenesisState) -> GenesisFile:
    """The genesis file of this state, proved to be one that the application accepts. Raises UsageError."""
    names = [document.read(fiduciary.document).document.name for fiduciary in state.fiduciaries]
    content = cometbft.genesis_json(
        chain_id=chain_id,
        genesis_time=rfc3339(time_s),
        validators=[
            GenesisValidator(fiduciary.validator_key, fiduciary.power, name)
            for fiduciary, name in zip(state.fiduciaries, names, strict=True)
        ],
        app_state=json_format.MessageToDict(state),
    )
    return read(content)


def read(content: bytes) -> GenesisFile:
    """A genesis file, its form and its application state checked to the last signature. Raises UsageError."""
    try:
        value = json.loads(content)
        if not isinstance(value, dict) or set(value) != _FIELDS:
            raise UsageError("the genesis file's fields are not those of a genesis file of this system")
        genesis = _genesis(value)
    except (ValueError, RecursionError):
        raise UsageError("the genesis file is not JSON") from None
    except BadAnswer as error:
        raise UsageError(f"the genesis file has no good {error.data['field']}", data=error.data) from None
    if value["consensus_params"] != cometbft.consensus_params() or value["app_hash"] != "":
        raise UsageError(
            "the genesis file's consensus parameters or app hash are not this system's",
            hint="nobody edits a genesis file: take the one that `dta genesis finish` wrote",
        )
    try:
        state = params_pb2.GenesisState()
        json_format.ParseDict(value["app_state"], state)
        init_chain(genesis)
        return GenesisFile(content, genesis, state, genesis_id(genesis, state))
    except (GenesisRefused, json_format.ParseError) as error:
        raise UsageError(f"the application refuses this genesis: {error}") from None


def _genesis(value: dict[str, Any]) -> Genesis:
    validators = [
        decode.validator(entry)
        for entry in decode.items(decode.member(value, "validators"), "validators", decode.MAX_VALIDATORS)
    ]
    time = decode.time(decode.member(value, "genesis_time"), "genesis_time")
    return Genesis(
        chain_id=decode.text(decode.member(value, "chain_id"), "chain_id", limits.MAX_CHAIN_ID_CHARS),
        time=Time(time.seconds, time.nanos),
        initial_height=decode.integer(decode.member(value, "initial_height"), "initial_height", 1),
        validators=tuple(ValidatorUpdate(validator.public_key, validator.power) for validator in validators),
        app_state=json.dumps(value["app_state"]).encode("ascii"),
    )
