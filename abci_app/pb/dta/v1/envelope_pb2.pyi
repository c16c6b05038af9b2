from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnvelopeType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENVELOPE_TYPE_UNSPECIFIED: _ClassVar[EnvelopeType]
    ENVELOPE_TYPE_IDENTITY_DOCUMENT: _ClassVar[EnvelopeType]
    ENVELOPE_TYPE_RECORD: _ClassVar[EnvelopeType]
    ENVELOPE_TYPE_ORDER: _ClassVar[EnvelopeType]
    ENVELOPE_TYPE_REQUEST_KEYS: _ClassVar[EnvelopeType]
    ENVELOPE_TYPE_IDENTITY_SEALED: _ClassVar[EnvelopeType]
ENVELOPE_TYPE_UNSPECIFIED: EnvelopeType
ENVELOPE_TYPE_IDENTITY_DOCUMENT: EnvelopeType
ENVELOPE_TYPE_RECORD: EnvelopeType
ENVELOPE_TYPE_ORDER: EnvelopeType
ENVELOPE_TYPE_REQUEST_KEYS: EnvelopeType
ENVELOPE_TYPE_IDENTITY_SEALED: EnvelopeType

class Recipient(_message.Message):
    __slots__ = ("identity", "key_digest", "sealed")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    KEY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    key_digest: bytes
    sealed: bytes
    def __init__(self, identity: _Optional[bytes] = ..., key_digest: _Optional[bytes] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class EnvelopeHeader(_message.Message):
    __slots__ = ("version", "type", "sender", "time_s", "previous_cid", "recipients", "context")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_CID_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    version: int
    type: EnvelopeType
    sender: bytes
    time_s: int
    previous_cid: str
    recipients: _containers.RepeatedCompositeFieldContainer[Recipient]
    context: bytes
    def __init__(self, version: _Optional[int] = ..., type: _Optional[_Union[EnvelopeType, str]] = ..., sender: _Optional[bytes] = ..., time_s: _Optional[int] = ..., previous_cid: _Optional[str] = ..., recipients: _Optional[_Iterable[_Union[Recipient, _Mapping]]] = ..., context: _Optional[bytes] = ...) -> None: ...

class Envelope(_message.Message):
    __slots__ = ("header", "body", "signers", "signature")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    body: bytes
    signers: _containers.RepeatedScalarFieldContainer[bytes]
    signature: bytes
    def __init__(self, header: _Optional[bytes] = ..., body: _Optional[bytes] = ..., signers: _Optional[_Iterable[bytes]] = ..., signature: _Optional[bytes] = ...) -> None: ...
