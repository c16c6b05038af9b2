"""Bodies of /v1/authority and /v1/sign."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dta.service.models.base import MAX_BASE64_CHARS, Asked, Extension, Id, Policy, Shown, Who

_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Members = Annotated[list[Who], Field(max_length=64)]


# --- authorities ----------------------------------------------------------------------------------------------
class NewAuthority(Asked):
    """POST /v1/authority: proposes a key. ``members`` empty: every active fiduciary; ``threshold`` 0: the default."""

    name: _Name
    purpose: Literal["custody", "signing"]
    members: Members = Field(default_factory=list)
    threshold: int = Field(0, ge=0, le=64)
    refresh_blocks: int = Field(0, ge=0, le=2**32, description="new shares after so many blocks; 0: only by vote")
    extension: Extension = Field(default_factory=dict)


class Reshare(Asked):
    """POST /v1/authority/{authority}/reshare. Without members and threshold: new shares for those of now."""

    members: Members = Field(default_factory=list)
    threshold: int = Field(default=0, ge=0, le=64)


class Consent(Asked):
    """A consent is to terms: ``terms`` is the digest of those that were looked at (`last.terms`)."""

    terms: Id
    decline: bool = False


class KeyProposed(Shown):
    """What was proposed. The others vote; then each member's operator consents."""

    authority: Id
    proposal: Id
    threshold: int
    members: int
    height: int


class Authority(Shown):
    """A key that no fiduciary holds alone. The public keys are empty until its ceremony is done."""

    authority: Id
    name: str
    purpose: str
    status: str
    public_key_g1: str
    public_key_g2: str
    epoch: int
    realm: str
    created_height: int
    refresh_interval_blocks: int
    refresh_height: int
    attempts: int
    ceremony: str
    last_ceremony: str


class Member(Shown):
    """Who holds a share in the epoch that is in force."""

    fiduciary: Id
    index: int
    public_share: str
    confirmed_height: int


class Epoch(Shown):
    """The epoch in force. ``margin``: how many of those who confirmed may be lost."""

    epoch: int
    threshold: int
    members: list[Member]
    agreed: int
    confirmations: int
    margin: int
    active_height: int
    record_digest: str
    ceremony: str


class Party(Shown):
    """A fiduciary's part in an attempt."""

    fiduciary: Id
    candidate: bool
    old_index: int
    index: int
    consent_height: int
    declined: bool
    accepted_height: int
    dealt_height: int
    disputed_height: int
    confirmed_height: int
    fault: str
    fault_height: int
    fault_other: str


class Fault(Shown):
    fiduciary: Id
    reason: str


class Ceremony(Shown):
    """An attempt: where it stands, whom it waits for, who is at fault. ``terms``: what a consent is to."""

    ceremony: Id
    authority: Id
    kind: str
    epoch: int
    attempt: int
    retry: int
    max_attempts: int
    candidates: int
    phase: str
    threshold: int
    phase_height: int
    deadline_height: int
    consented: int
    accepted: int
    members: int
    dealers: int
    dealt: int
    disputed: int
    seats: int
    confirmed: int
    needed: int
    record_digest: str
    failure: str
    next: str
    waits_for: list[Id]
    faults: list[Fault]
    first: str
    terms: str
    with_terms: int
    asks_consent: bool
    agreed: int
    parties: list[Party]


class AuthorityShown(Authority):
    """GET /v1/authority/{authority}: all of it, of one proved state."""

    in_force: Epoch | None
    last: Ceremony | None
    earlier: list[Ceremony]
    proved_at_height: int


class AuthorityList(Shown):
    authorities: list[Authority]
    next: str | None


class Consented(Shown):
    """What a consent came to. ``terms``: the digest that was signed."""

    ceremony: Ceremony
    consent: str
    terms: Id


# --- signatures -----------------------------------------------------------------------------------------------
class NewSignature(Asked):
    """POST /v1/sign. What to sign: ``message`` in base64, or text as ``extension.plainText``. Above 2,048 bytes its
    SHA-256 is signed in its place."""

    authority: Who
    kind: Annotated[str, StringConstraints(max_length=64)] = Field(description="what sort of thing it is: signed too")
    message: Annotated[str, StringConstraints(max_length=MAX_BASE64_CHARS)] | None = Field(
        None, json_schema_extra={"format": "byte"}
    )
    raw: bool = Field(False, description="the bytes as they are, where the key's policy lets")
    policy: Policy | None = Field(None, description="asks for more than the key's own signing policy does")
    veto_window: int = Field(0, ge=0)
    vetoers: list[Who] = Field(default_factory=list, max_length=64)
    extension: Extension = Field(default_factory=dict)


class SignatureShown(Shown):
    """A signing order: what is signed, who agreed, and the signature once it is there, all proved.

    Any BLS library verifies ``signature`` over ``bytesSigned`` under ``publicKey`` with ``suite``.
    """

    request: Id
    order_reference: Id = Field(validation_alias="order")
    status: str
    principal: Id
    authority: Id
    authority_name: str
    public_key: str
    kind: str
    raw: bool
    message: str = Field(description="hex; empty where its digest is signed")
    message_text: str | None
    message_bytes: int
    message_sha256: str = Field(serialization_alias="messageSha256")
    digest: str
    bytes_signed: str
    suite: str
    signature: str
    is_valid: bool = Field(description="whether it is there, and this agent verified it")
    signed_height: int
    content_digest: Id
    content_checked: bool
    requested_height: int
    deadline: int = Field(validation_alias="deadline_time_s", serialization_alias="deadlineAt")
    release: int = Field(validation_alias="release_time_s", serialization_alias="releaseAt")
    approved: list[Id]
    vetoed: list[Id]
    answered: int
    threshold: int
    may_approve: bool
    may_veto: bool
    proved_at_height: int


class SignatureList(Shown):
    signatures: list[SignatureShown]
    next: str | None


class Verify(Asked):
    """POST /v1/sign/{request}/verify: is this what was signed? ``message`` in base64, or ``extension.plainText``."""

    message: Annotated[str, StringConstraints(max_length=MAX_BASE64_CHARS)] | None = Field(
        default=None, json_schema_extra={"format": "byte"}
    )
    extension: Extension = Field(default_factory=dict)


class Verified(Shown):
    """``isValid``: there is a signature, and it verifies; ``isOf``: it is over what was given (null: nothing was)."""

    request: Id
    is_valid: bool
    is_of: bool | None
    signature: str
