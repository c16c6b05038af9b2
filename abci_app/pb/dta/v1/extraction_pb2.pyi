from abci_app.pb.dta.v1 import custody_pb2 as _custody_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Use(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USE_UNSPECIFIED: _ClassVar[Use]
    USE_CLIENT: _ClassVar[Use]
    USE_SERVER: _ClassVar[Use]
    USE_PERMIT: _ClassVar[Use]
    USE_CUSTODY: _ClassVar[Use]
    USE_SIGN: _ClassVar[Use]

class ExtractionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXTRACTION_STATUS_UNSPECIFIED: _ClassVar[ExtractionStatus]
    EXTRACTION_STATUS_PENDING: _ClassVar[ExtractionStatus]
    EXTRACTION_STATUS_COMPLETED: _ClassVar[ExtractionStatus]
    EXTRACTION_STATUS_EXPIRED: _ClassVar[ExtractionStatus]
    EXTRACTION_STATUS_CANCELLED: _ClassVar[ExtractionStatus]
USE_UNSPECIFIED: Use
USE_CLIENT: Use
USE_SERVER: Use
USE_PERMIT: Use
USE_CUSTODY: Use
USE_SIGN: Use
EXTRACTION_STATUS_UNSPECIFIED: ExtractionStatus
EXTRACTION_STATUS_PENDING: ExtractionStatus
EXTRACTION_STATUS_COMPLETED: ExtractionStatus
EXTRACTION_STATUS_EXPIRED: ExtractionStatus
EXTRACTION_STATUS_CANCELLED: ExtractionStatus

class ExtractionRecord(_message.Message):
    __slots__ = ("id", "authority", "use", "items", "status", "epoch", "threshold", "answers", "requester", "subject", "opened_height", "opened_time_s", "opened_tx", "from_time_s", "from_height", "deadline_time_s", "ended_height", "ended_tx", "restarts", "suite", "answered_epochs", "earlier_answers", "ended_tx_item")
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    OPENED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    OPENED_TIME_S_FIELD_NUMBER: _ClassVar[int]
    OPENED_TX_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_S_FIELD_NUMBER: _ClassVar[int]
    FROM_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_S_FIELD_NUMBER: _ClassVar[int]
    ENDED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENDED_TX_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_EPOCHS_FIELD_NUMBER: _ClassVar[int]
    EARLIER_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    ENDED_TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    authority: bytes
    use: Use
    items: int
    status: ExtractionStatus
    epoch: int
    threshold: int
    answers: int
    requester: bytes
    subject: bytes
    opened_height: int
    opened_time_s: int
    opened_tx: bytes
    from_time_s: int
    from_height: int
    deadline_time_s: int
    ended_height: int
    ended_tx: bytes
    restarts: int
    suite: str
    answered_epochs: int
    earlier_answers: int
    ended_tx_item: int
    def __init__(self, id: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., use: _Optional[_Union[Use, str]] = ..., items: _Optional[int] = ..., status: _Optional[_Union[ExtractionStatus, str]] = ..., epoch: _Optional[int] = ..., threshold: _Optional[int] = ..., answers: _Optional[int] = ..., requester: _Optional[bytes] = ..., subject: _Optional[bytes] = ..., opened_height: _Optional[int] = ..., opened_time_s: _Optional[int] = ..., opened_tx: _Optional[bytes] = ..., from_time_s: _Optional[int] = ..., from_height: _Optional[int] = ..., deadline_time_s: _Optional[int] = ..., ended_height: _Optional[int] = ..., ended_tx: _Optional[bytes] = ..., restarts: _Optional[int] = ..., suite: _Optional[str] = ..., answered_epochs: _Optional[int] = ..., earlier_answers: _Optional[int] = ..., ended_tx_item: _Optional[int] = ...) -> None: ...

class ExtractionItem(_message.Message):
    __slots__ = ("base", "transport", "subject")
    BASE_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    base: bytes
    transport: bytes
    subject: bytes
    def __init__(self, base: _Optional[bytes] = ..., transport: _Optional[bytes] = ..., subject: _Optional[bytes] = ...) -> None: ...

class PartialRecord(_message.Message):
    __slots__ = ("c1", "c3", "share", "proof", "index", "height", "tx_hash", "tx_item")
    C1_FIELD_NUMBER: _ClassVar[int]
    C3_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    c1: bytes
    c3: bytes
    share: bytes
    proof: bytes
    index: int
    height: int
    tx_hash: bytes
    tx_item: int
    def __init__(self, c1: _Optional[bytes] = ..., c3: _Optional[bytes] = ..., share: _Optional[bytes] = ..., proof: _Optional[bytes] = ..., index: _Optional[int] = ..., height: _Optional[int] = ..., tx_hash: _Optional[bytes] = ..., tx_item: _Optional[int] = ...) -> None: ...

class ExtractionLoad(_message.Message):
    __slots__ = ("authority", "open", "last_served")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    LAST_SERVED_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    open: int
    last_served: bytes
    def __init__(self, authority: _Optional[bytes] = ..., open: _Optional[int] = ..., last_served: _Optional[bytes] = ...) -> None: ...

class BlindedPartial(_message.Message):
    __slots__ = ("c1", "c3", "proof")
    C1_FIELD_NUMBER: _ClassVar[int]
    C3_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    c1: bytes
    c3: bytes
    proof: bytes
    def __init__(self, c1: _Optional[bytes] = ..., c3: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class UnblindedPartial(_message.Message):
    __slots__ = ("share", "proof")
    SHARE_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    share: bytes
    proof: bytes
    def __init__(self, share: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class SubmitPartials(_message.Message):
    __slots__ = ("request", "epoch", "partials")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PARTIALS_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    epoch: int
    partials: _containers.RepeatedCompositeFieldContainer[BlindedPartial]
    def __init__(self, request: _Optional[bytes] = ..., epoch: _Optional[int] = ..., partials: _Optional[_Iterable[_Union[BlindedPartial, _Mapping]]] = ...) -> None: ...

class SubmitUnblinded(_message.Message):
    __slots__ = ("request", "epoch", "partials")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PARTIALS_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    epoch: int
    partials: _containers.RepeatedCompositeFieldContainer[UnblindedPartial]
    def __init__(self, request: _Optional[bytes] = ..., epoch: _Optional[int] = ..., partials: _Optional[_Iterable[_Union[UnblindedPartial, _Mapping]]] = ...) -> None: ...

class PlaceSigningOrder(_message.Message):
    __slots__ = ("nonce", "authority", "kind", "message", "digest", "raw", "policy", "names")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    authority: bytes
    kind: str
    message: bytes
    digest: bytes
    raw: bool
    policy: _custody_pb2.Policy
    names: int
    def __init__(self, nonce: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., kind: _Optional[str] = ..., message: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., raw: _Optional[bool] = ..., policy: _Optional[_Union[_custody_pb2.Policy, _Mapping]] = ..., names: _Optional[int] = ...) -> None: ...

class SigningPolicy(_message.Message):
    __slots__ = ("authority", "policy", "raw_allowed", "changed_height")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RAW_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    policy: _custody_pb2.Policy
    raw_allowed: bool
    changed_height: int
    def __init__(self, authority: _Optional[bytes] = ..., policy: _Optional[_Union[_custody_pb2.Policy, _Mapping]] = ..., raw_allowed: _Optional[bool] = ..., changed_height: _Optional[int] = ...) -> None: ...

class SigningRecord(_message.Message):
    __slots__ = ("request", "order", "authority", "kind", "message", "digest", "raw", "signature", "signed_height", "signed_tx", "signed_tx_item")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGNED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIGNED_TX_FIELD_NUMBER: _ClassVar[int]
    SIGNED_TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    order: bytes
    authority: bytes
    kind: str
    message: bytes
    digest: bytes
    raw: bool
    signature: bytes
    signed_height: int
    signed_tx: bytes
    signed_tx_item: int
    def __init__(self, request: _Optional[bytes] = ..., order: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., kind: _Optional[str] = ..., message: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., raw: _Optional[bool] = ..., signature: _Optional[bytes] = ..., signed_height: _Optional[int] = ..., signed_tx: _Optional[bytes] = ..., signed_tx_item: _Optional[int] = ...) -> None: ...

class SetSigningPolicy(_message.Message):
    __slots__ = ("authority", "policy", "raw_allowed")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RAW_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    policy: _custody_pb2.Policy
    raw_allowed: bool
    def __init__(self, authority: _Optional[bytes] = ..., policy: _Optional[_Union[_custody_pb2.Policy, _Mapping]] = ..., raw_allowed: _Optional[bool] = ...) -> None: ...
