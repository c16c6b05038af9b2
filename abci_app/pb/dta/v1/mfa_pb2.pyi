from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MfaSuite(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MFA_SUITE_UNSPECIFIED: _ClassVar[MfaSuite]
    MFA_SUITE_RFC9380: _ClassVar[MfaSuite]
    MFA_SUITE_AMCL: _ClassVar[MfaSuite]

class MfaClientStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MFA_CLIENT_STATUS_UNSPECIFIED: _ClassVar[MfaClientStatus]
    MFA_CLIENT_STATUS_ENROLLED: _ClassVar[MfaClientStatus]
    MFA_CLIENT_STATUS_REVOKED: _ClassVar[MfaClientStatus]
MFA_SUITE_UNSPECIFIED: MfaSuite
MFA_SUITE_RFC9380: MfaSuite
MFA_SUITE_AMCL: MfaSuite
MFA_CLIENT_STATUS_UNSPECIFIED: MfaClientStatus
MFA_CLIENT_STATUS_ENROLLED: MfaClientStatus
MFA_CLIENT_STATUS_REVOKED: MfaClientStatus

class RealmTerms(_message.Message):
    __slots__ = ("name", "registrar", "suite", "permits_required", "max_attempts", "lockout_s", "one_pass_max_age_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGISTRAR_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    PERMITS_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LOCKOUT_S_FIELD_NUMBER: _ClassVar[int]
    ONE_PASS_MAX_AGE_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    registrar: bytes
    suite: MfaSuite
    permits_required: bool
    max_attempts: int
    lockout_s: int
    one_pass_max_age_s: int
    def __init__(self, name: _Optional[str] = ..., registrar: _Optional[bytes] = ..., suite: _Optional[_Union[MfaSuite, str]] = ..., permits_required: _Optional[bool] = ..., max_attempts: _Optional[int] = ..., lockout_s: _Optional[int] = ..., one_pass_max_age_s: _Optional[int] = ...) -> None: ...

class RealmRecord(_message.Message):
    __slots__ = ("id", "terms", "authority", "servers", "clients", "created_height", "created_tx")
    ID_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    CREATED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CREATED_TX_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    terms: RealmTerms
    authority: bytes
    servers: _containers.RepeatedScalarFieldContainer[bytes]
    clients: int
    created_height: int
    created_tx: bytes
    def __init__(self, id: _Optional[bytes] = ..., terms: _Optional[_Union[RealmTerms, _Mapping]] = ..., authority: _Optional[bytes] = ..., servers: _Optional[_Iterable[bytes]] = ..., clients: _Optional[int] = ..., created_height: _Optional[int] = ..., created_tx: _Optional[bytes] = ...) -> None: ...

class MfaServerRecord(_message.Message):
    __slots__ = ("realm", "server", "registered_height", "registered_tx", "removed_height", "removed_tx", "requests", "latest_request")
    REALM_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_TX_FIELD_NUMBER: _ClassVar[int]
    REMOVED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REMOVED_TX_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    LATEST_REQUEST_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    server: bytes
    registered_height: int
    registered_tx: bytes
    removed_height: int
    removed_tx: bytes
    requests: int
    latest_request: bytes
    def __init__(self, realm: _Optional[bytes] = ..., server: _Optional[bytes] = ..., registered_height: _Optional[int] = ..., registered_tx: _Optional[bytes] = ..., removed_height: _Optional[int] = ..., removed_tx: _Optional[bytes] = ..., requests: _Optional[int] = ..., latest_request: _Optional[bytes] = ...) -> None: ...

class MfaClientRecord(_message.Message):
    __slots__ = ("realm", "client", "status", "number", "enrolments", "request", "item", "enrolled_height", "enrolled_tx", "revoked_height", "revoked_tx")
    REALM_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ENROLMENTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENROLLED_TX_FIELD_NUMBER: _ClassVar[int]
    REVOKED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_TX_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    client: bytes
    status: MfaClientStatus
    number: int
    enrolments: int
    request: bytes
    item: int
    enrolled_height: int
    enrolled_tx: bytes
    revoked_height: int
    revoked_tx: bytes
    def __init__(self, realm: _Optional[bytes] = ..., client: _Optional[bytes] = ..., status: _Optional[_Union[MfaClientStatus, str]] = ..., number: _Optional[int] = ..., enrolments: _Optional[int] = ..., request: _Optional[bytes] = ..., item: _Optional[int] = ..., enrolled_height: _Optional[int] = ..., enrolled_tx: _Optional[bytes] = ..., revoked_height: _Optional[int] = ..., revoked_tx: _Optional[bytes] = ...) -> None: ...

class MfaClientNumber(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: bytes
    def __init__(self, client: _Optional[bytes] = ...) -> None: ...

class PermitRecord(_message.Message):
    __slots__ = ("request", "item", "height", "tx_hash")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    item: int
    height: int
    tx_hash: bytes
    def __init__(self, request: _Optional[bytes] = ..., item: _Optional[int] = ..., height: _Optional[int] = ..., tx_hash: _Optional[bytes] = ...) -> None: ...

class ClientEnrolment(_message.Message):
    __slots__ = ("client", "nonce", "transport_key", "proof")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_KEY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    client: bytes
    nonce: bytes
    transport_key: bytes
    proof: bytes
    def __init__(self, client: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., transport_key: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class CreateRealm(_message.Message):
    __slots__ = ("terms", "members", "threshold", "refresh_interval_blocks", "nonce")
    TERMS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REFRESH_INTERVAL_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    terms: RealmTerms
    members: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    refresh_interval_blocks: int
    nonce: bytes
    def __init__(self, terms: _Optional[_Union[RealmTerms, _Mapping]] = ..., members: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ..., refresh_interval_blocks: _Optional[int] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class RegisterServer(_message.Message):
    __slots__ = ("realm", "server")
    REALM_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    server: bytes
    def __init__(self, realm: _Optional[bytes] = ..., server: _Optional[bytes] = ...) -> None: ...

class RemoveServer(_message.Message):
    __slots__ = ("realm", "server")
    REALM_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    server: bytes
    def __init__(self, realm: _Optional[bytes] = ..., server: _Optional[bytes] = ...) -> None: ...

class EnrolClients(_message.Message):
    __slots__ = ("realm", "clients", "suite")
    REALM_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    clients: _containers.RepeatedCompositeFieldContainer[ClientEnrolment]
    suite: MfaSuite
    def __init__(self, realm: _Optional[bytes] = ..., clients: _Optional[_Iterable[_Union[ClientEnrolment, _Mapping]]] = ..., suite: _Optional[_Union[MfaSuite, str]] = ...) -> None: ...

class ReenrolClients(_message.Message):
    __slots__ = ("realm", "clients", "suite")
    REALM_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    clients: _containers.RepeatedCompositeFieldContainer[ClientEnrolment]
    suite: MfaSuite
    def __init__(self, realm: _Optional[bytes] = ..., clients: _Optional[_Iterable[_Union[ClientEnrolment, _Mapping]]] = ..., suite: _Optional[_Union[MfaSuite, str]] = ...) -> None: ...

class RequestServerSecret(_message.Message):
    __slots__ = ("realm", "nonce", "transport_key", "proof")
    REALM_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_KEY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    nonce: bytes
    transport_key: bytes
    proof: bytes
    def __init__(self, realm: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., transport_key: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class IssuePermits(_message.Message):
    __slots__ = ("realm", "day", "first", "count", "suite")
    REALM_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    day: int
    first: int
    count: int
    suite: MfaSuite
    def __init__(self, realm: _Optional[bytes] = ..., day: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ..., suite: _Optional[_Union[MfaSuite, str]] = ...) -> None: ...

class RevokeClient(_message.Message):
    __slots__ = ("realm", "client")
    REALM_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    realm: bytes
    client: bytes
    def __init__(self, realm: _Optional[bytes] = ..., client: _Optional[bytes] = ...) -> None: ...
