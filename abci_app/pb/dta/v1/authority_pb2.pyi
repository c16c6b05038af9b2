from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
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

class CeremonyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CEREMONY_KIND_UNSPECIFIED: _ClassVar[CeremonyKind]
    CEREMONY_KIND_KEY: _ClassVar[CeremonyKind]
    CEREMONY_KIND_RESHARE: _ClassVar[CeremonyKind]
    CEREMONY_KIND_REFRESH: _ClassVar[CeremonyKind]

class CeremonyPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CEREMONY_PHASE_UNSPECIFIED: _ClassVar[CeremonyPhase]
    CEREMONY_PHASE_CONSENT: _ClassVar[CeremonyPhase]
    CEREMONY_PHASE_ACCEPT: _ClassVar[CeremonyPhase]
    CEREMONY_PHASE_DEAL: _ClassVar[CeremonyPhase]
    CEREMONY_PHASE_DISPUTE: _ClassVar[CeremonyPhase]
    CEREMONY_PHASE_CONFIRM: _ClassVar[CeremonyPhase]
    CEREMONY_PHASE_DONE: _ClassVar[CeremonyPhase]
    CEREMONY_PHASE_FAILED: _ClassVar[CeremonyPhase]

class Fault(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAULT_NONE: _ClassVar[Fault]
    FAULT_NOT_CONSENTED: _ClassVar[Fault]
    FAULT_DECLINED: _ClassVar[Fault]
    FAULT_SILENT_ACCEPT: _ClassVar[Fault]
    FAULT_SILENT_DEAL: _ClassVar[Fault]
    FAULT_WRONG_SHARE: _ClassVar[Fault]
    FAULT_FALSE_ACCUSATION: _ClassVar[Fault]
    FAULT_SILENT_CONFIRM: _ClassVar[Fault]
    FAULT_NOT_ACTIVE: _ClassVar[Fault]
    FAULT_ZERO_SHARE: _ClassVar[Fault]

class Failure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_NONE: _ClassVar[Failure]
    FAILURE_TOO_FEW_CONSENTED: _ClassVar[Failure]
    FAILURE_TOO_FEW_ACCEPTED: _ClassVar[Failure]
    FAILURE_TOO_FEW_DEALINGS: _ClassVar[Failure]
    FAILURE_TOO_FEW_SEATS: _ClassVar[Failure]
    FAILURE_TOO_FEW_CONFIRMED: _ClassVar[Failure]
    FAILURE_DEGENERATE: _ClassVar[Failure]
    FAILURE_SUPERSEDED: _ClassVar[Failure]
    FAILURE_BROKEN: _ClassVar[Failure]
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_MFA: Purpose
PURPOSE_CUSTODY: Purpose
PURPOSE_SIGNING: Purpose
AUTHORITY_STATUS_UNSPECIFIED: AuthorityStatus
AUTHORITY_STATUS_PENDING: AuthorityStatus
AUTHORITY_STATUS_ACTIVE: AuthorityStatus
AUTHORITY_STATUS_FAILED: AuthorityStatus
AUTHORITY_STATUS_RETIRED: AuthorityStatus
CEREMONY_KIND_UNSPECIFIED: CeremonyKind
CEREMONY_KIND_KEY: CeremonyKind
CEREMONY_KIND_RESHARE: CeremonyKind
CEREMONY_KIND_REFRESH: CeremonyKind
CEREMONY_PHASE_UNSPECIFIED: CeremonyPhase
CEREMONY_PHASE_CONSENT: CeremonyPhase
CEREMONY_PHASE_ACCEPT: CeremonyPhase
CEREMONY_PHASE_DEAL: CeremonyPhase
CEREMONY_PHASE_DISPUTE: CeremonyPhase
CEREMONY_PHASE_CONFIRM: CeremonyPhase
CEREMONY_PHASE_DONE: CeremonyPhase
CEREMONY_PHASE_FAILED: CeremonyPhase
FAULT_NONE: Fault
FAULT_NOT_CONSENTED: Fault
FAULT_DECLINED: Fault
FAULT_SILENT_ACCEPT: Fault
FAULT_SILENT_DEAL: Fault
FAULT_WRONG_SHARE: Fault
FAULT_FALSE_ACCUSATION: Fault
FAULT_SILENT_CONFIRM: Fault
FAULT_NOT_ACTIVE: Fault
FAULT_ZERO_SHARE: Fault
FAILURE_NONE: Failure
FAILURE_TOO_FEW_CONSENTED: Failure
FAILURE_TOO_FEW_ACCEPTED: Failure
FAILURE_TOO_FEW_DEALINGS: Failure
FAILURE_TOO_FEW_SEATS: Failure
FAILURE_TOO_FEW_CONFIRMED: Failure
FAILURE_DEGENERATE: Failure
FAILURE_SUPERSEDED: Failure
FAILURE_BROKEN: Failure

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
    __slots__ = ("authority", "epoch", "threshold", "members", "record_digest", "active_height", "confirmations", "ceremony", "replaced_height", "agreed")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    RECORD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMATIONS_FIELD_NUMBER: _ClassVar[int]
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    REPLACED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    AGREED_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    epoch: int
    threshold: int
    members: int
    record_digest: bytes
    active_height: int
    confirmations: int
    ceremony: bytes
    replaced_height: int
    agreed: int
    def __init__(self, authority: _Optional[bytes] = ..., epoch: _Optional[int] = ..., threshold: _Optional[int] = ..., members: _Optional[int] = ..., record_digest: _Optional[bytes] = ..., active_height: _Optional[int] = ..., confirmations: _Optional[int] = ..., ceremony: _Optional[bytes] = ..., replaced_height: _Optional[int] = ..., agreed: _Optional[int] = ...) -> None: ...

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

class CeremonyRecord(_message.Message):
    __slots__ = ("id", "authority", "purpose", "kind", "epoch", "attempt", "retry", "threshold", "previous_epoch", "previous_threshold", "phase", "phase_height", "deadline_height", "blocks", "candidates", "members", "dealers", "seats", "consented", "accepted", "dealt", "disputed", "confirmed", "needed", "known_digest", "record_digest", "public_key_g1", "public_key_g2", "failure", "next", "begun_height", "ended_height", "finalised_height", "parties", "declined", "first", "terms", "with_terms", "asks_consent", "agreed", "candidates_consented", "candidates_declined", "old_consented", "old_declined", "old_members", "window_blocks", "consent_blocks", "max_attempts")
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PHASE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    DEALERS_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    CONSENTED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DEALT_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    KNOWN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECORD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_G1_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_G2_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    BEGUN_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ENDED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FINALISED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    DECLINED_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    WITH_TERMS_FIELD_NUMBER: _ClassVar[int]
    ASKS_CONSENT_FIELD_NUMBER: _ClassVar[int]
    AGREED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_CONSENTED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_DECLINED_FIELD_NUMBER: _ClassVar[int]
    OLD_CONSENTED_FIELD_NUMBER: _ClassVar[int]
    OLD_DECLINED_FIELD_NUMBER: _ClassVar[int]
    OLD_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    CONSENT_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    authority: bytes
    purpose: Purpose
    kind: CeremonyKind
    epoch: int
    attempt: int
    retry: int
    threshold: int
    previous_epoch: int
    previous_threshold: int
    phase: CeremonyPhase
    phase_height: int
    deadline_height: int
    blocks: int
    candidates: int
    members: int
    dealers: int
    seats: int
    consented: int
    accepted: int
    dealt: int
    disputed: int
    confirmed: int
    needed: int
    known_digest: bytes
    record_digest: bytes
    public_key_g1: bytes
    public_key_g2: bytes
    failure: Failure
    next: bytes
    begun_height: int
    ended_height: int
    finalised_height: int
    parties: int
    declined: int
    first: bytes
    terms: bytes
    with_terms: int
    asks_consent: bool
    agreed: int
    candidates_consented: int
    candidates_declined: int
    old_consented: int
    old_declined: int
    old_members: int
    window_blocks: int
    consent_blocks: int
    max_attempts: int
    def __init__(self, id: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., kind: _Optional[_Union[CeremonyKind, str]] = ..., epoch: _Optional[int] = ..., attempt: _Optional[int] = ..., retry: _Optional[int] = ..., threshold: _Optional[int] = ..., previous_epoch: _Optional[int] = ..., previous_threshold: _Optional[int] = ..., phase: _Optional[_Union[CeremonyPhase, str]] = ..., phase_height: _Optional[int] = ..., deadline_height: _Optional[int] = ..., blocks: _Optional[int] = ..., candidates: _Optional[int] = ..., members: _Optional[int] = ..., dealers: _Optional[int] = ..., seats: _Optional[int] = ..., consented: _Optional[int] = ..., accepted: _Optional[int] = ..., dealt: _Optional[int] = ..., disputed: _Optional[int] = ..., confirmed: _Optional[int] = ..., needed: _Optional[int] = ..., known_digest: _Optional[bytes] = ..., record_digest: _Optional[bytes] = ..., public_key_g1: _Optional[bytes] = ..., public_key_g2: _Optional[bytes] = ..., failure: _Optional[_Union[Failure, str]] = ..., next: _Optional[bytes] = ..., begun_height: _Optional[int] = ..., ended_height: _Optional[int] = ..., finalised_height: _Optional[int] = ..., parties: _Optional[int] = ..., declined: _Optional[int] = ..., first: _Optional[bytes] = ..., terms: _Optional[bytes] = ..., with_terms: _Optional[int] = ..., asks_consent: _Optional[bool] = ..., agreed: _Optional[int] = ..., candidates_consented: _Optional[int] = ..., candidates_declined: _Optional[int] = ..., old_consented: _Optional[int] = ..., old_declined: _Optional[int] = ..., old_members: _Optional[int] = ..., window_blocks: _Optional[int] = ..., consent_blocks: _Optional[int] = ..., max_attempts: _Optional[int] = ...) -> None: ...

class CeremonyParty(_message.Message):
    __slots__ = ("fiduciary", "candidate", "old_index", "old_share", "consent_height", "declined", "accepted_height", "receive_key", "index", "dealer_index", "identity_version", "dealt_height", "dealing_digest", "dealing_chunks", "disputed_height", "confirmed_height", "public_share", "fault", "fault_height", "fault_other", "position")
    FIDUCIARY_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    OLD_INDEX_FIELD_NUMBER: _ClassVar[int]
    OLD_SHARE_FIELD_NUMBER: _ClassVar[int]
    CONSENT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DECLINED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_KEY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    DEALER_INDEX_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEALT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DEALING_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEALING_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_SHARE_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    FAULT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FAULT_OTHER_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    fiduciary: bytes
    candidate: bool
    old_index: int
    old_share: bytes
    consent_height: int
    declined: bool
    accepted_height: int
    receive_key: bytes
    index: int
    dealer_index: int
    identity_version: int
    dealt_height: int
    dealing_digest: bytes
    dealing_chunks: int
    disputed_height: int
    confirmed_height: int
    public_share: bytes
    fault: Fault
    fault_height: int
    fault_other: bytes
    position: int
    def __init__(self, fiduciary: _Optional[bytes] = ..., candidate: _Optional[bool] = ..., old_index: _Optional[int] = ..., old_share: _Optional[bytes] = ..., consent_height: _Optional[int] = ..., declined: _Optional[bool] = ..., accepted_height: _Optional[int] = ..., receive_key: _Optional[bytes] = ..., index: _Optional[int] = ..., dealer_index: _Optional[int] = ..., identity_version: _Optional[int] = ..., dealt_height: _Optional[int] = ..., dealing_digest: _Optional[bytes] = ..., dealing_chunks: _Optional[int] = ..., disputed_height: _Optional[int] = ..., confirmed_height: _Optional[int] = ..., public_share: _Optional[bytes] = ..., fault: _Optional[_Union[Fault, str]] = ..., fault_height: _Optional[int] = ..., fault_other: _Optional[bytes] = ..., position: _Optional[int] = ...) -> None: ...

class Dealing(_message.Message):
    __slots__ = ("commitments", "ephemeral", "shares", "constant_g2", "proof")
    COMMITMENTS_FIELD_NUMBER: _ClassVar[int]
    EPHEMERAL_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_G2_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    commitments: _containers.RepeatedScalarFieldContainer[bytes]
    ephemeral: bytes
    shares: _containers.RepeatedScalarFieldContainer[bytes]
    constant_g2: bytes
    proof: bytes
    def __init__(self, commitments: _Optional[_Iterable[bytes]] = ..., ephemeral: _Optional[bytes] = ..., shares: _Optional[_Iterable[bytes]] = ..., constant_g2: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class ConsentCeremony(_message.Message):
    __slots__ = ("first", "terms", "decline")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    first: bytes
    terms: bytes
    decline: bool
    def __init__(self, first: _Optional[bytes] = ..., terms: _Optional[bytes] = ..., decline: _Optional[bool] = ...) -> None: ...

class AcceptCeremony(_message.Message):
    __slots__ = ("ceremony", "receive_key", "proof")
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_KEY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    ceremony: bytes
    receive_key: bytes
    proof: bytes
    def __init__(self, ceremony: _Optional[bytes] = ..., receive_key: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class DealShares(_message.Message):
    __slots__ = ("ceremony", "dealing")
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    DEALING_FIELD_NUMBER: _ClassVar[int]
    ceremony: bytes
    dealing: Dealing
    def __init__(self, ceremony: _Optional[bytes] = ..., dealing: _Optional[_Union[Dealing, _Mapping]] = ...) -> None: ...

class Accusation(_message.Message):
    __slots__ = ("dealer", "opened", "proof")
    DEALER_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    dealer: bytes
    opened: bytes
    proof: bytes
    def __init__(self, dealer: _Optional[bytes] = ..., opened: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class DisputeDealings(_message.Message):
    __slots__ = ("ceremony", "accusations")
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    ACCUSATIONS_FIELD_NUMBER: _ClassVar[int]
    ceremony: bytes
    accusations: _containers.RepeatedCompositeFieldContainer[Accusation]
    def __init__(self, ceremony: _Optional[bytes] = ..., accusations: _Optional[_Iterable[_Union[Accusation, _Mapping]]] = ...) -> None: ...

class ConfirmShare(_message.Message):
    __slots__ = ("ceremony", "proof")
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    ceremony: bytes
    proof: bytes
    def __init__(self, ceremony: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class CreateAuthority(_message.Message):
    __slots__ = ("purpose", "name", "members", "threshold", "refresh_interval_blocks", "nonce")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REFRESH_INTERVAL_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    purpose: Purpose
    name: str
    members: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    refresh_interval_blocks: int
    nonce: bytes
    def __init__(self, purpose: _Optional[_Union[Purpose, str]] = ..., name: _Optional[str] = ..., members: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ..., refresh_interval_blocks: _Optional[int] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class ReshareAuthority(_message.Message):
    __slots__ = ("authority", "members", "threshold")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    members: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    def __init__(self, authority: _Optional[bytes] = ..., members: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ...) -> None: ...
