"""What a client keeps, and what a server keeps, each in one JSON file of mode 0600 (docs/spec/mfa.md, Files).

A client's file has the token and the salt: with them a PIN can be tried at a server, where attempts are counted, and
nowhere else. Nothing in it tells whether a PIN is right. A server's file has its secret, sealed by its keystore.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from abci_app.crypto.curve import G1, G2, BadPoint
from abci_app.hashing import tagged
from abci_app.limits import ID_BYTES
from abci_app.mfa.points import MIN_SALT_BYTES, SUITES, client_hash
from dta.base.errors import NotFound, UsageError
from dta.base.home import checked_profile_name, make_directory, read_file, write_file, write_new_file
from dta.base.jsonfile import JsonFile
from dta.base.secret import SecretBytes
from dta.mpin.protocol import Parties
from dta.mpin.sealing import Sealer
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import Suite

CLIENT_FORMAT: Final = "dta-mfa-client-1"
SERVER_FORMAT: Final = "dta-mfa-server-1"
MAX_FILE_BYTES: Final = 16_384
MAX_NAME_CHARS: Final = 255
MAX_URL_CHARS: Final = 500
_NUMBERS: Final = {name: number for number, name in SUITES.items()}


@dataclass(frozen=True, slots=True)
class Credential:
    """A client's: who it is in which realm, and its token.

    ``gid``, ``realm``, ``authority``: 32 bytes; ``name``: what it calls itself, at most 255 bytes of UTF-8; ``salt``:
    16 to 64 secret bytes. ``server`` (32 bytes, or empty) and ``url``: where it logs in; kept from the first login on,
    so that another server of the realm cannot take that one's place unnoticed.
    """

    gid: bytes
    realm: bytes
    authority: bytes
    suite: Suite
    permits_required: bool
    name: str
    salt: SecretBytes
    token: SecretPoint[G1]
    server: bytes = b""
    url: str = ""

    @property
    def client(self) -> bytes:
        """The client's salted hash: all that the ledger knows of it."""
        return client_hash(self.gid, self.realm, self.salt.reveal(), self.name.encode("utf-8"))

    def parties(self, server: bytes, day: int | None = None) -> Parties:
        """A login at ``server``."""
        return Parties(self.suite, self.gid, self.authority, self.realm, self.client, server, day)

    def at(self, server: bytes, url: str) -> Credential:
        """The same, with where it logs in."""
        return replace(self, server=server, url=url)

    def with_token(self, token: SecretPoint[G1]) -> Credential:
        """The same, with another token."""
        return replace(self, token=token)


class CredentialStore:
    """The credentials of one home, each under a label. ``sealer``: for those that are sealed; None opens none."""

    def __init__(self, home: Path, sealer: Sealer | None = None) -> None:
        self._directory = home / "mfa" / "clients"
        self._sealer = sealer

    def path(self, label: str) -> Path:
        """The file. Raises UsageError for what is no label."""
        return self._directory / f"{checked_profile_name(label)}.json"

    def labels(self) -> list[str]:
        """The labels there are, sorted."""
        return sorted(path.stem for path in self._directory.glob("*.json")) if self._directory.is_dir() else []

    def add(self, label: str, credential: Credential) -> None:
        """A new one, sealed where the store has a sealer. Raises UsageError where the label is taken."""
        path = self.path(label)
        make_directory(path.parent)
        write_new_file(path, _credential_file(credential, self._sealer), "a credential")

    def replace(self, label: str, credential: Credential) -> None:
        """In place of the one there, sealed when that was."""
        sealer = self._sealer if self.is_sealed(label) else None
        write_file(self.path(label), _credential_file(credential, sealer))

    def is_sealed(self, label: str) -> bool:
        """Whether a keystore is needed to open it. Raises NotFound, UsageError."""
        return self._parsed(label).table("secret")["sealed"] is True

    def load(self, label: str) -> Credential:
        """Raises NotFound, UsageError, and KeystoreError for a sealed one."""
        return _credential(self._parsed(label), self._sealer, f"the credential {label!r}")

    def _parsed(self, label: str) -> JsonFile:
        path = self.path(label)
        if not path.exists():
            known = ", ".join(self.labels()) or "none"
            raise NotFound(f"there is no M-Pin credential {label!r} here", hint=f"there is: {known}")
        content = read_file(path, "an M-Pin credential", MAX_FILE_BYTES)
        parsed = JsonFile.parse(content, str(path), CLIENT_FORMAT)
        parsed.only("gid", "realm", "authority", "suite", "permits_required", "name", "server", "url", "secret")
        if type(parsed.table("secret").get("sealed")) is not bool:
            raise parsed.bad("secret", "an object that says whether it is sealed")
        return parsed


