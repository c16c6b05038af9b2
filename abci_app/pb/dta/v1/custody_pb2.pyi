from abci_app.pb.dta.v1 import identity_pb2 as _identity_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VaultStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VAULT_STATUS_UNSPECIFIED: _ClassVar[VaultStatus]
    VAULT_STATUS_OPEN: _ClassVar[VaultStatus]
    VAULT_STATUS_CLOSING: _ClassVar[VaultStatus]
    VAULT_STATUS_CLOSED: _ClassVar[VaultStatus]

class OrderStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_STATUS_UNSPECIFIED: _ClassVar[OrderStatus]
    ORDER_STATUS_PLACED: _ClassVar[OrderStatus]
    ORDER_STATUS_ACTIVE: _ClassVar[OrderStatus]
    ORDER_STATUS_CLOSED: _ClassVar[OrderStatus]
    ORDER_STATUS_EXPIRED: _ClassVar[OrderStatus]
    ORDER_STATUS_FAILED: _ClassVar[OrderStatus]

class Rejection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REJECTION_UNSPECIFIED: _ClassVar[Rejection]
    REJECTION_ENVELOPE_UNAVAILABLE: _ClassVar[Rejection]
    REJECTION_ENVELOPE_MALFORMED: _ClassVar[Rejection]
    REJECTION_ENVELOPE_SIGNATURE: _ClassVar[Rejection]
    REJECTION_NOT_A_RECIPIENT: _ClassVar[Rejection]
    REJECTION_SHARE_UNREADABLE: _ClassVar[Rejection]
    REJECTION_SHARE_COMMITMENT: _ClassVar[Rejection]
    REJECTION_CUSTODIAN_REFUSED: _ClassVar[Rejection]
    REJECTION_ENVELOPE_TOO_LARGE: _ClassVar[Rejection]

class ReleaseStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_STAGE_UNSPECIFIED: _ClassVar[ReleaseStage]
    RELEASE_STAGE_VETO_TIME: _ClassVar[ReleaseStage]
    RELEASE_STAGE_VETO_HEIGHT: _ClassVar[ReleaseStage]
    RELEASE_STAGE_QUEUED: _ClassVar[ReleaseStage]
    RELEASE_STAGE_RELEASED: _ClassVar[ReleaseStage]

class RequestStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REQUEST_STATUS_UNSPECIFIED: _ClassVar[RequestStatus]
    REQUEST_STATUS_PENDING: _ClassVar[RequestStatus]
    REQUEST_STATUS_GRANTED: _ClassVar[RequestStatus]
    REQUEST_STATUS_COMPLETED: _ClassVar[RequestStatus]
    REQUEST_STATUS_VETOED: _ClassVar[RequestStatus]
    REQUEST_STATUS_EXPIRED: _ClassVar[RequestStatus]
    REQUEST_STATUS_CANCELLED: _ClassVar[RequestStatus]
VAULT_STATUS_UNSPECIFIED: VaultStatus
VAULT_STATUS_OPEN: VaultStatus
VAULT_STATUS_CLOSING: VaultStatus
VAULT_STATUS_CLOSED: VaultStatus
ORDER_STATUS_UNSPECIFIED: OrderStatus
ORDER_STATUS_PLACED: OrderStatus
ORDER_STATUS_ACTIVE: OrderStatus
ORDER_STATUS_CLOSED: OrderStatus
ORDER_STATUS_EXPIRED: OrderStatus
ORDER_STATUS_FAILED: OrderStatus
REJECTION_UNSPECIFIED: Rejection
REJECTION_ENVELOPE_UNAVAILABLE: Rejection
REJECTION_ENVELOPE_MALFORMED: Rejection
REJECTION_ENVELOPE_SIGNATURE: Rejection
REJECTION_NOT_A_RECIPIENT: Rejection
REJECTION_SHARE_UNREADABLE: Rejection
REJECTION_SHARE_COMMITMENT: Rejection
REJECTION_CUSTODIAN_REFUSED: Rejection
REJECTION_ENVELOPE_TOO_LARGE: Rejection
RELEASE_STAGE_UNSPECIFIED: ReleaseStage
RELEASE_STAGE_VETO_TIME: ReleaseStage
RELEASE_STAGE_VETO_HEIGHT: ReleaseStage
RELEASE_STAGE_QUEUED: ReleaseStage
RELEASE_STAGE_RELEASED: ReleaseStage
REQUEST_STATUS_UNSPECIFIED: RequestStatus
REQUEST_STATUS_PENDING: RequestStatus
REQUEST_STATUS_GRANTED: RequestStatus
REQUEST_STATUS_COMPLETED: RequestStatus
REQUEST_STATUS_VETOED: RequestStatus
REQUEST_STATUS_EXPIRED: RequestStatus
REQUEST_STATUS_CANCELLED: RequestStatus

