from abci_app.pb.dta.v1 import identity_pb2 as _identity_pb2
from abci_app.pb.dta.v1 import custody_pb2 as _custody_pb2
from abci_app.pb.dta.v1 import governance_pb2 as _governance_pb2
from abci_app.pb.dta.v1 import authority_pb2 as _authority_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as _extraction_pb2
from abci_app.pb.dta.v1 import mfa_pb2 as _mfa_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignedTx(_message.Message):
    __slots__ = ("body", "signer", "signature")
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    signer: bytes
    signature: bytes
    def __init__(self, body: _Optional[bytes] = ..., signer: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class TxBody(_message.Message):
    __slots__ = ("chain_id", "expires_at_height", "salt", "made_at_height", "register_identity", "rotate_identity", "suspend_identity", "revoke_identity", "rotate_validator_key", "open_vault", "publish_vault_key", "close_vault", "cancel_close_vault", "confirm_vault_erased", "place_order", "fulfil_order", "reject_order", "request_secret", "approve_request", "veto_request", "fulfil_secret", "report_share", "close_order", "propose", "vote", "withdraw_proposal", "consent_ceremony", "accept_ceremony", "deal_shares", "dispute_dealings", "confirm_share", "submit_partials", "submit_unblinded", "place_signing_order", "register_server", "remove_server", "enrol_clients", "reenrol_clients", "request_server_secret", "issue_permits", "revoke_client", "submit_results")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REGISTER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    ROTATE_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    REVOKE_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    ROTATE_VALIDATOR_KEY_FIELD_NUMBER: _ClassVar[int]
    OPEN_VAULT_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_VAULT_KEY_FIELD_NUMBER: _ClassVar[int]
    CLOSE_VAULT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_CLOSE_VAULT_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_VAULT_ERASED_FIELD_NUMBER: _ClassVar[int]
    PLACE_ORDER_FIELD_NUMBER: _ClassVar[int]
    FULFIL_ORDER_FIELD_NUMBER: _ClassVar[int]
    REJECT_ORDER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SECRET_FIELD_NUMBER: _ClassVar[int]
    APPROVE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    VETO_REQUEST_FIELD_NUMBER: _ClassVar[int]
    FULFIL_SECRET_FIELD_NUMBER: _ClassVar[int]
    REPORT_SHARE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_ORDER_FIELD_NUMBER: _ClassVar[int]
    PROPOSE_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    CONSENT_CEREMONY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_CEREMONY_FIELD_NUMBER: _ClassVar[int]
    DEAL_SHARES_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_DEALINGS_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_SHARE_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_PARTIALS_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_UNBLINDED_FIELD_NUMBER: _ClassVar[int]
    PLACE_SIGNING_ORDER_FIELD_NUMBER: _ClassVar[int]
    REGISTER_SERVER_FIELD_NUMBER: _ClassVar[int]
    REMOVE_SERVER_FIELD_NUMBER: _ClassVar[int]
    ENROL_CLIENTS_FIELD_NUMBER: _ClassVar[int]
    REENROL_CLIENTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SERVER_SECRET_FIELD_NUMBER: _ClassVar[int]
    ISSUE_PERMITS_FIELD_NUMBER: _ClassVar[int]
    REVOKE_CLIENT_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_RESULTS_FIELD_NUMBER: _ClassVar[int]
    chain_id: str
    expires_at_height: int
    salt: bytes
    made_at_height: int
    register_identity: RegisterIdentity
    rotate_identity: RotateIdentity
    suspend_identity: SuspendIdentity
    revoke_identity: RevokeIdentity
    rotate_validator_key: RotateValidatorKey
    open_vault: OpenVault
    publish_vault_key: PublishVaultKey
    close_vault: CloseVault
    cancel_close_vault: CancelCloseVault
    confirm_vault_erased: ConfirmVaultErased
    place_order: PlaceOrder
    fulfil_order: FulfilOrder
    reject_order: RejectOrder
    request_secret: RequestSecret
    approve_request: ApproveRequest
    veto_request: VetoRequest
    fulfil_secret: FulfilSecret
    report_share: ReportShare
    close_order: CloseOrder
    propose: _governance_pb2.Propose
    vote: _governance_pb2.Vote
    withdraw_proposal: _governance_pb2.WithdrawProposal
    consent_ceremony: _authority_pb2.ConsentCeremony
    accept_ceremony: _authority_pb2.AcceptCeremony
    deal_shares: _authority_pb2.DealShares
    dispute_dealings: _authority_pb2.DisputeDealings
    confirm_share: _authority_pb2.ConfirmShare
    submit_partials: _extraction_pb2.SubmitPartials
    submit_unblinded: _extraction_pb2.SubmitUnblinded
    place_signing_order: _extraction_pb2.PlaceSigningOrder
    register_server: _mfa_pb2.RegisterServer
    remove_server: _mfa_pb2.RemoveServer
    enrol_clients: _mfa_pb2.EnrolClients
    reenrol_clients: _mfa_pb2.ReenrolClients
    request_server_secret: _mfa_pb2.RequestServerSecret
    issue_permits: _mfa_pb2.IssuePermits
    revoke_client: _mfa_pb2.RevokeClient
    submit_results: SubmitResults
    def __init__(self, chain_id: _Optional[str] = ..., expires_at_height: _Optional[int] = ..., salt: _Optional[bytes] = ..., made_at_height: _Optional[int] = ..., register_identity: _Optional[_Union[RegisterIdentity, _Mapping]] = ..., rotate_identity: _Optional[_Union[RotateIdentity, _Mapping]] = ..., suspend_identity: _Optional[_Union[SuspendIdentity, _Mapping]] = ..., revoke_identity: _Optional[_Union[RevokeIdentity, _Mapping]] = ..., rotate_validator_key: _Optional[_Union[RotateValidatorKey, _Mapping]] = ..., open_vault: _Optional[_Union[OpenVault, _Mapping]] = ..., publish_vault_key: _Optional[_Union[PublishVaultKey, _Mapping]] = ..., close_vault: _Optional[_Union[CloseVault, _Mapping]] = ..., cancel_close_vault: _Optional[_Union[CancelCloseVault, _Mapping]] = ..., confirm_vault_erased: _Optional[_Union[ConfirmVaultErased, _Mapping]] = ..., place_order: _Optional[_Union[PlaceOrder, _Mapping]] = ..., fulfil_order: _Optional[_Union[FulfilOrder, _Mapping]] = ..., reject_order: _Optional[_Union[RejectOrder, _Mapping]] = ..., request_secret: _Optional[_Union[RequestSecret, _Mapping]] = ..., approve_request: _Optional[_Union[ApproveRequest, _Mapping]] = ..., veto_request: _Optional[_Union[VetoRequest, _Mapping]] = ..., fulfil_secret: _Optional[_Union[FulfilSecret, _Mapping]] = ..., report_share: _Optional[_Union[ReportShare, _Mapping]] = ..., close_order: _Optional[_Union[CloseOrder, _Mapping]] = ..., propose: _Optional[_Union[_governance_pb2.Propose, _Mapping]] = ..., vote: _Optional[_Union[_governance_pb2.Vote, _Mapping]] = ..., withdraw_proposal: _Optional[_Union[_governance_pb2.WithdrawProposal, _Mapping]] = ..., consent_ceremony: _Optional[_Union[_authority_pb2.ConsentCeremony, _Mapping]] = ..., accept_ceremony: _Optional[_Union[_authority_pb2.AcceptCeremony, _Mapping]] = ..., deal_shares: _Optional[_Union[_authority_pb2.DealShares, _Mapping]] = ..., dispute_dealings: _Optional[_Union[_authority_pb2.DisputeDealings, _Mapping]] = ..., confirm_share: _Optional[_Union[_authority_pb2.ConfirmShare, _Mapping]] = ..., submit_partials: _Optional[_Union[_extraction_pb2.SubmitPartials, _Mapping]] = ..., submit_unblinded: _Optional[_Union[_extraction_pb2.SubmitUnblinded, _Mapping]] = ..., place_signing_order: _Optional[_Union[_extraction_pb2.PlaceSigningOrder, _Mapping]] = ..., register_server: _Optional[_Union[_mfa_pb2.RegisterServer, _Mapping]] = ..., remove_server: _Optional[_Union[_mfa_pb2.RemoveServer, _Mapping]] = ..., enrol_clients: _Optional[_Union[_mfa_pb2.EnrolClients, _Mapping]] = ..., reenrol_clients: _Optional[_Union[_mfa_pb2.ReenrolClients, _Mapping]] = ..., request_server_secret: _Optional[_Union[_mfa_pb2.RequestServerSecret, _Mapping]] = ..., issue_permits: _Optional[_Union[_mfa_pb2.IssuePermits, _Mapping]] = ..., revoke_client: _Optional[_Union[_mfa_pb2.RevokeClient, _Mapping]] = ..., submit_results: _Optional[_Union[SubmitResults, _Mapping]] = ...) -> None: ...

class SubmitResults(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Result]
    def __init__(self, results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("publish_vault_key", "confirm_vault_erased", "fulfil_order", "reject_order", "fulfil_secret", "accept_ceremony", "deal_shares", "dispute_dealings", "confirm_share", "submit_partials", "submit_unblinded")
    PUBLISH_VAULT_KEY_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_VAULT_ERASED_FIELD_NUMBER: _ClassVar[int]
    FULFIL_ORDER_FIELD_NUMBER: _ClassVar[int]
    REJECT_ORDER_FIELD_NUMBER: _ClassVar[int]
    FULFIL_SECRET_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_CEREMONY_FIELD_NUMBER: _ClassVar[int]
    DEAL_SHARES_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_DEALINGS_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_SHARE_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_PARTIALS_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_UNBLINDED_FIELD_NUMBER: _ClassVar[int]
    publish_vault_key: PublishVaultKey
    confirm_vault_erased: ConfirmVaultErased
    fulfil_order: FulfilOrder
    reject_order: RejectOrder
    fulfil_secret: FulfilSecret
    accept_ceremony: _authority_pb2.AcceptCeremony
    deal_shares: _authority_pb2.DealShares
    dispute_dealings: _authority_pb2.DisputeDealings
    confirm_share: _authority_pb2.ConfirmShare
    submit_partials: _extraction_pb2.SubmitPartials
    submit_unblinded: _extraction_pb2.SubmitUnblinded
    def __init__(self, publish_vault_key: _Optional[_Union[PublishVaultKey, _Mapping]] = ..., confirm_vault_erased: _Optional[_Union[ConfirmVaultErased, _Mapping]] = ..., fulfil_order: _Optional[_Union[FulfilOrder, _Mapping]] = ..., reject_order: _Optional[_Union[RejectOrder, _Mapping]] = ..., fulfil_secret: _Optional[_Union[FulfilSecret, _Mapping]] = ..., accept_ceremony: _Optional[_Union[_authority_pb2.AcceptCeremony, _Mapping]] = ..., deal_shares: _Optional[_Union[_authority_pb2.DealShares, _Mapping]] = ..., dispute_dealings: _Optional[_Union[_authority_pb2.DisputeDealings, _Mapping]] = ..., confirm_share: _Optional[_Union[_authority_pb2.ConfirmShare, _Mapping]] = ..., submit_partials: _Optional[_Union[_extraction_pb2.SubmitPartials, _Mapping]] = ..., submit_unblinded: _Optional[_Union[_extraction_pb2.SubmitUnblinded, _Mapping]] = ...) -> None: ...

class ResultOutcomes(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[ResultOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[ResultOutcome, _Mapping]]] = ...) -> None: ...

class ResultOutcome(_message.Message):
    __slots__ = ("kind", "subject", "code", "data")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    kind: int
    subject: bytes
    code: int
    data: bytes
    def __init__(self, kind: _Optional[int] = ..., subject: _Optional[bytes] = ..., code: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class RegisterIdentity(_message.Message):
    __slots__ = ("envelope",)
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    envelope: bytes
    def __init__(self, envelope: _Optional[bytes] = ...) -> None: ...

class RotateIdentity(_message.Message):
    __slots__ = ("envelope",)
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    envelope: bytes
    def __init__(self, envelope: _Optional[bytes] = ...) -> None: ...

class SuspendIdentity(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RevokeIdentity(_message.Message):
    __slots__ = ("next_key",)
    NEXT_KEY_FIELD_NUMBER: _ClassVar[int]
    next_key: bytes
    def __init__(self, next_key: _Optional[bytes] = ...) -> None: ...

class RotateValidatorKey(_message.Message):
    __slots__ = ("key", "proof")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    proof: bytes
    def __init__(self, key: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class OpenVault(_message.Message):
    __slots__ = ("nonce", "custodian", "fiduciaries")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    CUSTODIAN_FIELD_NUMBER: _ClassVar[int]
    FIDUCIARIES_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    custodian: str
    fiduciaries: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, nonce: _Optional[bytes] = ..., custodian: _Optional[str] = ..., fiduciaries: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PublishVaultKey(_message.Message):
    __slots__ = ("vault", "key")
    VAULT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    vault: bytes
    key: _identity_pb2.HpkeKey
    def __init__(self, vault: _Optional[bytes] = ..., key: _Optional[_Union[_identity_pb2.HpkeKey, _Mapping]] = ...) -> None: ...

class CloseVault(_message.Message):
    __slots__ = ("vault",)
    VAULT_FIELD_NUMBER: _ClassVar[int]
    vault: bytes
    def __init__(self, vault: _Optional[bytes] = ...) -> None: ...

class CancelCloseVault(_message.Message):
    __slots__ = ("vault",)
    VAULT_FIELD_NUMBER: _ClassVar[int]
    vault: bytes
    def __init__(self, vault: _Optional[bytes] = ...) -> None: ...

class ConfirmVaultErased(_message.Message):
    __slots__ = ("vault",)
    VAULT_FIELD_NUMBER: _ClassVar[int]
    vault: bytes
    def __init__(self, vault: _Optional[bytes] = ...) -> None: ...

class PlaceOrder(_message.Message):
    __slots__ = ("nonce", "custodian", "vault", "fiduciaries", "threshold", "share_commitments", "key_commitment", "envelope_cid", "policy", "rule", "expires_at_time_s", "expires_at_height", "authority")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    CUSTODIAN_FIELD_NUMBER: _ClassVar[int]
    VAULT_FIELD_NUMBER: _ClassVar[int]
    FIDUCIARIES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SHARE_COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    KEY_COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_CID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_TIME_S_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    custodian: str
    vault: bytes
    fiduciaries: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    share_commitments: _containers.RepeatedScalarFieldContainer[bytes]
    key_commitment: bytes
    envelope_cid: str
    policy: _custody_pb2.Policy
    rule: _custody_pb2.BeneficiaryRule
    expires_at_time_s: int
    expires_at_height: int
    authority: bytes
    def __init__(self, nonce: _Optional[bytes] = ..., custodian: _Optional[str] = ..., vault: _Optional[bytes] = ..., fiduciaries: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ..., share_commitments: _Optional[_Iterable[bytes]] = ..., key_commitment: _Optional[bytes] = ..., envelope_cid: _Optional[str] = ..., policy: _Optional[_Union[_custody_pb2.Policy, _Mapping]] = ..., rule: _Optional[_Union[_custody_pb2.BeneficiaryRule, _Mapping]] = ..., expires_at_time_s: _Optional[int] = ..., expires_at_height: _Optional[int] = ..., authority: _Optional[bytes] = ...) -> None: ...

class FulfilOrder(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    def __init__(self, order: _Optional[bytes] = ...) -> None: ...

class RejectOrder(_message.Message):
    __slots__ = ("order", "rejection")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    rejection: _custody_pb2.Rejection
    def __init__(self, order: _Optional[bytes] = ..., rejection: _Optional[_Union[_custody_pb2.Rejection, str]] = ...) -> None: ...

class RequestSecret(_message.Message):
    __slots__ = ("order", "nonce", "beneficiary", "keys_cid", "key_digests", "authorisation", "transport_key", "possession")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    BENEFICIARY_FIELD_NUMBER: _ClassVar[int]
    KEYS_CID_FIELD_NUMBER: _ClassVar[int]
    KEY_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    AUTHORISATION_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_KEY_FIELD_NUMBER: _ClassVar[int]
    POSSESSION_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    nonce: bytes
    beneficiary: bytes
    keys_cid: str
    key_digests: _containers.RepeatedScalarFieldContainer[bytes]
    authorisation: bytes
    transport_key: bytes
    possession: bytes
    def __init__(self, order: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., beneficiary: _Optional[bytes] = ..., keys_cid: _Optional[str] = ..., key_digests: _Optional[_Iterable[bytes]] = ..., authorisation: _Optional[bytes] = ..., transport_key: _Optional[bytes] = ..., possession: _Optional[bytes] = ...) -> None: ...

class ApproveRequest(_message.Message):
    __slots__ = ("request", "content_digest")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    content_digest: bytes
    def __init__(self, request: _Optional[bytes] = ..., content_digest: _Optional[bytes] = ...) -> None: ...

class VetoRequest(_message.Message):
    __slots__ = ("request", "content_digest")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    content_digest: bytes
    def __init__(self, request: _Optional[bytes] = ..., content_digest: _Optional[bytes] = ...) -> None: ...

class FulfilSecret(_message.Message):
    __slots__ = ("request", "sealed", "partial", "epoch")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    sealed: bytes
    partial: _extraction_pb2.BlindedPartial
    epoch: int
    def __init__(self, request: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., partial: _Optional[_Union[_extraction_pb2.BlindedPartial, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class ReportShare(_message.Message):
    __slots__ = ("request", "fiduciary", "mlkem768_seed", "x25519_private")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    FIDUCIARY_FIELD_NUMBER: _ClassVar[int]
    MLKEM768_SEED_FIELD_NUMBER: _ClassVar[int]
    X25519_PRIVATE_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    fiduciary: bytes
    mlkem768_seed: bytes
    x25519_private: bytes
    def __init__(self, request: _Optional[bytes] = ..., fiduciary: _Optional[bytes] = ..., mlkem768_seed: _Optional[bytes] = ..., x25519_private: _Optional[bytes] = ...) -> None: ...

class CloseOrder(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    def __init__(self, order: _Optional[bytes] = ...) -> None: ...
