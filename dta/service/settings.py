"""``serve.toml`` of a home: how the agent serves it. Every setting has a default; the file may be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dta.base.config import read_toml
from dta.base.settings import Address, Named, Table, Text, Url, checked
from dta.service.tokens import Scope

FILE = "serve.toml"


def _https(value: str) -> str:
    if not value.startswith("https://"):
        raise ValueError("it is https://")
    return value


HttpsUrl = Annotated[Url, AfterValidator(_https)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _says(says: str, default: Any = ..., **bounds: Any) -> Any:
    return Field(default, description=says, json_schema_extra={"meant": says}, **bounds)


class Grant(Table):
    """Whom a subject of an issuer, or a certificate, may act for, and what it may do."""

    identities: list[Named] = _says("the local names of identities, or '*' for all", min_length=1)
    scopes: list[Scope] = _says("what it may do", min_length=1)


class Subject(Grant):
    """An application that an issuer vouches for."""

    subject: Named = _says("`sub` of its tokens, exactly")


class Issuer(Table):
    """Where bearer tokens come from that are not this agent's own: JWTs, verified by joserfc."""

    issuer: HttpsUrl = _says("`iss` of its tokens, exactly")
    audience: Named = _says("`aud` of its tokens must name this")
    jwks: HttpsUrl = _says("where its keys are")
    algorithms: list[Literal["RS256", "PS256", "ES256", "EdDSA"]] = _says("which signatures are taken", ["ES256"])
    subjects: list[Subject] = _says("whom it vouches for here", min_length=1)


class Certificate(Grant):
    """An application that a client certificate names, which a proxy of ours checked (RFC 9440)."""

    sha256: Sha256 = _says("SHA-256 of the certificate's DER, in hex")


class Webhook(Table):
    """Where events are posted to (Standard Webhooks)."""

    name: Named = _says("what it is called here, and in the audit file")
    url: Url = _says("https, unless its address is listed in allow")
    identity: Named = _says("whose events")
    secret_files: list[Named] = _says("files with `whsec_...`, mode 0600: one, or two while rotating", max_length=2)
    allow: list[Named] = _says("addresses that it may resolve to although they are private", [])


class NewIdentities(Table):
    """Where the keys of an identity go that is made by POST /v1/identity: software keystores of the home."""

    pin_file: Named = _says("the file, mode 0600, with the passphrase of its keystores")


class ServeFile(Table):
    """The agent's settings."""

    listen: Address | None = _says("host:port instead of the unix socket; beyond loopback only with TLS", None)
    tls_certificate: Named | None = _says("the certificate chain, PEM", None)
    tls_key: Named | None = _says("its private key, PEM", None)
    hosts: list[Text] = _says("names by which it may be called on TCP, beside loopback's", [])
    origins: list[Text] = _says("origins of pages that may call it; none, as it comes", [])
    trusted_proxies: list[Named] = _says("addresses whose Client-Cert is believed", [])
    calls_per_minute: int = _says("of one credential", 600, ge=1, le=1_000_000)
    max_at_work: int = _says("placings and receivings at once", 64, ge=1, le=1_024)
    issuers: list[Issuer] = _says("whose bearer tokens are taken", [])
    certificates: list[Certificate] = _says("which client certificates are taken", [])
    webhooks: list[Webhook] = _says("where events are posted to", [])
    new_identities: NewIdentities | None = _says("where the keys of new identities go", None)


def load(home: Path) -> ServeFile:
    """The settings of ``home``. Raises UsageError naming file, key and what was meant."""
    path = home / FILE
    return checked(ServeFile, read_toml(path), path) if path.exists() else ServeFile()
