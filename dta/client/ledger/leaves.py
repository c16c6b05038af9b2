"""Which record lives at which key: one line a kind, for reading them by proof.

A leaf knows its key, how its bytes are read, and what to call it to a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from abci_app.pb.dta.v1 import (
    authority_pb2,
    custody_pb2,
    extraction_pb2,
    governance_pb2,
    identity_pb2,
    mfa_pb2,
    params_pb2,
)
from abci_app.state import keys
from dta.base.errors import InternalError, NotFound

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Leaf(Generic[M]):
    """A place in the state. ``name`` says what is there, for errors."""

    name: str
    key: bytes
    parse: Callable[[bytes], M]

    def read(self, value: bytes | None) -> M | None:
        """The record of a proved value; None stays None."""
        try:
            return None if value is None else self.parse(value)
        except DecodeError as error:
            # The validators vouch for these bytes: it is this program that can't read them.
            raise InternalError(f"the {self.name} can't be read by this version", hint="upgrade dta") from error

    def found(self, record: M | None) -> M:
        """The record. Raises NotFound where there is none."""
        if record is None:
            raise NotFound(
                f"there is no {self.name} on the ledger",
                hint="check the id; what was just committed is provable one block later",
                data={"what": self.name, "key": self.key.hex()},
            )
        return record


def chain() -> Leaf[params_pb2.ChainRecord]:
    """What this chain is."""
    return Leaf("chain record", keys.chain(), params_pb2.ChainRecord.FromString)


def params() -> Leaf[params_pb2.Params]:
    """The consensus parameters."""
    return Leaf("parameters", keys.params(), params_pb2.Params.FromString)


def identity(id_: bytes) -> Leaf[identity_pb2.IdentityRecord]:
    """An identity by its 32-byte id."""
    return Leaf(f"identity {id_.hex()}", keys.identity(id_), identity_pb2.IdentityRecord.FromString)


def identity_history(id_: bytes, sequence: int) -> Leaf[identity_pb2.IdentityHistory]:
    """Entry ``sequence`` (from 0) of an identity's history."""
    name = f"history entry {sequence} of identity {id_.hex()}"
    return Leaf(name, keys.identity_history(id_, sequence), identity_pb2.IdentityHistory.FromString)


def fiduciary(id_: bytes) -> Leaf[identity_pb2.FiduciaryRecord]:
    """A fiduciary by its 32-byte identity id."""
    return Leaf(f"fiduciary {id_.hex()}", keys.fiduciary(id_), identity_pb2.FiduciaryRecord.FromString)


def counter(principal: bytes) -> Leaf[custody_pb2.CounterRecord]:
    """A principal's counters."""
    return Leaf(f"counter of {principal.hex()}", keys.counter(principal), custody_pb2.CounterRecord.FromString)


def vault(id_: bytes) -> Leaf[custody_pb2.VaultRecord]:
    """A vault by its 32-byte id."""
    return Leaf(f"vault {id_.hex()}", keys.vault(id_), custody_pb2.VaultRecord.FromString)


def vault_key(vault_id: bytes, fiduciary_id: bytes) -> Leaf[custody_pb2.VaultKeyRecord]:
    """A fiduciary's key in a vault: what shares are sealed to."""
    name = f"key of fiduciary {fiduciary_id.hex()} in vault {vault_id.hex()}"
    return Leaf(name, keys.vault_key(vault_id, fiduciary_id), custody_pb2.VaultKeyRecord.FromString)


def order(id_: bytes) -> Leaf[custody_pb2.OrderRecord]:
    """An order by its 32-byte reference."""
    return Leaf(f"order {id_.hex()}", keys.order(id_), custody_pb2.OrderRecord.FromString)


def fulfilment(order_id: bytes, fiduciary_id: bytes) -> Leaf[custody_pb2.FulfilmentRecord]:
    """What a fiduciary did about an order."""
    name = f"fulfilment of order {order_id.hex()} by {fiduciary_id.hex()}"
    return Leaf(name, keys.fulfilment(order_id, fiduciary_id), custody_pb2.FulfilmentRecord.FromString)


def request(id_: bytes) -> Leaf[custody_pb2.RequestRecord]:
    """A request for a secret by its 32-byte id."""
    return Leaf(f"request {id_.hex()}", keys.request(id_), custody_pb2.RequestRecord.FromString)


def decision(request_id: bytes, party: bytes) -> Leaf[custody_pb2.DecisionRecord]:
    """A party's approval or veto of a request."""
    name = f"decision on request {request_id.hex()} by {party.hex()}"
    return Leaf(name, keys.decision(request_id, party), custody_pb2.DecisionRecord.FromString)


def answer(request_id: bytes, fiduciary_id: bytes) -> Leaf[custody_pb2.AnswerRecord]:
    """A fiduciary's answer to a request."""
    name = f"answer to request {request_id.hex()} by {fiduciary_id.hex()}"
    return Leaf(name, keys.answer(request_id, fiduciary_id), custody_pb2.AnswerRecord.FromString)


def authority(id_: bytes) -> Leaf[authority_pb2.AuthorityRecord]:
    """An authority by its 32-byte id."""
    return Leaf(f"authority {id_.hex()}", keys.authority(id_), authority_pb2.AuthorityRecord.FromString)


