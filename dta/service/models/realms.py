"""Bodies of /v1/realm."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from dta.service.models.base import Asked, Extension, Id, Shown, Who
from dta.service.models.keys import Members


class NewRealm(Asked):
    """POST /v1/realm: proposes a realm with a key of its own, as a fiduciary. The others vote."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    registrar: Who
    suite: Literal["rfc9380", "amcl"] = "rfc9380"
    permits_required: bool = True
    max_attempts: int = Field(5, ge=0, le=2**31)
    lockout: int = Field(900, ge=0, le=2**31, description="seconds; 0: until it is lifted by hand")
    one_pass_max_age: int = Field(60, ge=0, le=2**31, description="seconds; 0: no one-pass logins")
    members: Members = Field(default_factory=list)
    threshold: int = Field(0, ge=0, le=64)
    refresh_blocks: int = Field(0, ge=0, le=2**32)
    extension: Extension = Field(default_factory=dict)


class RealmProposed(Shown):
    realm: Id
    authority: Id
    proposal: Id
    height: int


class RealmShown(Shown):
    """A realm, proved. ``isReady``: its key is in force."""

    realm: Id
    name: str
    registrar: Id
    suite: str
    permits_required: bool
    max_attempts: int
    lockout: int = Field(validation_alias="lockout_s")
    one_pass_max_age: int = Field(validation_alias="one_pass_max_age_s")
    authority: Id
    public_key: str
    epoch: int
    is_ready: bool
    servers: list[Id]
    clients: int
    created_height: int
    proved_at_height: int


class RealmList(Shown):
    realms: list[RealmShown]
    next: str | None


class NewServer(Asked):
    """The server's identity."""

    server: Who


class RealmChanged(Shown):
    """What a registrar did. ``subject``: the server, or the client's hash."""

    realm: Id
    action: str
    subject: Id
    height: int


class Enrol(Asked):
    """Enrolments as `dta mfa enrol` writes them, as JSON objects. Know whom you enrol: who made
    it logs in by its ``name``."""

    enrolments: list[dict[str, Any]] = Field(min_length=1, max_length=256)


class Enrolled(Shown):
    realm: Id
    clients: list[Id]
    transactions: int
    height: int


class RealmClient(Shown):
    """A client of a realm, by its hash. ``name``: as this home enrolled it; empty where it did not."""

    client: Id
    number: int
    name: str
    status: str
    enrolments: int
    height: int


class ClientList(Shown):
    clients: list[RealmClient]
    next: str | None
    proved_at_height: int


class IssuePermits(Asked):
    """``day``: days since 1970-01-01; without one, today. Clients that are revoked or have theirs are left out."""

    day: int | None = Field(None, ge=0, lt=2**32)


class PermitsAsked(Shown):
    realm: Id
    day: int
    clients: int
    transactions: int


class PermitShown(Shown):
    """A client's permit for a day, put together of verified partials. Permits are public."""

    realm: Id
    client: Id
    day: int
    permit: str


class ServerSecretKept(Shown):
    """This identity's server secret is in its home, sealed: it is never shown."""

    realm: Id
    server: Id
    is_new: bool
