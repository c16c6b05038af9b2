from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_PRINCIPAL: _ClassVar[Role]
    ROLE_FIDUCIARY: _ClassVar[Role]
    ROLE_BENEFICIARY: _ClassVar[Role]

class IdentityStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IDENTITY_STATUS_UNSPECIFIED: _ClassVar[IdentityStatus]
    IDENTITY_STATUS_ACTIVE: _ClassVar[IdentityStatus]
    IDENTITY_STATUS_SUSPENDED: _ClassVar[IdentityStatus]
    IDENTITY_STATUS_REVOKED: _ClassVar[IdentityStatus]
    IDENTITY_STATUS_OUT_OF_DATE: _ClassVar[IdentityStatus]

class IdentityChange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IDENTITY_CHANGE_UNSPECIFIED: _ClassVar[IdentityChange]
    IDENTITY_CHANGE_REGISTERED: _ClassVar[IdentityChange]
    IDENTITY_CHANGE_ROTATED: _ClassVar[IdentityChange]
    IDENTITY_CHANGE_SUSPENDED: _ClassVar[IdentityChange]
    IDENTITY_CHANGE_REVOKED: _ClassVar[IdentityChange]

class FiduciaryStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIDUCIARY_STATUS_UNSPECIFIED: _ClassVar[FiduciaryStatus]
    FIDUCIARY_STATUS_ACTIVE: _ClassVar[FiduciaryStatus]
    FIDUCIARY_STATUS_REMOVED: _ClassVar[FiduciaryStatus]
ROLE_UNSPECIFIED: Role
ROLE_PRINCIPAL: Role
ROLE_FIDUCIARY: Role
ROLE_BENEFICIARY: Role
IDENTITY_STATUS_UNSPECIFIED: IdentityStatus
IDENTITY_STATUS_ACTIVE: IdentityStatus
IDENTITY_STATUS_SUSPENDED: IdentityStatus
IDENTITY_STATUS_REVOKED: IdentityStatus
IDENTITY_STATUS_OUT_OF_DATE: IdentityStatus
IDENTITY_CHANGE_UNSPECIFIED: IdentityChange
IDENTITY_CHANGE_REGISTERED: IdentityChange
IDENTITY_CHANGE_ROTATED: IdentityChange
IDENTITY_CHANGE_SUSPENDED: IdentityChange
IDENTITY_CHANGE_REVOKED: IdentityChange
FIDUCIARY_STATUS_UNSPECIFIED: FiduciaryStatus
FIDUCIARY_STATUS_ACTIVE: FiduciaryStatus
FIDUCIARY_STATUS_REMOVED: FiduciaryStatus

