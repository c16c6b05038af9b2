from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Registration(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REGISTRATION_UNSPECIFIED: _ClassVar[Registration]
    REGISTRATION_OPEN: _ClassVar[Registration]
    REGISTRATION_SPONSORED: _ClassVar[Registration]

class Verifier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERIFIER_UNSPECIFIED: _ClassVar[Verifier]
    VERIFIER_NONE: _ClassVar[Verifier]
    VERIFIER_EXTRACTION: _ClassVar[Verifier]
REGISTRATION_UNSPECIFIED: Registration
REGISTRATION_OPEN: Registration
REGISTRATION_SPONSORED: Registration
VERIFIER_UNSPECIFIED: Verifier
VERIFIER_NONE: Verifier
VERIFIER_EXTRACTION: Verifier

class Custodian(_message.Message):
    __slots__ = ("name", "contribution_bytes", "verifier")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    name: str
    contribution_bytes: int
    verifier: Verifier
    def __init__(self, name: _Optional[str] = ..., contribution_bytes: _Optional[int] = ..., verifier: _Optional[_Union[Verifier, str]] = ...) -> None: ...

class Params(_message.Message):
    __slots__ = ("protocol_version", "registration", "max_tx_bytes", "max_expiry_blocks", "max_block_cost", "max_txs_per_identity", "max_registrations", "max_upkeep_cost", "max_envelope_bytes", "max_open_orders_per_identity", "max_open_vaults_per_identity", "max_open_requests_per_order", "max_order_fiduciaries", "max_policy_bytes", "request_ttl_s", "close_vault_delay_s", "close_vault_delay_blocks", "min_veto_blocks", "custodians", "validator_change_window_blocks", "proposal_ttl_s", "max_open_proposals", "max_fiduciaries", "max_open_ceremonies", "max_authority_members", "ceremony_window_blocks", "ceremony_consent_blocks", "max_ceremony_attempts", "max_open_extractions", "max_extraction_items", "max_waiting_requests_per_identity", "max_veto_window_s", "max_realm_servers", "permit_ahead_s")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_FIELD_NUMBER: _ClassVar[int]
    MAX_TX_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_EXPIRY_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MAX_BLOCK_COST_FIELD_NUMBER: _ClassVar[int]
    MAX_TXS_PER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    MAX_REGISTRATIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_UPKEEP_COST_FIELD_NUMBER: _ClassVar[int]
    MAX_ENVELOPE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_ORDERS_PER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_VAULTS_PER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_REQUESTS_PER_ORDER_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_FIDUCIARIES_FIELD_NUMBER: _ClassVar[int]
    MAX_POLICY_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_TTL_S_FIELD_NUMBER: _ClassVar[int]
    CLOSE_VAULT_DELAY_S_FIELD_NUMBER: _ClassVar[int]
    CLOSE_VAULT_DELAY_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MIN_VETO_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    CUSTODIANS_FIELD_NUMBER: _ClassVar[int]
    VALIDATOR_CHANGE_WINDOW_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    PROPOSAL_TTL_S_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    MAX_FIDUCIARIES_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_CEREMONIES_FIELD_NUMBER: _ClassVar[int]
    MAX_AUTHORITY_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    CEREMONY_WINDOW_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    CEREMONY_CONSENT_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MAX_CEREMONY_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_EXTRACTIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_EXTRACTION_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_WAITING_REQUESTS_PER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    MAX_VETO_WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    MAX_REALM_SERVERS_FIELD_NUMBER: _ClassVar[int]
    PERMIT_AHEAD_S_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    registration: Registration
    max_tx_bytes: int
    max_expiry_blocks: int
    max_block_cost: int
    max_txs_per_identity: int
    max_registrations: int
    max_upkeep_cost: int
    max_envelope_bytes: int
    max_open_orders_per_identity: int
    max_open_vaults_per_identity: int
    max_open_requests_per_order: int
    max_order_fiduciaries: int
    max_policy_bytes: int
    request_ttl_s: int
    close_vault_delay_s: int
    close_vault_delay_blocks: int
    min_veto_blocks: int
    custodians: _containers.RepeatedCompositeFieldContainer[Custodian]
    validator_change_window_blocks: int
    proposal_ttl_s: int
    max_open_proposals: int
    max_fiduciaries: int
    max_open_ceremonies: int
    max_authority_members: int
    ceremony_window_blocks: int
    ceremony_consent_blocks: int
    max_ceremony_attempts: int
    max_open_extractions: int
    max_extraction_items: int
    max_waiting_requests_per_identity: int
    max_veto_window_s: int
    max_realm_servers: int
    permit_ahead_s: int
    def __init__(self, protocol_version: _Optional[int] = ..., registration: _Optional[_Union[Registration, str]] = ..., max_tx_bytes: _Optional[int] = ..., max_expiry_blocks: _Optional[int] = ..., max_block_cost: _Optional[int] = ..., max_txs_per_identity: _Optional[int] = ..., max_registrations: _Optional[int] = ..., max_upkeep_cost: _Optional[int] = ..., max_envelope_bytes: _Optional[int] = ..., max_open_orders_per_identity: _Optional[int] = ..., max_open_vaults_per_identity: _Optional[int] = ..., max_open_requests_per_order: _Optional[int] = ..., max_order_fiduciaries: _Optional[int] = ..., max_policy_bytes: _Optional[int] = ..., request_ttl_s: _Optional[int] = ..., close_vault_delay_s: _Optional[int] = ..., close_vault_delay_blocks: _Optional[int] = ..., min_veto_blocks: _Optional[int] = ..., custodians: _Optional[_Iterable[_Union[Custodian, _Mapping]]] = ..., validator_change_window_blocks: _Optional[int] = ..., proposal_ttl_s: _Optional[int] = ..., max_open_proposals: _Optional[int] = ..., max_fiduciaries: _Optional[int] = ..., max_open_ceremonies: _Optional[int] = ..., max_authority_members: _Optional[int] = ..., ceremony_window_blocks: _Optional[int] = ..., ceremony_consent_blocks: _Optional[int] = ..., max_ceremony_attempts: _Optional[int] = ..., max_open_extractions: _Optional[int] = ..., max_extraction_items: _Optional[int] = ..., max_waiting_requests_per_identity: _Optional[int] = ..., max_veto_window_s: _Optional[int] = ..., max_realm_servers: _Optional[int] = ..., permit_ahead_s: _Optional[int] = ...) -> None: ...

class GenesisFiduciary(_message.Message):
    __slots__ = ("document", "validator_key", "power")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    VALIDATOR_KEY_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    validator_key: bytes
    power: int
    def __init__(self, document: _Optional[bytes] = ..., validator_key: _Optional[bytes] = ..., power: _Optional[int] = ...) -> None: ...

class GenesisState(_message.Message):
    __slots__ = ("params", "fiduciaries")
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    FIDUCIARIES_FIELD_NUMBER: _ClassVar[int]
    params: Params
    fiduciaries: _containers.RepeatedCompositeFieldContainer[GenesisFiduciary]
    def __init__(self, params: _Optional[_Union[Params, _Mapping]] = ..., fiduciaries: _Optional[_Iterable[_Union[GenesisFiduciary, _Mapping]]] = ...) -> None: ...

class ChainRecord(_message.Message):
    __slots__ = ("chain_id", "gid", "genesis_time_s", "initial_height")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    GENESIS_TIME_S_FIELD_NUMBER: _ClassVar[int]
    INITIAL_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    chain_id: str
    gid: bytes
    genesis_time_s: int
    initial_height: int
    def __init__(self, chain_id: _Optional[str] = ..., gid: _Optional[bytes] = ..., genesis_time_s: _Optional[int] = ..., initial_height: _Optional[int] = ...) -> None: ...
