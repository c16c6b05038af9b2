"""What goes over HTTP, both ways. The OpenAPI description is made of these, and nothing else says a shape.

Names are the original's where there are such; ids are lower-case hex, times (``...At``) Unix seconds of block time.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

MAX_SECRET_BYTES: Final = 900_000
MAX_BASE64_CHARS: Final = 4 * ((MAX_SECRET_BYTES + 2) // 3)
MAX_WAIT_S: Final = 25
MAX_POLL_S: Final = 30
MAX_LIMIT: Final = 100

Id: TypeAlias = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Who: TypeAlias = Annotated[str, StringConstraints(max_length=200)]
"""A name of the home's, an id, its first digits, or an identity document's CID."""

_Name: TypeAlias = Annotated[str, StringConstraints(max_length=64)]
_Text: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_SECRET_BYTES)]
Extension: TypeAlias = Annotated[dict[_Name, _Text], Field(max_length=16)]
"""Text by name, as the original has it."""

Policy: TypeAlias = Annotated[str, StringConstraints(max_length=4_096)] | dict[str, Any]
"""``2of:alice,bob,carol``, or nested as JSON (docs/howto/orders.md)."""


class Asked(BaseModel):
    """A call's body: nothing in it that is not declared, nothing converted."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)


class Shown(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel), extra="ignore")


class OldFields(Asked):
    """What old callers echo: taken, and ignored."""

    cypher_text: str = Field("", alias="cypherText", max_length=65_536, deprecated=True)
    t: str = Field("", max_length=4_096, deprecated=True)
    v: str = Field("", max_length=4_096, deprecated=True)


# --- status and identities ------------------------------------------------------------------------------------
class LedgerShown(Shown):
    """What was verified of the ledger, and what a node merely says."""

    chain_id: str
    gid: Id
    verified_height: int
    verified_time: str = Field(description="RFC 3339, of the newest verified header; empty for genesis")
    node_height: int = Field(description="as the node says; 0 where none answers")
    node_catching_up: bool


class OwnIdentity(Shown):
    """An identity of this home that the credential may act for."""

    name: str
    identity: Id


class Limits(Shown):
    """What this agent bears."""

    max_body_bytes: int
    max_secret_bytes: int
    max_wait_s: int
    max_list: int
    calls_per_minute: int
    max_at_work: int


class Status(Shown):
    """GET /v1/status. The first eight fields are the original's."""

    application: str
    time_stamp: str
    api_version: str
    node_cid: str = Field(serialization_alias="nodeCID", description="the document of the first identity here")
    extension_vendor: str
    extension: dict[str, str] = Field(default_factory=dict)
    plugin: str = Field(description="the custodians that are installed")
    node_type: str
    identities: list[OwnIdentity]
    ledger: LedgerShown
    limits: Limits


class NewIdentity(Asked):
    """POST /v1/identity."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    extension: Extension = Field(default_factory=dict)


class IdentityMade(Shown):
    """``extension.request``: base64 of what a fiduciary sponsors, where the ledger lets nobody in by themselves."""

    id_document_cid: str = Field(serialization_alias="idDocumentCID")
    identity: Id
    status: str
    extension: dict[str, str] = Field(default_factory=dict)


class IdentityShown(Shown):
    """An identity, proved."""

    id_document_cid: str = Field(serialization_alias="idDocumentCID")
    authentication_reference: str = Field(description="the Ed25519 key that signs its transactions")
    bls_public_key: str = Field(serialization_alias="blsPublicKey")
    timestamp: int = Field(description="as in the original; the document's, 0 where its block was not at hand")
    identity: Id
    name: str = Field(description="as it calls itself: that proves nothing")
    local_name: str
    status: str
    roles: list[str]
    registered_height: int
    updated_height: int
    extension: dict[str, str] = Field(default_factory=dict)


class IdentityList(Shown):
    """GET /v1/identity: those of this home."""

    id_document_list: list[IdentityShown]
    next: str | None


class IdentityChanged(Shown):
    """What came of a step in an identity's life. ``height`` null: the ledger had it already."""

    identity: Id
    id_document_cid: str = Field(serialization_alias="idDocumentCID")
    action: str
    height: int | None


# --- vaults ---------------------------------------------------------------------------------------------------
class NewVault(Asked):
    """POST /v1/vault. ``fiduciaries`` empty: all that are active."""

    custodian: Annotated[str, StringConstraints(max_length=64)] = "hsm-realm"
    fiduciaries: list[Who] = Field(default_factory=list, max_length=64)
    title: Annotated[str, StringConstraints(max_length=200)] = ""


