from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConcernRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONCERN_ROLE_UNSPECIFIED: _ClassVar[ConcernRole]
    CONCERN_ROLE_PRINCIPAL: _ClassVar[ConcernRole]
    CONCERN_ROLE_BENEFICIARY: _ClassVar[ConcernRole]
    CONCERN_ROLE_PARTY: _ClassVar[ConcernRole]
    CONCERN_ROLE_VETOER: _ClassVar[ConcernRole]
    CONCERN_ROLE_RECEIVER: _ClassVar[ConcernRole]
    CONCERN_ROLE_REGISTRAR: _ClassVar[ConcernRole]
    CONCERN_ROLE_SERVER: _ClassVar[ConcernRole]
    CONCERN_ROLE_CEREMONY_PARTY: _ClassVar[ConcernRole]
    CONCERN_ROLE_SUBJECT: _ClassVar[ConcernRole]

class ConcernKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONCERN_KIND_UNSPECIFIED: _ClassVar[ConcernKind]
    CONCERN_KIND_ORDER: _ClassVar[ConcernKind]
    CONCERN_KIND_REQUEST: _ClassVar[ConcernKind]
    CONCERN_KIND_VAULT: _ClassVar[ConcernKind]
    CONCERN_KIND_REALM: _ClassVar[ConcernKind]
    CONCERN_KIND_REALM_SERVER: _ClassVar[ConcernKind]
    CONCERN_KIND_CEREMONY: _ClassVar[ConcernKind]
    CONCERN_KIND_PROPOSAL: _ClassVar[ConcernKind]
CONCERN_ROLE_UNSPECIFIED: ConcernRole
CONCERN_ROLE_PRINCIPAL: ConcernRole
CONCERN_ROLE_BENEFICIARY: ConcernRole
CONCERN_ROLE_PARTY: ConcernRole
CONCERN_ROLE_VETOER: ConcernRole
CONCERN_ROLE_RECEIVER: ConcernRole
CONCERN_ROLE_REGISTRAR: ConcernRole
CONCERN_ROLE_SERVER: ConcernRole
CONCERN_ROLE_CEREMONY_PARTY: ConcernRole
CONCERN_ROLE_SUBJECT: ConcernRole
CONCERN_KIND_UNSPECIFIED: ConcernKind
CONCERN_KIND_ORDER: ConcernKind
CONCERN_KIND_REQUEST: ConcernKind
CONCERN_KIND_VAULT: ConcernKind
CONCERN_KIND_REALM: ConcernKind
CONCERN_KIND_REALM_SERVER: ConcernKind
CONCERN_KIND_CEREMONY: ConcernKind
CONCERN_KIND_PROPOSAL: ConcernKind

class ConcernRecord(_message.Message):
    __slots__ = ("roles", "kind", "subject", "height")
    ROLES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    roles: _containers.RepeatedScalarFieldContainer[ConcernRole]
    kind: ConcernKind
    subject: bytes
    height: int
    def __init__(self, roles: _Optional[_Iterable[_Union[ConcernRole, str]]] = ..., kind: _Optional[_Union[ConcernKind, str]] = ..., subject: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...
