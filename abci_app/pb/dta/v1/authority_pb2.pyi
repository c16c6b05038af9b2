from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_MFA: _ClassVar[Purpose]
    PURPOSE_CUSTODY: _ClassVar[Purpose]
    PURPOSE_SIGNING: _ClassVar[Purpose]

class AuthorityStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTHORITY_STATUS_UNSPECIFIED: _ClassVar[AuthorityStatus]
    AUTHORITY_STATUS_PENDING: _ClassVar[AuthorityStatus]
    AUTHORITY_STATUS_ACTIVE: _ClassVar[AuthorityStatus]
    AUTHORITY_STATUS_FAILED: _ClassVar[AuthorityStatus]
    AUTHORITY_STATUS_RETIRED: _ClassVar[AuthorityStatus]
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_MFA: Purpose
PURPOSE_CUSTODY: Purpose
PURPOSE_SIGNING: Purpose
AUTHORITY_STATUS_UNSPECIFIED: AuthorityStatus
AUTHORITY_STATUS_PENDING: AuthorityStatus
AUTHORITY_STATUS_ACTIVE: AuthorityStatus
AUTHORITY_STATUS_FAILED: AuthorityStatus
AUTHORITY_STATUS_RETIRED: AuthorityStatus

class AuthorityRecord(_message.Message):
    __slots__ = ("id", "purpose", "status", "name", "public_key_g1", "public_key_g2", "epoch", "ceremony", "realm", "refresh_interval_blocks", "created_height", "attempts", "refresh_height", "last_ceremony")
    ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_G1_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_G2_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    REALM_FIELD_NUMBER: _ClassVar[int]
    REFRESH_INTERVAL_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    CREATED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    REFRESH_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LAST_CEREMONY_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    purpose: Purpose
    status: AuthorityStatus
    name: str
    public_key_g1: bytes
    public_key_g2: bytes
    epoch: int
    ceremony: bytes
    realm: bytes
    refresh_interval_blocks: int
    created_height: int
    attempts: int
    refresh_height: int
    last_ceremony: bytes
    def __init__(self, id: _Optional[bytes] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., status: _Optional[_Union[AuthorityStatus, str]] = ..., name: _Optional[str] = ..., public_key_g1: _Optional[bytes] = ..., public_key_g2: _Optional[bytes] = ..., epoch: _Optional[int] = ..., ceremony: _Optional[bytes] = ..., realm: _Optional[bytes] = ..., refresh_interval_blocks: _Optional[int] = ..., created_height: _Optional[int] = ..., attempts: _Optional[int] = ..., refresh_height: _Optional[int] = ..., last_ceremony: _Optional[bytes] = ...) -> None: ...

class EpochRecord(_message.Message):
    __slots__ = ("authority", "epoch", "threshold", "members", "record_digest", "active_height", "confirmations", "ceremony", "replaced_height")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    RECORD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    REPLACED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    epoch: int
    threshold: int
    members: int
    record_digest: bytes
    active_height: int
    confirmations: int
    ceremony: bytes
    replaced_height: int
    def __init__(self, authority: _Optional[bytes] = ..., epoch: _Optional[int] = ..., threshold: _Optional[int] = ..., members: _Optional[int] = ..., record_digest: _Optional[bytes] = ..., active_height: _Optional[int] = ..., confirmations: _Optional[int] = ..., ceremony: _Optional[bytes] = ..., replaced_height: _Optional[int] = ...) -> None: ...

class MemberRecord(_message.Message):
    __slots__ = ("fiduciary", "index", "public_share", "confirmed_height")
    FIDUCIARY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_SHARE_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    fiduciary: bytes
    index: int
    public_share: bytes
    confirmed_height: int
    def __init__(self, fiduciary: _Optional[bytes] = ..., index: _Optional[int] = ..., public_share: _Optional[bytes] = ..., confirmed_height: _Optional[int] = ...) -> None: ...
