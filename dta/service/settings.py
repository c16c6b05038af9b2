"""``serve.toml`` of a home: how the agent serves it. Every setting has a default; the file may be missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dta.base.config import read_toml
from dta.base.settings import Address, IpAddress, Named, Table, Text, Url, checked
from dta.service.tokens import SCOPES, Scope

FILE = "serve.toml"


def _https(value: str) -> str:
    if not value.startswith("https://"):
        raise ValueError("it is https://")
    return value


HttpsUrl = Annotated[Url, AfterValidator(_https)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _setting(meant: str, says: str, default: Any = ..., **bounds: Any) -> Any:
    """``meant``: what may stand there; ``says``: what it does."""
    return Field(default, description=says, json_schema_extra={"meant": meant}, **bounds)


def _each_once(what: str, names: Iterable[str]) -> None:
    """Of two tables of one name one would count, and nothing would say which."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"two tables are for the {what} {twice[0]}")


class Grant(Table):
    """Whom a subject of an issuer, or a certificate, may act for, and what it may do."""

    identities: list[Named] = _setting("a list of local names, or '*'", "whom it may act for", min_length=1)
    scopes: list[Scope] = _setting(f"a list of {', '.join(SCOPES)}", "what it may do", min_length=1)


class Subject(Grant):
    """An application that an issuer vouches for."""

    subject: Named = _setting("text", "`sub` of its tokens, exactly")


class Issuer(Table):
    """Where bearer tokens come from that are not this agent's own: JWTs, verified by joserfc."""

    issuer: HttpsUrl = _setting("an https URL", "`iss` of its tokens, exactly")
    audience: Named = _setting("text", "`aud` of its tokens must name this")
    jwks: HttpsUrl = _setting("an https URL", "where its keys are")
    algorithms: list[Literal["RS256", "PS256", "ES256", "EdDSA"]] = _setting(
        "a list of RS256, PS256, ES256, EdDSA", "which signatures are taken", ["ES256"]
    )
    subjects: list[Subject] = _setting("a list of tables", "whom it vouches for here", min_length=1)

    @model_validator(mode="after")
    def _names(self) -> Self:
        _each_once("subject", (one.subject for one in self.subjects))
        return self


class Certificate(Grant):
    """An application that a client certificate names, which a proxy of ours checked (RFC 9440)."""

    sha256: Sha256 = _setting("64 hex digits", "SHA-256 of the certificate's DER")


class Webhook(Table):
    """Where events are posted to (Standard Webhooks)."""

    name: Named = _setting("text", "what it is called here; its place is kept in a file of that name")
    url: Url = _setting("a URL", "where to; https, unless every address it has is listed in allow")
    identity: Named = _setting("a local name", "whose events")
    secret_files: list[Named] = _setting(
        "a list of one or two paths", "files with `whsec_...`, mode 0600; two while rotating", min_length=1,
        max_length=2,
    )  # fmt: skip
    allow: list[IpAddress] = _setting(
        "a list of addresses", "what it may resolve to although it is private, or without TLS", []
    )
    ca_file: Named | None = _setting(
        "a path, or nothing", "a PEM file: the authority of its certificate, in place of the system's", None
    )


class NewIdentities(Table):
    """Where the keys of an identity go that is made by POST /v1/identity: software keystores of the home."""

    pin_file: Named = _setting("a path", "the file, mode 0600, with the passphrase of their keystores")


class ServeFile(Table):
    """The agent's settings."""

    listen: Address | None = _setting(
        "host:port, or nothing", "where it listens, in place of the unix socket; beyond loopback only with TLS", None
    )
    tls_certificate: Named | None = _setting("a path, or nothing", "the certificate chain, PEM", None)
    tls_key: Named | None = _setting("a path, or nothing", "its private key, PEM", None)
    hosts: list[Text] = _setting("a list of names", "by which it may be called on TCP, beside loopback's", [])
    origins: list[Text] = _setting("a list of origins", "whose pages may call it", [])
    trusted_proxies: list[IpAddress] = _setting("a list of addresses", "whose Client-Cert is believed", [])
    calls_per_minute: int = _setting("a whole number, 1 to 1000000", "of one credential", 600, ge=1, le=1_000_000)
    max_at_work: int = _setting(
        "a whole number, 1 to 1024", "placings and receivings at once, half of them of one credential", 64, ge=1,
        le=1_024,
    )  # fmt: skip
    issuers: list[Issuer] = _setting("a list of tables", "whose bearer tokens are taken", [])
    certificates: list[Certificate] = _setting("a list of tables", "which client certificates are taken", [])
    webhooks: list[Webhook] = _setting("a list of tables", "where events are posted to", [])
    new_identities: NewIdentities | None = _setting(
        "a table, or nothing", "lets POST /v1/identity make identities, with software keystores in the home", None
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        _each_once("issuer", (one.issuer for one in self.issuers))
        _each_once("certificate", (one.sha256 for one in self.certificates))
        _each_once("webhook", (one.name for one in self.webhooks))
        return self


def load(home: Path) -> ServeFile:
    """The settings of ``home``. Raises UsageError naming file, key and what was meant."""
    path = home / FILE
    return checked(ServeFile, read_toml(path), path) if path.exists() else ServeFile()
