"""Bodies of /v1/status, /v1/identity, /v1/contacts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from dta.service.models.base import Asked, Extension, Id, Shown


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


class Contact(Shown):
    """``is``: own (an identity of this home), contact, or founder of the ledger."""

    name: str
    kind: str = Field(serialization_alias="is")
    identity: Id


class ContactList(Shown):
    contacts: list[Contact]
    next: str | None