def _credential_file(credential: Credential, sealer: Sealer | None) -> bytes:
    content = SecretBytes(credential.token.reveal().encode() + credential.salt.reveal())
    held = (
        content.reveal()
        if sealer is None
        else sealer.seal(_client_context(credential.gid, credential.realm, credential.name), content)
    )
    return _json(
        {
            "format": CLIENT_FORMAT, "gid": credential.gid.hex(), "realm": credential.realm.hex(),
            "authority": credential.authority.hex(), "suite": credential.suite.name,
            "permits_required": credential.permits_required, "name": credential.name,
            "server": credential.server.hex(), "url": credential.url,
            "secret": {"sealed": sealer is not None, "content": held.hex()},
        }
    )  # fmt: skip


def _credential(file: JsonFile, sealer: Sealer | None, what: str) -> Credential:
    gid, realm, name = file.hex("gid", ID_BYTES), file.hex("realm", ID_BYTES), file.text("name", MAX_NAME_CHARS)
    held = file.table("secret")
    try:
        content = bytes.fromhex(held["content"])
    except (KeyError, TypeError, ValueError):
        raise file.bad("secret", "its content in hex") from None
    if held["sealed"]:
        if sealer is None:
            raise UsageError(f"{what} is sealed", hint="give --identity: the one that it was sealed for")
        content = sealer.open(_client_context(gid, realm, name), content, what).reveal()
    try:
        token = G1.decode(content[: G1.BYTES])
    except BadPoint:
        raise file.bad("secret", "a token") from None
    salt = content[G1.BYTES :]
    if len(salt) < MIN_SALT_BYTES:
        raise file.bad("secret", "a salt")
    permits_required = file.flag("permits_required")
    server = file.hex("server", ID_BYTES) if file.text("server") else b""
    return Credential(
        gid, realm, file.hex("authority", ID_BYTES), _suite(file), permits_required, name,
        SecretBytes(salt), SecretPoint(token), server, file.text("url", MAX_URL_CHARS),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServerSecret:
    """A server's: which one it is in which realm, and s*Q. Ids are 32 bytes each."""

    gid: bytes
    realm: bytes
    authority: bytes
    suite: Suite
    server: bytes
    secret: SecretPoint[G2]


def server_secret_path(directory: Path, realm: bytes) -> Path:
    """Where a home keeps its server secret of a realm."""
    return directory / "mfa" / "servers" / f"{realm.hex()}.json"


def save_server_secret(path: Path, secret: ServerSecret, sealer: Sealer) -> None:
    """A new file. Raises UsageError where there is one."""
    sealed = sealer.seal(_server_context(secret.gid, secret.realm, secret.server), SecretBytes(_encoded(secret)))
    content = _json(
        {
            "format": SERVER_FORMAT, "gid": secret.gid.hex(), "realm": secret.realm.hex(),
            "authority": secret.authority.hex(), "suite": secret.suite.name, "server": secret.server.hex(),
            "sealed": sealed.hex(),
        }
    )  # fmt: skip
    make_directory(path.parent)
    write_new_file(path, content, "a server secret")


def load_server_secret(path: Path, sealer: Sealer) -> ServerSecret:
    """Raises UsageError, KeystoreError."""
    file = JsonFile.parse(read_file(path, "an M-Pin server's secret", MAX_FILE_BYTES), str(path), SERVER_FORMAT)
    file.only("gid", "realm", "authority", "suite", "server", "sealed")
    gid, realm, server = (file.hex(name, ID_BYTES) for name in ("gid", "realm", "server"))
    try:
        sealed = bytes.fromhex(file.text("sealed", 1_000))
        point = G2.decode(sealer.open(_server_context(gid, realm, server), sealed, str(path)).reveal())
    except ValueError:
        raise file.bad("sealed", "a sealed secret in hex") from None
    return ServerSecret(gid, realm, file.hex("authority", ID_BYTES), _suite(file), server, SecretPoint(point))


def _encoded(secret: ServerSecret) -> bytes:
    return secret.secret.reveal().encode()


def _client_context(gid: bytes, realm: bytes, name: str) -> bytes:
    return tagged("DTA-v1-mfa-client-file", gid, realm, name.encode("utf-8"))


def _server_context(gid: bytes, realm: bytes, server: bytes) -> bytes:
    return tagged("DTA-v1-mfa-server-file", gid, realm, server)


def _suite(file: JsonFile) -> Suite:
    number = _NUMBERS.get(file.text("suite"))
    if number is None:
        raise file.bad("suite", " or ".join(_NUMBERS))
    return Suite(number)


def _json(value: dict[str, object]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode("utf-8")
