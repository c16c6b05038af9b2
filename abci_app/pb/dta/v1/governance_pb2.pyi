from abci_app.pb.dta.v1 import authority_pb2 as _authority_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as _extraction_pb2
from abci_app.pb.dta.v1 import mfa_pb2 as _mfa_pb2
from abci_app.pb.dta.v1 import params_pb2 as _params_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProposalStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROPOSAL_STATUS_UNSPECIFIED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_OPEN: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_PASSED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_EXECUTED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_FAILED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_REJECTED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_EXPIRED: _ClassVar[ProposalStatus]
    PROPOSAL_STATUS_WITHDRAWN: _ClassVar[ProposalStatus]
PROPOSAL_STATUS_UNSPECIFIED: ProposalStatus
PROPOSAL_STATUS_OPEN: ProposalStatus
PROPOSAL_STATUS_PASSED: ProposalStatus
PROPOSAL_STATUS_EXECUTED: ProposalStatus
PROPOSAL_STATUS_FAILED: ProposalStatus
PROPOSAL_STATUS_REJECTED: ProposalStatus
PROPOSAL_STATUS_EXPIRED: ProposalStatus
PROPOSAL_STATUS_WITHDRAWN: ProposalStatus

class Action(_message.Message):
    __slots__ = ("admit_fiduciary", "remove_fiduciary", "change_params", "revoke_identity", "upgrade", "retry_set_aside", "create_authority", "reshare_authority", "set_signing_policy", "create_realm")
    ADMIT_FIDUCIARY_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIDUCIARY_FIELD_NUMBER: _ClassVar[int]
    CHANGE_PARAMS_FIELD_NUMBER: _ClassVar[int]
    REVOKE_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    UPGRADE_FIELD_NUMBER: _ClassVar[int]
    RETRY_SET_ASIDE_FIELD_NUMBER: _ClassVar[int]
    CREATE_AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    RESHARE_AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    SET_SIGNING_POLICY_FIELD_NUMBER: _ClassVar[int]
    CREATE_REALM_FIELD_NUMBER: _ClassVar[int]
    admit_fiduciary: AdmitFiduciary
    remove_fiduciary: RemoveFiduciary
    change_params: ChangeParams
    revoke_identity: RevokeByVote
    upgrade: PlanUpgrade
    retry_set_aside: RetrySetAside
    create_authority: _authority_pb2.CreateAuthority
    reshare_authority: _authority_pb2.ReshareAuthority
    set_signing_policy: _extraction_pb2.SetSigningPolicy
    create_realm: _mfa_pb2.CreateRealm
    def __init__(self, admit_fiduciary: _Optional[_Union[AdmitFiduciary, _Mapping]] = ..., remove_fiduciary: _Optional[_Union[RemoveFiduciary, _Mapping]] = ..., change_params: _Optional[_Union[ChangeParams, _Mapping]] = ..., revoke_identity: _Optional[_Union[RevokeByVote, _Mapping]] = ..., upgrade: _Optional[_Union[PlanUpgrade, _Mapping]] = ..., retry_set_aside: _Optional[_Union[RetrySetAside, _Mapping]] = ..., create_authority: _Optional[_Union[_authority_pb2.CreateAuthority, _Mapping]] = ..., reshare_authority: _Optional[_Union[_authority_pb2.ReshareAuthority, _Mapping]] = ..., set_signing_policy: _Optional[_Union[_extraction_pb2.SetSigningPolicy, _Mapping]] = ..., create_realm: _Optional[_Union[_mfa_pb2.CreateRealm, _Mapping]] = ...) -> None: ...