class PolicyNode(_message.Message):
    __slots__ = ("identity", "threshold", "children", "group")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    threshold: int
    children: _containers.RepeatedScalarFieldContainer[int]
    group: str
    def __init__(self, identity: _Optional[bytes] = ..., threshold: _Optional[int] = ..., children: _Optional[_Iterable[int]] = ..., group: _Optional[str] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("nodes", "not_before_s", "not_after_s", "veto_window_s", "vetoers")
    NODES_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_S_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    VETO_WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    VETOERS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[PolicyNode]
    not_before_s: int
    not_after_s: int
    veto_window_s: int
    vetoers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, nodes: _Optional[_Iterable[_Union[PolicyNode, _Mapping]]] = ..., not_before_s: _Optional[int] = ..., not_after_s: _Optional[int] = ..., veto_window_s: _Optional[int] = ..., vetoers: _Optional[_Iterable[bytes]] = ...) -> None: ...

class BeneficiaryRule(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    def __init__(self, identity: _Optional[bytes] = ...) -> None: ...

class VaultRecord(_message.Message):
    __slots__ = ("id", "principal", "custodian", "fiduciaries", "status", "published", "erased", "opened_height", "opened_tx", "closes_at_time_s", "closes_at_height", "closing_height", "closing_tx", "closed_height", "waits_for_height")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    CUSTODIAN_FIELD_NUMBER: _ClassVar[int]
    FIDUCIARIES_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    OPENED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    OPENED_TX_FIELD_NUMBER: _ClassVar[int]
    CLOSES_AT_TIME_S_FIELD_NUMBER: _ClassVar[int]
    CLOSES_AT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CLOSING_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CLOSING_TX_FIELD_NUMBER: _ClassVar[int]
    CLOSED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    principal: bytes
    custodian: str
    fiduciaries: _containers.RepeatedScalarFieldContainer[bytes]
    status: VaultStatus
    published: int
    erased: int
    opened_height: int
    opened_tx: bytes
    closes_at_time_s: int
    closes_at_height: int
    closing_height: int
    closing_tx: bytes
    closed_height: int
    waits_for_height: bool
    def __init__(self, id: _Optional[bytes] = ..., principal: _Optional[bytes] = ..., custodian: _Optional[str] = ..., fiduciaries: _Optional[_Iterable[bytes]] = ..., status: _Optional[_Union[VaultStatus, str]] = ..., published: _Optional[int] = ..., erased: _Optional[int] = ..., opened_height: _Optional[int] = ..., opened_tx: _Optional[bytes] = ..., closes_at_time_s: _Optional[int] = ..., closes_at_height: _Optional[int] = ..., closing_height: _Optional[int] = ..., closing_tx: _Optional[bytes] = ..., closed_height: _Optional[int] = ..., waits_for_height: _Optional[bool] = ...) -> None: ...

class VaultKeyRecord(_message.Message):
    __slots__ = ("key", "published_height", "published_tx", "erased_height", "erased_tx", "published_tx_item", "erased_tx_item", "published_by", "keystore_replaced")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_TX_FIELD_NUMBER: _ClassVar[int]
    ERASED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ERASED_TX_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    ERASED_TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_BY_FIELD_NUMBER: _ClassVar[int]
    KEYSTORE_REPLACED_FIELD_NUMBER: _ClassVar[int]
    key: _identity_pb2.HpkeKey
    published_height: int
    published_tx: bytes
    erased_height: int
    erased_tx: bytes
    published_tx_item: int
    erased_tx_item: int
    published_by: bytes
    keystore_replaced: bool
    def __init__(self, key: _Optional[_Union[_identity_pb2.HpkeKey, _Mapping]] = ..., published_height: _Optional[int] = ..., published_tx: _Optional[bytes] = ..., erased_height: _Optional[int] = ..., erased_tx: _Optional[bytes] = ..., published_tx_item: _Optional[int] = ..., erased_tx_item: _Optional[int] = ..., published_by: _Optional[bytes] = ..., keystore_replaced: _Optional[bool] = ...) -> None: ...

class OrderRecord(_message.Message):
    __slots__ = ("id", "principal", "custodian", "vault", "fiduciaries", "threshold", "share_commitments", "key_commitment", "envelope_cid", "salt", "policy", "rule", "status", "fulfilled", "rejected", "expires_at_time_s", "expires_at_height", "placed_height", "placed_time_s", "placed_tx", "active_height", "ended_height", "ended_tx", "open_requests", "granted_requests", "authority", "identity", "requests", "completed_requests", "vetoed_requests", "expired_requests", "cancelled_requests", "answers", "answerers", "answer_threshold", "first_answer_height", "ended_tx_item")
    ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    CUSTODIAN_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    FIDUCIARIES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SHARE_COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    KEY_COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_CID_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FULFILLED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_TIME_S_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PLACED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PLACED_TIME_S_FIELD_NUMBER: _ClassVar[int]
    PLACED_TX_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENDED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENDED_TX_FIELD_NUMBER: _ClassVar[int]
    OPEN_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    VETOED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    ANSWERERS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    FIRST_ANSWER_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENDED_TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    principal: bytes
    custodian: str
    vault: bytes
    fiduciaries: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    share_commitments: _containers.RepeatedScalarFieldContainer[bytes]
    key_commitment: bytes
    envelope_cid: str
    salt: bytes
    policy: Policy
    rule: BeneficiaryRule
    status: OrderStatus
    fulfilled: int
    rejected: int
    expires_at_time_s: int
    expires_at_height: int
    placed_height: int
    placed_time_s: int
    placed_tx: bytes
    active_height: int
    ended_height: int
    ended_tx: bytes
    open_requests: int
    granted_requests: int
    authority: bytes
    identity: bytes
    requests: int
    completed_requests: int
    vetoed_requests: int
    expired_requests: int
    cancelled_requests: int
    answers: int
    answerers: int
    answer_threshold: int
    first_answer_height: int
    ended_tx_item: int
    def __init__(self, id: _Optional[bytes] = ..., principal: _Optional[bytes] = ..., custodian: _Optional[str] = ..., vault: _Optional[bytes] = ..., fiduciaries: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ..., share_commitments: _Optional[_Iterable[bytes]] = ..., key_commitment: _Optional[bytes] = ..., envelope_cid: _Optional[str] = ..., salt: _Optional[bytes] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., rule: _Optional[_Union[BeneficiaryRule, _Mapping]] = ..., status: _Optional[_Union[OrderStatus, str]] = ..., fulfilled: _Optional[int] = ..., rejected: _Optional[int] = ..., expires_at_time_s: _Optional[int] = ..., expires_at_height: _Optional[int] = ..., placed_height: _Optional[int] = ..., placed_time_s: _Optional[int] = ..., placed_tx: _Optional[bytes] = ..., active_height: _Optional[int] = ..., ended_height: _Optional[int] = ..., ended_tx: _Optional[bytes] = ..., open_requests: _Optional[int] = ..., granted_requests: _Optional[int] = ..., authority: _Optional[bytes] = ..., identity: _Optional[bytes] = ..., requests: _Optional[int] = ..., completed_requests: _Optional[int] = ..., vetoed_requests: _Optional[int] = ..., expired_requests: _Optional[int] = ..., cancelled_requests: _Optional[int] = ..., answers: _Optional[int] = ..., answerers: _Optional[int] = ..., answer_threshold: _Optional[int] = ..., first_answer_height: _Optional[int] = ..., ended_tx_item: _Optional[int] = ...) -> None: ...

class FulfilmentRecord(_message.Message):
    __slots__ = ("rejection", "height", "tx_hash", "tx_item")
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    rejection: Rejection
    height: int
    tx_hash: bytes
    tx_item: int
    def __init__(self, rejection: _Optional[_Union[Rejection, str]] = ..., height: _Optional[int] = ..., tx_hash: _Optional[bytes] = ..., tx_item: _Optional[int] = ...) -> None: ...

class RequestRecord(_message.Message):
    __slots__ = ("id", "order", "beneficiary", "keys_cid", "key_digests", "content_digest", "status", "requested_height", "requested_time_s", "requested_tx", "deadline_time_s", "granted_height", "granted_tx", "release_time_s", "release_height", "answers", "bad_answers", "ended_height", "ended_tx", "settled_height", "transport_key", "number", "requester_key", "ended_tx_item", "stage", "released_height")
    ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    BENEFICIARY_FIELD_NUMBER: _ClassVar[int]
    KEYS_CID_FIELD_NUMBER: _ClassVar[int]
    KEY_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_TIME_S_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_TX_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_S_FIELD_NUMBER: _ClassVar[int]
    GRANTED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    GRANTED_TX_FIELD_NUMBER: _ClassVar[int]
    RELEASE_TIME_S_FIELD_NUMBER: _ClassVar[int]
    RELEASE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    BAD_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    ENDED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENDED_TX_FIELD_NUMBER: _ClassVar[int]
    SETTLED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_KEY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_KEY_FIELD_NUMBER: _ClassVar[int]
    ENDED_TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    RELEASED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    order: bytes
    beneficiary: bytes
    keys_cid: str
    key_digests: _containers.RepeatedScalarFieldContainer[bytes]
    content_digest: bytes
    status: RequestStatus
    requested_height: int
    requested_time_s: int
    requested_tx: bytes
    deadline_time_s: int
    granted_height: int
    granted_tx: bytes
    release_time_s: int
    release_height: int
    answers: int
    bad_answers: int
    ended_height: int
    ended_tx: bytes
    settled_height: int
    transport_key: bytes
    number: int
    requester_key: bytes
    ended_tx_item: int
    stage: ReleaseStage
    released_height: int
    def __init__(self, id: _Optional[bytes] = ..., order: _Optional[bytes] = ..., beneficiary: _Optional[bytes] = ..., keys_cid: _Optional[str] = ..., key_digests: _Optional[_Iterable[bytes]] = ..., content_digest: _Optional[bytes] = ..., status: _Optional[_Union[RequestStatus, str]] = ..., requested_height: _Optional[int] = ..., requested_time_s: _Optional[int] = ..., requested_tx: _Optional[bytes] = ..., deadline_time_s: _Optional[int] = ..., granted_height: _Optional[int] = ..., granted_tx: _Optional[bytes] = ..., release_time_s: _Optional[int] = ..., release_height: _Optional[int] = ..., answers: _Optional[int] = ..., bad_answers: _Optional[int] = ..., ended_height: _Optional[int] = ..., ended_tx: _Optional[bytes] = ..., settled_height: _Optional[int] = ..., transport_key: _Optional[bytes] = ..., number: _Optional[int] = ..., requester_key: _Optional[bytes] = ..., ended_tx_item: _Optional[int] = ..., stage: _Optional[_Union[ReleaseStage, str]] = ..., released_height: _Optional[int] = ...) -> None: ...

class DecisionRecord(_message.Message):
    __slots__ = ("veto", "height", "tx_hash", "approved_height", "approved_tx")
    VETO_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    APPROVED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    APPROVED_TX_FIELD_NUMBER: _ClassVar[int]
    veto: bool
    height: int
    tx_hash: bytes
    approved_height: int
    approved_tx: bytes
    def __init__(self, veto: _Optional[bool] = ..., height: _Optional[int] = ..., tx_hash: _Optional[bytes] = ..., approved_height: _Optional[int] = ..., approved_tx: _Optional[bytes] = ...) -> None: ...

class AnswerRecord(_message.Message):
    __slots__ = ("sealed", "height", "tx_hash", "reported_height", "reported_tx", "tx_item")
    SEALED_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    REPORTED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REPORTED_TX_FIELD_NUMBER: _ClassVar[int]
    TX_ITEM_FIELD_NUMBER: _ClassVar[int]
    sealed: bytes
    height: int
    tx_hash: bytes
    reported_height: int
    reported_tx: bytes
    tx_item: int
    def __init__(self, sealed: _Optional[bytes] = ..., height: _Optional[int] = ..., tx_hash: _Optional[bytes] = ..., reported_height: _Optional[int] = ..., reported_tx: _Optional[bytes] = ..., tx_item: _Optional[int] = ...) -> None: ...

class CounterRecord(_message.Message):
    __slots__ = ("open_orders", "open_vaults", "identity", "concerns", "orders", "vaults", "waiting_requests")
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    OPEN_VAULTS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    CONCERNS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    VAULTS_FIELD_NUMBER: _ClassVar[int]
    WAITING_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    open_orders: int
    open_vaults: int
    identity: bytes
    concerns: int
    orders: int
    vaults: int
    waiting_requests: int
    def __init__(self, open_orders: _Optional[int] = ..., open_vaults: _Optional[int] = ..., identity: _Optional[bytes] = ..., concerns: _Optional[int] = ..., orders: _Optional[int] = ..., vaults: _Optional[int] = ..., waiting_requests: _Optional[int] = ...) -> None: ...

class RequestKeys(_message.Message):
    __slots__ = ("request", "keys")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    keys: _containers.RepeatedCompositeFieldContainer[_identity_pb2.HpkeKey]
    def __init__(self, request: _Optional[bytes] = ..., keys: _Optional[_Iterable[_Union[_identity_pb2.HpkeKey, _Mapping]]] = ...) -> None: ...