class VaultKey(Shown):
    """A fiduciary's key in a vault."""

    fiduciary: Id
    key: str
    height: int


class VaultShown(Shown):
    """A vault, proved."""

    vault: Id
    principal: Id
    custodian: str
    status: str
    published: int
    erased: int
    opened_height: int
    opened_tx: str
    closes: int = Field(0, validation_alias="closes_at_time_s", serialization_alias="closesAt")
    closes_at_height: int
    closed_height: int
    fiduciaries: list[VaultKey] = Field(default_factory=list)
    proved_at_height: int = 0


class VaultList(Shown):
    vaults: list[VaultShown]
    next: str | None


# --- orders ---------------------------------------------------------------------------------------------------
class OrderTerms(Asked):
    """An order but for its secret: to whom, under what conditions, in whose keeping."""

    beneficiary: Who = ""
    beneficiary_id_document_cid: Who = Field("", alias="beneficiaryIDDocumentCID")
    policy: Policy | None = None
    not_before: int = Field(0, ge=0, description="Unix seconds")
    not_after: int = Field(0, ge=0, description="Unix seconds")
    veto_window: int = Field(0, ge=0, description="seconds that a granted release waits and can be vetoed")
    vetoers: list[Who] = Field(default_factory=list, max_length=64)
    custodian: Annotated[str, StringConstraints(max_length=64)] = ""
    vault: Who = Field("", description="without vault and authority: the only open one; where there is none, a new one")
    authority: Who = ""
    fiduciaries: list[Who] = Field(default_factory=list, max_length=64)
    threshold: int | None = Field(None, ge=1, le=64)
    expires_at: int = Field(0, ge=0, description="Unix seconds; 0: never")
    expires_at_height: int = Field(0, ge=0)
    allow_missing: int = Field(0, ge=0, le=64)
    title: Annotated[str, StringConstraints(max_length=200)] = ""


class NewOrder(OrderTerms, OldFields):
    """POST /v1/order. The secret: ``secret`` in base64, or text as ``extension.plainText``; else 32 random bytes."""

    secret: Annotated[str, StringConstraints(max_length=MAX_BASE64_CHARS)] | None = Field(
        None, json_schema_extra={"format": "byte", "writeOnly": True}
    )
    extension: Extension = Field(default_factory=dict)


class OrderPlaced(Shown):
    """What POST /v1/order answers. ``commitment``: what the ledger holds of the secret's key or, under an authority
    key, of the identity that it is encrypted to."""

    order_reference: Id
    order_part1_cid: str = Field(serialization_alias="orderPart1CID")
    commitment: str
    created_at: int
    status: str
    extension: dict[str, str] = Field(default_factory=dict)


class Fulfilment(Shown):
    """What a fiduciary did about an order."""

    fiduciary: Id
    outcome: str
    height: int


class Order(Shown):
    """An order, proved at ``provedAtHeight``."""

    order: Id
    status: str
    principal: Id
    custodian: str
    vault: str
    authority: str
    identity: str
    threshold: int
    fulfilled: int
    rejected: int
    envelope_cid: str = Field(serialization_alias="envelopeCID")
    policy: dict[str, Any]
    expires: int = Field(0, validation_alias="expires_at_time_s", serialization_alias="expiresAt")
    expires_at_height: int
    placed: int = Field(0, validation_alias="placed_time_s", serialization_alias="placedAt")
    placed_height: int
    placed_tx: str
    active_height: int
    ended_height: int
    ended_tx: str
    open_requests: int
    requests_made: int
    completed_requests: int
    vetoed_requests: int
    expired_requests: int
    cancelled_requests: int
    answers: int
    first_answer_height: int
    fiduciaries: list[Fulfilment]
    proved_at_height: int


class OrderShown(Shown):
    """GET /v1/order/{orderReference}. ``order`` null: this home made it, and the ledger has it not (yet)."""

    order_cid: str = Field(serialization_alias="orderCID")
    order: Order | None
    timestamp: int
    status: str
    problem: dict[str, Any] | None = Field(None, description="why it is not placed, where this agent knows")
    extension: dict[str, str] = Field(default_factory=dict)


class OrderRow(Shown):
    """An order in a list."""

    order_reference: Id
    role: list[str]
    status: str
    principal: Id
    created_at: int
    title: str = ""


class OrderList(Shown):
    """GET /v1/order. ``total``: of all roles and states, as the ledger counts them at ``provedAtHeight``."""

    order_reference: list[Id]
    orders: list[OrderRow]
    next: str | None
    total: int
    proved_at_height: int