class RetrySetAside(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AdmitFiduciary(_message.Message):
    __slots__ = ("identity", "validator_key", "proof", "power")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    VALIDATOR_KEY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    validator_key: bytes
    proof: bytes
    power: int
    def __init__(self, identity: _Optional[bytes] = ..., validator_key: _Optional[bytes] = ..., proof: _Optional[bytes] = ..., power: _Optional[int] = ...) -> None: ...

class RemoveFiduciary(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    def __init__(self, identity: _Optional[bytes] = ...) -> None: ...

class ChangeParams(_message.Message):
    __slots__ = ("params", "base_digest")
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    BASE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    params: _params_pb2.Params
    base_digest: bytes
    def __init__(self, params: _Optional[_Union[_params_pb2.Params, _Mapping]] = ..., base_digest: _Optional[bytes] = ...) -> None: ...

class RevokeByVote(_message.Message):
    __slots__ = ("identity",)
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    identity: bytes
    def __init__(self, identity: _Optional[bytes] = ...) -> None: ...

class PlanUpgrade(_message.Message):
    __slots__ = ("height", "protocol_version")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    height: int
    protocol_version: int
    def __init__(self, height: _Optional[int] = ..., protocol_version: _Optional[int] = ...) -> None: ...

class Propose(_message.Message):
    __slots__ = ("nonce", "action")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    action: Action
    def __init__(self, nonce: _Optional[bytes] = ..., action: _Optional[_Union[Action, _Mapping]] = ...) -> None: ...

class Vote(_message.Message):
    __slots__ = ("proposal", "content_digest", "against")
    PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    proposal: bytes
    content_digest: bytes
    against: bool
    def __init__(self, proposal: _Optional[bytes] = ..., content_digest: _Optional[bytes] = ..., against: _Optional[bool] = ...) -> None: ...

class WithdrawProposal(_message.Message):
    __slots__ = ("proposal",)
    PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    proposal: bytes
    def __init__(self, proposal: _Optional[bytes] = ...) -> None: ...

class ProposalRecord(_message.Message):
    __slots__ = ("id", "proposer", "action", "content_digest", "status", "deadline_time_s", "proposed_height", "proposed_time_s", "proposed_tx", "votes", "counted_height", "power_for", "power_against", "power_total", "passed_height", "deciding_tx", "ended_height", "ended_tx", "failure_code", "impact", "deadline_height", "waits_for_height")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_S_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_TIME_S_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_TX_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    COUNTED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    POWER_FOR_FIELD_NUMBER: _ClassVar[int]
    POWER_AGAINST_FIELD_NUMBER: _ClassVar[int]
    POWER_TOTAL_FIELD_NUMBER: _ClassVar[int]
    PASSED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DECIDING_TX_FIELD_NUMBER: _ClassVar[int]
    ENDED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENDED_TX_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CODE_FIELD_NUMBER: _ClassVar[int]
    IMPACT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    proposer: bytes
    action: Action
    content_digest: bytes
    status: ProposalStatus
    deadline_time_s: int
    proposed_height: int
    proposed_time_s: int
    proposed_tx: bytes
    votes: int
    counted_height: int
    power_for: int
    power_against: int
    power_total: int
    passed_height: int
    deciding_tx: bytes
    ended_height: int
    ended_tx: bytes
    failure_code: int
    impact: RemovalImpact
    deadline_height: int
    waits_for_height: bool
    def __init__(self, id: _Optional[bytes] = ..., proposer: _Optional[bytes] = ..., action: _Optional[_Union[Action, _Mapping]] = ..., content_digest: _Optional[bytes] = ..., status: _Optional[_Union[ProposalStatus, str]] = ..., deadline_time_s: _Optional[int] = ..., proposed_height: _Optional[int] = ..., proposed_time_s: _Optional[int] = ..., proposed_tx: _Optional[bytes] = ..., votes: _Optional[int] = ..., counted_height: _Optional[int] = ..., power_for: _Optional[int] = ..., power_against: _Optional[int] = ..., power_total: _Optional[int] = ..., passed_height: _Optional[int] = ..., deciding_tx: _Optional[bytes] = ..., ended_height: _Optional[int] = ..., ended_tx: _Optional[bytes] = ..., failure_code: _Optional[int] = ..., impact: _Optional[_Union[RemovalImpact, _Mapping]] = ..., deadline_height: _Optional[int] = ..., waits_for_height: _Optional[bool] = ...) -> None: ...

class RemovalImpact(_message.Message):
    __slots__ = ("open_orders", "below_threshold", "more")
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    BELOW_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    open_orders: int
    below_threshold: int
    more: bool
    def __init__(self, open_orders: _Optional[int] = ..., below_threshold: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class VoteRecord(_message.Message):
    __slots__ = ("against", "height", "tx_hash")
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_HASH_FIELD_NUMBER: _ClassVar[int]
    against: bool
    height: int
    tx_hash: bytes
    def __init__(self, against: _Optional[bool] = ..., height: _Optional[int] = ..., tx_hash: _Optional[bytes] = ...) -> None: ...

class UpgradeRecord(_message.Message):
    __slots__ = ("height", "protocol_version", "decided_height", "decided_tx", "settled")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DECIDED_TX_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    height: int
    protocol_version: int
    decided_height: int
    decided_tx: bytes
    settled: bool
    def __init__(self, height: _Optional[int] = ..., protocol_version: _Optional[int] = ..., decided_height: _Optional[int] = ..., decided_tx: _Optional[bytes] = ..., settled: _Optional[bool] = ...) -> None: ...

class SetAside(_message.Message):
    __slots__ = ("kind", "subject", "entry", "height", "retries")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    kind: int
    subject: bytes
    entry: bytes
    height: int
    retries: int
    def __init__(self, kind: _Optional[int] = ..., subject: _Optional[bytes] = ..., entry: _Optional[bytes] = ..., height: _Optional[int] = ..., retries: _Optional[int] = ...) -> None: ...
