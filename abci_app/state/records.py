"""Typed collections over the flat key space: which record lives under which key."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from abci_app.errors import StateBroken
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
from abci_app.state.overlay import Overlay
from abci_app.state.view import StateView

M = TypeVar("M", bound=Message)

SHARED_ENTRIES: Final = 256


class Records(Generic[M]):
    """Records of one type under keys that ``key`` builds."""

    def __init__(self, record: type[M], key: Callable[..., bytes]) -> None:
        self._record = record
        self._key = key
        # Parsed once for as long as the bytes stay the same, whichever key they are under.
        self._shared: Callable[[bytes], M] = lru_cache(maxsize=SHARED_ENTRIES)(record.FromString)

    def exists(self, view: StateView, *parts: bytes | int) -> bool:
        """Whether there is such a record."""
        return view.get(self._key(*parts)) is not None

    def read(self, view: StateView, *parts: bytes | int) -> M | None:
        """As :meth:`find`, but shared with whoever reads the same: never to be changed."""
        value = view.get(self._key(*parts))
        return None if value is None else self._shared(value)

    def find(self, view: StateView, *parts: bytes | int) -> M | None:
        """The record, or None. The caller may change it and :meth:`put` it back."""
        value = view.get(self._key(*parts))
        return None if value is None else self._record.FromString(value)

    def get(self, view: StateView, *parts: bytes | int) -> M:
        """The record, which must be there: an index or another record names it."""
        record = self.find(view, *parts)
        if record is None:
            raise StateBroken(f"{self._record.DESCRIPTOR.name} is missing")
        return record

    def put(self, state: Overlay, record: M, *parts: bytes | int) -> None:
        """Write the record's canonical encoding."""
        state.put(self._key(*parts), record.SerializeToString(deterministic=True))


IDENTITIES = Records(identity_pb2.IdentityRecord, keys.identity)
IDENTITY_HISTORY = Records(identity_pb2.IdentityHistory, keys.identity_history)
FIDUCIARIES = Records(identity_pb2.FiduciaryRecord, keys.fiduciary)
VALIDATOR_CHANGES = Records(identity_pb2.ValidatorChange, keys.validator_change)
COUNTERS = Records(custody_pb2.CounterRecord, keys.counter)
VAULTS = Records(custody_pb2.VaultRecord, keys.vault)
VAULT_KEYS = Records(custody_pb2.VaultKeyRecord, keys.vault_key)
ORDERS = Records(custody_pb2.OrderRecord, keys.order)
FULFILMENTS = Records(custody_pb2.FulfilmentRecord, keys.fulfilment)
REQUESTS = Records(custody_pb2.RequestRecord, keys.request)
DECISIONS = Records(custody_pb2.DecisionRecord, keys.decision)
ANSWERS = Records(custody_pb2.AnswerRecord, keys.answer)
AUTHORITIES = Records(authority_pb2.AuthorityRecord, keys.authority)
EPOCHS = Records(authority_pb2.EpochRecord, keys.epoch)
MEMBERS = Records(authority_pb2.MemberRecord, keys.member)
PROPOSALS = Records(governance_pb2.ProposalRecord, keys.proposal)
VOTES = Records(governance_pb2.VoteRecord, keys.vote)
UPGRADES = Records(governance_pb2.UpgradeRecord, keys.upgrade)
CEREMONIES = Records(authority_pb2.CeremonyRecord, keys.ceremony)
CEREMONY_PARTIES = Records(authority_pb2.CeremonyParty, keys.ceremony_party)
EXTRACTIONS = Records(extraction_pb2.ExtractionRecord, keys.extraction)
EXTRACTION_ITEMS = Records(extraction_pb2.ExtractionItem, keys.extraction_item)
PARTIALS = Records(extraction_pb2.PartialRecord, keys.partial)
EXTRACTION_LOADS = Records(extraction_pb2.ExtractionLoad, keys.extraction_load)
SIGNINGS = Records(extraction_pb2.SigningRecord, keys.signing)
SIGNING_POLICIES = Records(extraction_pb2.SigningPolicy, keys.signing_policy)
REALMS = Records(mfa_pb2.RealmRecord, keys.realm)
REALM_SERVERS = Records(mfa_pb2.MfaServerRecord, keys.realm_server)
REALM_CLIENTS = Records(mfa_pb2.MfaClientRecord, keys.realm_client)
REALM_CLIENT_NUMBERS = Records(mfa_pb2.MfaClientNumber, keys.realm_client_number)
PERMITS = Records(mfa_pb2.PermitRecord, keys.permit)


# Parsed once for as long as the bytes stay the same; nobody changes what these return.
_parse_params = lru_cache(maxsize=4)(params_pb2.Params.FromString)
_parse_chain = lru_cache(maxsize=4)(params_pb2.ChainRecord.FromString)


def params(view: StateView) -> params_pb2.Params:
    """The consensus parameters in force. Read only."""
    value = view.get(keys.params())
    if value is None:
        raise StateBroken("there are no parameters: genesis was not applied")
    return _parse_params(value)


def chain(view: StateView) -> params_pb2.ChainRecord:
    """What this chain is: its id and genesis id. Read only."""
    value = view.get(keys.chain())
    if value is None:
        raise StateBroken("there is no chain record: genesis was not applied")
    return _parse_chain(value)
