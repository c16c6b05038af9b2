from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StateRequest(_message.Message):
    __slots__ = ("pin", "get", "index_get", "scan", "index_scan", "prove", "check", "wait")
    PIN_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    INDEX_GET_FIELD_NUMBER: _ClassVar[int]
    SCAN_FIELD_NUMBER: _ClassVar[int]
    INDEX_SCAN_FIELD_NUMBER: _ClassVar[int]
    PROVE_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    pin: StatePin
    get: StateGet
    index_get: StateGet
    scan: StateScan
    index_scan: StateScan
    prove: StateGet
    check: StateCheck
    wait: StateWait
    def __init__(self, pin: _Optional[_Union[StatePin, _Mapping]] = ..., get: _Optional[_Union[StateGet, _Mapping]] = ..., index_get: _Optional[_Union[StateGet, _Mapping]] = ..., scan: _Optional[_Union[StateScan, _Mapping]] = ..., index_scan: _Optional[_Union[StateScan, _Mapping]] = ..., prove: _Optional[_Union[StateGet, _Mapping]] = ..., check: _Optional[_Union[StateCheck, _Mapping]] = ..., wait: _Optional[_Union[StateWait, _Mapping]] = ...) -> None: ...

class StatePin(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StateGet(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    def __init__(self, key: _Optional[bytes] = ...) -> None: ...

class StateCheck(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StateScan(_message.Message):
    __slots__ = ("prefix", "after", "limit")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    prefix: bytes
    after: bytes
    limit: int
    def __init__(self, prefix: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ...) -> None: ...

class StateWait(_message.Message):
    __slots__ = ("after_height", "index_prefixes", "leaf_prefixes", "index_after", "leaves_after")
    AFTER_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INDEX_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    LEAF_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    INDEX_AFTER_FIELD_NUMBER: _ClassVar[int]
    LEAVES_AFTER_FIELD_NUMBER: _ClassVar[int]
    after_height: int
    index_prefixes: _containers.RepeatedScalarFieldContainer[bytes]
    leaf_prefixes: _containers.RepeatedScalarFieldContainer[bytes]
    index_after: bytes
    leaves_after: bytes
    def __init__(self, after_height: _Optional[int] = ..., index_prefixes: _Optional[_Iterable[bytes]] = ..., leaf_prefixes: _Optional[_Iterable[bytes]] = ..., index_after: _Optional[bytes] = ..., leaves_after: _Optional[bytes] = ...) -> None: ...

class StateResponse(_message.Message):
    __slots__ = ("pinned", "value", "entries", "refusal", "proved", "checked", "changed")
    PINNED_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    PROVED_FIELD_NUMBER: _ClassVar[int]
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    pinned: StatePinned
    value: StateValue
    entries: StateEntries
    refusal: StateRefusal
    proved: StateProved
    checked: StateChecked
    changed: StateChanged
    def __init__(self, pinned: _Optional[_Union[StatePinned, _Mapping]] = ..., value: _Optional[_Union[StateValue, _Mapping]] = ..., entries: _Optional[_Union[StateEntries, _Mapping]] = ..., refusal: _Optional[_Union[StateRefusal, _Mapping]] = ..., proved: _Optional[_Union[StateProved, _Mapping]] = ..., checked: _Optional[_Union[StateChecked, _Mapping]] = ..., changed: _Optional[_Union[StateChanged, _Mapping]] = ...) -> None: ...

class StatePinned(_message.Message):
    __slots__ = ("height", "app_hash", "time_seconds", "time_nanos")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    APP_HASH_FIELD_NUMBER: _ClassVar[int]
    TIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIME_NANOS_FIELD_NUMBER: _ClassVar[int]
    height: int
    app_hash: bytes
    time_seconds: int
    time_nanos: int
    def __init__(self, height: _Optional[int] = ..., app_hash: _Optional[bytes] = ..., time_seconds: _Optional[int] = ..., time_nanos: _Optional[int] = ...) -> None: ...

class StateValue(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    def __init__(self, value: _Optional[bytes] = ...) -> None: ...

class StateProved(_message.Message):
    __slots__ = ("value", "proof")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    proof: bytes
    def __init__(self, value: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class StateChecked(_message.Message):
    __slots__ = ("leaves", "passes", "whole_at_height")
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    WHOLE_AT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    leaves: int
    passes: int
    whole_at_height: int
    def __init__(self, leaves: _Optional[int] = ..., passes: _Optional[int] = ..., whole_at_height: _Optional[int] = ...) -> None: ...

class StateEntry(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class StateEntries(_message.Message):
    __slots__ = ("entries", "more")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[StateEntry]
    more: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[StateEntry, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class StateChanged(_message.Message):
    __slots__ = ("height", "time_seconds", "is_cut", "more", "index", "leaves", "is_part")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    IS_PART_FIELD_NUMBER: _ClassVar[int]
    height: int
    time_seconds: int
    is_cut: bool
    more: bool
    index: _containers.RepeatedCompositeFieldContainer[StateChange]
    leaves: _containers.RepeatedCompositeFieldContainer[StateChange]
    is_part: bool
    def __init__(self, height: _Optional[int] = ..., time_seconds: _Optional[int] = ..., is_cut: _Optional[bool] = ..., more: _Optional[bool] = ..., index: _Optional[_Iterable[_Union[StateChange, _Mapping]]] = ..., leaves: _Optional[_Iterable[_Union[StateChange, _Mapping]]] = ..., is_part: _Optional[bool] = ...) -> None: ...

class StateChange(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class StateRefusal(_message.Message):
    __slots__ = ("reason", "message")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[StateRefusal.Reason]
        REASON_NOT_PINNED: _ClassVar[StateRefusal.Reason]
        REASON_MALFORMED: _ClassVar[StateRefusal.Reason]
    REASON_UNSPECIFIED: StateRefusal.Reason
    REASON_NOT_PINNED: StateRefusal.Reason
    REASON_MALFORMED: StateRefusal.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: StateRefusal.Reason
    message: str
    def __init__(self, reason: _Optional[_Union[StateRefusal.Reason, str]] = ..., message: _Optional[str] = ...) -> None: ...