class HpkeKey(_message.Message):
    __slots__ = ("mlkem768", "x25519")
    MLKEM768_FIELD_NUMBER: _ClassVar[int]
    X25519_FIELD_NUMBER: _ClassVar[int]
    mlkem768: bytes
    x25519: bytes
    def __init__(self, mlkem768: _Optional[bytes] = ..., x25519: _Optional[bytes] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("kind", "url")
    KIND_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    kind: str
    url: str
    def __init__(self, kind: _Optional[str] = ..., url: _Optional[str] = ...) -> None: ...

class IdentityDocument(_message.Message):
    __slots__ = ("name", "roles", "tx_key", "next_key_digest", "node_key", "bls_key", "hpke_key", "endpoints", "not_before_s", "not_after_s", "identity", "previous_cid", "tx_key_proof", "node_key_proof", "bls_proof")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    TX_KEY_FIELD_NUMBER: _ClassVar[int]
    NEXT_KEY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NODE_KEY_FIELD_NUMBER: _ClassVar[int]
    BLS_KEY_FIELD_NUMBER: _ClassVar[int]
    HPKE_KEY_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_S_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_CID_FIELD_NUMBER: _ClassVar[int]
    TX_KEY_PROOF_FIELD_NUMBER: _ClassVar[int]
    NODE_KEY_PROOF_FIELD_NUMBER: _ClassVar[int]
    BLS_PROOF_FIELD_NUMBER: _ClassVar[int]
    name: str
    roles: _containers.RepeatedScalarFieldContainer[Role]
    tx_key: bytes
    next_key_digest: bytes
    node_key: bytes
    bls_key: bytes
    hpke_key: HpkeKey
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    not_before_s: int
    not_after_s: int
    identity: bytes
    previous_cid: str
    tx_key_proof: bytes
    node_key_proof: bytes
    bls_proof: bytes
    def __init__(self, name: _Optional[str] = ..., roles: _Optional[_Iterable[_Union[Role, str]]] = ..., tx_key: _Optional[bytes] = ..., next_key_digest: _Optional[bytes] = ..., node_key: _Optional[bytes] = ..., bls_key: _Optional[bytes] = ..., hpke_key: _Optional[_Union[HpkeKey, _Mapping]] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., not_before_s: _Optional[int] = ..., not_after_s: _Optional[int] = ..., identity: _Optional[bytes] = ..., previous_cid: _Optional[str] = ..., tx_key_proof: _Optional[bytes] = ..., node_key_proof: _Optional[bytes] = ..., bls_proof: _Optional[bytes] = ...) -> None: ...

class IdentityRecord(_message.Message):
    __slots__ = ("id", "status", "name", "roles", "tx_key", "next_key_digest", "node_key", "bls_key", "document_cid", "not_before_s", "not_after_s", "gateways", "history_count", "founding", "registered_height", "updated_height")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    TX_KEY_FIELD_NUMBER: _ClassVar[int]
    NEXT_KEY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NODE_KEY_FIELD_NUMBER: _ClassVar[int]
    BLS_KEY_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_CID_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_S_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    GATEWAYS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_COUNT_FIELD_NUMBER: _ClassVar[int]
    FOUNDING_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    status: IdentityStatus
    name: str
    roles: _containers.RepeatedScalarFieldContainer[Role]
    tx_key: bytes
    next_key_digest: bytes
    node_key: bytes
    bls_key: bytes
    document_cid: str
    not_before_s: int
    not_after_s: int
    gateways: _containers.RepeatedScalarFieldContainer[str]
    history_count: int
    founding: bool
    registered_height: int
    updated_height: int
    def __init__(self, id: _Optional[bytes] = ..., status: _Optional[_Union[IdentityStatus, str]] = ..., name: _Optional[str] = ..., roles: _Optional[_Iterable[_Union[Role, str]]] = ..., tx_key: _Optional[bytes] = ..., next_key_digest: _Optional[bytes] = ..., node_key: _Optional[bytes] = ..., bls_key: _Optional[bytes] = ..., document_cid: _Optional[str] = ..., not_before_s: _Optional[int] = ..., not_after_s: _Optional[int] = ..., gateways: _Optional[_Iterable[str]] = ..., history_count: _Optional[int] = ..., founding: _Optional[bool] = ..., registered_height: _Optional[int] = ..., updated_height: _Optional[int] = ...) -> None: ...

class IdentityHistory(_message.Message):
    __slots__ = ("change", "height", "tx_hash", "document_cid", "tx_key")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_CID_FIELD_NUMBER: _ClassVar[int]
    TX_KEY_FIELD_NUMBER: _ClassVar[int]
    change: IdentityChange
    height: int
    tx_hash: bytes
    document_cid: str
    tx_key: bytes
    def __init__(self, change: _Optional[_Union[IdentityChange, str]] = ..., height: _Optional[int] = ..., tx_hash: _Optional[bytes] = ..., document_cid: _Optional[str] = ..., tx_key: _Optional[bytes] = ...) -> None: ...

class FiduciaryRecord(_message.Message):
    __slots__ = ("id", "status", "validator_key", "power", "admitted_height", "misbehaviour_count", "key_changed_height", "removed_height")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VALIDATOR_KEY_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MISBEHAVIOUR_COUNT_FIELD_NUMBER: _ClassVar[int]
    KEY_CHANGED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REMOVED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    status: FiduciaryStatus
    validator_key: bytes
    power: int
    admitted_height: int
    misbehaviour_count: int
    key_changed_height: int
    removed_height: int
    def __init__(self, id: _Optional[bytes] = ..., status: _Optional[_Union[FiduciaryStatus, str]] = ..., validator_key: _Optional[bytes] = ..., power: _Optional[int] = ..., admitted_height: _Optional[int] = ..., misbehaviour_count: _Optional[int] = ..., key_changed_height: _Optional[int] = ..., removed_height: _Optional[int] = ...) -> None: ...

class ValidatorChange(_message.Message):
    __slots__ = ("fiduciary", "old_key", "new_key", "power", "height", "tx_hash")
    FIDUCIARY_FIELD_NUMBER: _ClassVar[int]
    OLD_KEY_FIELD_NUMBER: _ClassVar[int]
    NEW_KEY_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    fiduciary: bytes
    old_key: bytes
    new_key: bytes
    power: int
    height: int
    tx_hash: bytes
    def __init__(self, fiduciary: _Optional[bytes] = ..., old_key: _Optional[bytes] = ..., new_key: _Optional[bytes] = ..., power: _Optional[int] = ..., height: _Optional[int] = ..., tx_hash: _Optional[bytes] = ...) -> None: ...