class PolicyAsked(Asked):
    """POST /v1/policy/check: the terms of an order that is not placed."""

    beneficiary: Who = ""
    policy: Policy | None = None
    not_before: int = Field(0, ge=0)
    not_after: int = Field(0, ge=0)
    veto_window: int = Field(0, ge=0)
    vetoers: list[Who] = Field(default_factory=list, max_length=64)


class PolicyChecked(Shown):
    policy: dict[str, Any]
    describes: str
    size_bytes: int


# --- secrets and requests -------------------------------------------------------------------------------------
class SecretAsked(OldFields):
    """POST /v1/order/secret. ``prepare``: send nothing, answer with what the principal has to authorise."""

    order_reference: Who = ""
    beneficiary_id_document_cid: Who = Field("", alias="beneficiaryIDDocumentCID")
    prepare: bool = False
    prepared: Annotated[str, StringConstraints(max_length=65_536)] = ""
    authorisation: Annotated[str, StringConstraints(pattern="^([0-9a-f]{128})?$")] = ""
    allow_missing: int | None = Field(None, ge=0, le=64)
    extension: Extension = Field(default_factory=dict)


class SecretReceived(Shown):
    """The secret. ``extension.plainText`` where its bytes are UTF-8."""

    secret: str = Field(json_schema_extra={"format": "byte"})
    commitment: str
    order_reference: Id
    request: Id
    bad_fiduciaries: list[Id] = Field(default_factory=list)
    extension: dict[str, str] = Field(default_factory=dict)


class RequestPending(Shown):
    """The request is made; its secret is not there yet. GET its Location, or send the same call again."""

    request: Id
    status: str


class RequestPrepared(Shown):
    """What the principal has to authorise. Nothing in it is secret."""

    request: Id
    order_reference: Id
    prepared: str


class Answered(Shown):
    """A fiduciary's answer to a request."""

    fiduciary: Id
    answered_height: int
    proved_bad_height: int


class RequestShown(Shown):
    """A request, proved: who asks for what, who agreed, what it waits for."""

    request: Id
    order_reference: Id = Field(validation_alias="order")
    number: int
    status: str
    beneficiary: Id
    content_digest: Id
    content_checked: bool
    requested_height: int
    requested: int = Field(0, validation_alias="requested_time_s", serialization_alias="requestedAt")
    deadline: int = Field(0, validation_alias="deadline_time_s", serialization_alias="deadlineAt")
    release: int = Field(0, validation_alias="release_time_s", serialization_alias="releaseAt")
    granted_height: int
    release_height: int
    stage: str
    ended_height: int
    approved: list[Id]
    vetoed: list[Id]
    answers: list[Answered]
    answered: int
    threshold: int
    may_approve: bool
    may_veto: bool
    keys_here: bool = Field(description="whether this home can receive")
    proved_at_height: int


class RequestList(Shown):
    requests: list[RequestShown]
    next: str | None


class Decision(Asked):
    """A decision is about a content: ``contentDigest`` of the request that was looked at."""

    content_digest: Id
    extension: Extension = Field(default_factory=dict)


class Decided(Shown):
    request: Id
    decision: str
    height: int
    status: str


class Authorise(Asked):
    """What a beneficiary prepared, as POST /v1/order/secret gave it."""

    prepared: Annotated[str, StringConstraints(max_length=65_536)]
    beneficiary: Who = Field(description="who is to receive: it must be who prepared it")


class Authorised(Shown):
    request: Id
    prepared: str
    authorisation: str


class Report(Asked):
    fiduciary: Who


class Done(Shown):
    """``keysKept``: for fiduciaries whose bad answers can still be reported."""

    request: Id
    keys_kept: list[Id]


class Nothing(Asked):
    """A body that says nothing, or none at all."""

    extension: Extension = Field(default_factory=dict)


class Contact(Shown):
    name: str
    identity: Id


class ContactList(Shown):
    contacts: list[Contact]


# --- inbox and receipts ---------------------------------------------------------------------------------------
class Concern(Shown):
    """A record of the ledger that names this identity."""

    number: int
    kind: str
    subject: Id
    roles: list[str]
    height: int


class Inbox(Shown):
    """What concerns this identity, in the ledger's own numbers: no node can leave one out."""

    concerns: list[Concern]
    next: str | None
    total: int
    proved_at_height: int


class ReceiptVerified(Shown):
    chain_id: str
    subject: str
    state_height: int
    transactions: list[str]
    warnings: list[str]