def epoch(authority_id: bytes, number: int) -> Leaf[authority_pb2.EpochRecord]:
    """An epoch of an authority that came into force."""
    name = f"epoch {number} of authority {authority_id.hex()}"
    return Leaf(name, keys.epoch(authority_id, number), authority_pb2.EpochRecord.FromString)


def member(authority_id: bytes, epoch_number: int, index: int) -> Leaf[authority_pb2.MemberRecord]:
    """An epoch's member of this index."""
    name = f"member {index} of epoch {epoch_number} of authority {authority_id.hex()}"
    return Leaf(name, keys.member(authority_id, epoch_number, index), authority_pb2.MemberRecord.FromString)


def ceremony(id_: bytes) -> Leaf[authority_pb2.CeremonyRecord]:
    """An attempt of a ceremony by its 32-byte id."""
    return Leaf(f"ceremony {id_.hex()}", keys.ceremony(id_), authority_pb2.CeremonyRecord.FromString)


def ceremony_party(ceremony_id: bytes, position: int) -> Leaf[authority_pb2.CeremonyParty]:
    """A party of an attempt, counted from 1."""
    name = f"party {position} of ceremony {ceremony_id.hex()}"
    return Leaf(name, keys.ceremony_party(ceremony_id, position), authority_pb2.CeremonyParty.FromString)


def extraction(request: bytes) -> Leaf[extraction_pb2.ExtractionRecord]:
    """A request to an authority key's members."""
    return Leaf(f"extraction {request.hex()}", keys.extraction(request), extraction_pb2.ExtractionRecord.FromString)


def extraction_item(request: bytes, number: int) -> Leaf[extraction_pb2.ExtractionItem]:
    """Item ``number`` (from 0) of a request."""
    name = f"item {number} of extraction {request.hex()}"
    return Leaf(name, keys.extraction_item(request, number), extraction_pb2.ExtractionItem.FromString)


def partial(request: bytes, number: int, epoch_number: int, fiduciary_id: bytes) -> Leaf[extraction_pb2.PartialRecord]:
    """A member's partial for an item."""
    name = f"partial of {fiduciary_id.hex()} for item {number} of extraction {request.hex()}"
    key = keys.partial(request, number, epoch_number, fiduciary_id)
    return Leaf(name, key, extraction_pb2.PartialRecord.FromString)


def realm(id_: bytes) -> Leaf[mfa_pb2.RealmRecord]:
    """A realm by its 32-byte id."""
    return Leaf(f"realm {id_.hex()}", keys.realm(id_), mfa_pb2.RealmRecord.FromString)


def realm_server(realm_id: bytes, server: bytes) -> Leaf[mfa_pb2.MfaServerRecord]:
    """A server of a realm."""
    name = f"server {server.hex()} of realm {realm_id.hex()}"
    return Leaf(name, keys.realm_server(realm_id, server), mfa_pb2.MfaServerRecord.FromString)


def realm_client(realm_id: bytes, client: bytes) -> Leaf[mfa_pb2.MfaClientRecord]:
    """A client of a realm by its salted hash."""
    name = f"client {client.hex()} of realm {realm_id.hex()}"
    return Leaf(name, keys.realm_client(realm_id, client), mfa_pb2.MfaClientRecord.FromString)


def realm_client_number(realm_id: bytes, number: int) -> Leaf[mfa_pb2.MfaClientNumber]:
    """Which client of a realm has this number."""
    name = f"client number {number} of realm {realm_id.hex()}"
    return Leaf(name, keys.realm_client_number(realm_id, number), mfa_pb2.MfaClientNumber.FromString)


def permit(realm_id: bytes, day: int, client: bytes) -> Leaf[mfa_pb2.PermitRecord]:
    """That a client's time permit for a day was asked for."""
    name = f"permit of client {client.hex()} for day {day} in realm {realm_id.hex()}"
    return Leaf(name, keys.permit(realm_id, day, client), mfa_pb2.PermitRecord.FromString)


def signing(request_id: bytes) -> Leaf[extraction_pb2.SigningRecord]:
    """What a signing order signs, and its signature."""
    return Leaf(f"signing order {request_id.hex()}", keys.signing(request_id), extraction_pb2.SigningRecord.FromString)


def signing_policy(authority_id: bytes) -> Leaf[extraction_pb2.SigningPolicy]:
    """What a signing key signs and who has to agree, where governance has set it."""
    name = f"signing policy of {authority_id.hex()}"
    return Leaf(name, keys.signing_policy(authority_id), extraction_pb2.SigningPolicy.FromString)


def proposal(id_: bytes) -> Leaf[governance_pb2.ProposalRecord]:
    """A proposal by its 32-byte id."""
    return Leaf(f"proposal {id_.hex()}", keys.proposal(id_), governance_pb2.ProposalRecord.FromString)


def vote(proposal_id: bytes, fiduciary_id: bytes) -> Leaf[governance_pb2.VoteRecord]:
    """A fiduciary's vote on a proposal."""
    name = f"vote on proposal {proposal_id.hex()} by {fiduciary_id.hex()}"
    return Leaf(name, keys.vote(proposal_id, fiduciary_id), governance_pb2.VoteRecord.FromString)


def upgrade() -> Leaf[governance_pb2.UpgradeRecord]:
    """The upgrade that was decided last."""
    return Leaf("planned upgrade", keys.upgrade(), governance_pb2.UpgradeRecord.FromString)
