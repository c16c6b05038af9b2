"""Bodies of /v1/vault, /v1/order, /v1/order/secret, /v1/request."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from dta.service.models.base import MAX_BASE64_CHARS, Asked, Extension, Id, Policy, Shown, Who


class OldFields(Asked):
    """What old callers echo: taken, and ignored."""

    cypher_text: str = Field("", alias="cypherText", max_length=65_536, deprecated=True)
    t: str = Field("", max_length=4_096, deprecated=True)
    v: str = Field("", max_length=4_096, deprecated=True)


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


class OrderTerms(Asked):
    """An order but for its secret: to whom, under what conditions, in whose keeping."""

    beneficiary: Who = Field(
        "", description="a name that this home knows, an id, or the CID of their document; without: the principal"
    )
    beneficiary_id_document_cid: Who = Field("", alias="beneficiaryIDDocumentCID")
    policy: Policy | None = Field(
        None, description="who has to agree: single:NAME, all:A,B, any:A,B or 2of:A,B,C; without: the beneficiary"
    )
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
        None, description="base64", json_schema_extra={"format": "byte", "writeOnly": True}
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

    secret: str = Field(description="base64", json_schema_extra={"format": "byte"})
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


# --- what the fiduciaries' hooks did --------------------------------------------------------------------------
class OrderFulfilled(Shown):
    """What each fiduciary did about an order, proved. ``orderPart2CID`` is empty: what a fiduciary answers to an order
    is a transaction here, and no document. An order under an authority key has no ``fiduciaries``."""

    order_reference: Id
    order_part1_cid: str = Field(serialization_alias="orderPart1CID")
    order_part2_cid: str = Field(default="", serialization_alias="orderPart2CID")
    status: str
    threshold: int
    fulfilled: int
    rejected: int
    fiduciaries: list[Fulfilled]
    proved_at_height: int


class Fulfilled(Shown):
    """``outcome``: waiting, fulfilled, or rejected with its reason. ``tx``: the transaction that says it."""

    fiduciary: Id
    outcome: str
    height: int
    tx: str


class OrdersFulfilled(Shown):
    """The orders that name this identity. ``total``: of its whole list on the ledger."""

    orders: list[OrderFulfilled]
    next: str | None
    total: int


class SecretFulfilled(Shown):
    """What each fiduciary answered to a request, proved. ``orderPart3CID``: the envelope with the request's keys;
    empty under an authority key. ``orderPart4CID`` is empty: answers are sealed in the ledger itself."""

    request: Id
    order_reference: Id
    order_part1_cid: str = Field(serialization_alias="orderPart1CID")
    order_part2_cid: str = Field(default="", serialization_alias="orderPart2CID")
    order_part3_cid: str = Field(serialization_alias="orderPart3CID")
    order_part4_cid: str = Field(default="", serialization_alias="orderPart4CID")
    status: str
    threshold: int
    answered: int
    fiduciaries: list[SecretAnswered]
    proved_at_height: int


class SecretAnswered(Shown):
    """``height`` 0: not yet. ``provedBadHeight``: the answer was bad, and everybody knows since then."""

    fiduciary: Id
    height: int
    tx: str
    proved_bad_height: int


class SecretsFulfilled(Shown):
    """The requests that this identity may decide on or receives by."""

    requests: list[SecretFulfilled]
    next: str | None
