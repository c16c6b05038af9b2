"""A home: the one directory in which somebody's files live, a client's and a node's alike.

``client.toml`` (which ledger, which nodes to ask, who I am by default), ``genesis.json``, ``trust.json``,
``identities/<name>/``; a fiduciary's home has ``node.toml``, ``founder.json``, ``comet.toml`` and ``cometbft/`` too.
Directories are made with mode 0700 and files with 0600; every file is replaced as a whole.
"""

from __future__ import annotations

import os
import secrets
import stat
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abci_app import limits, text
from dta.base import place
from dta.base.config import read_toml
from dta.base.errors import UsageError

HOME_VARIABLE = "DTA_HOME"
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
_NO_HOME = f"give --home, or set {HOME_VARIABLE}"
MAX_FILE_BYTES = 32 * 1024 * 1024


def default_home() -> Path:
    """``$DTA_HOME``, or ``~/.dta``. Raises UsageError where there is neither."""
    named = os.environ.get(HOME_VARIABLE)
    try:
        return Path(named) if named else Path.home() / ".dta"
    except RuntimeError:
        raise UsageError("this user has no home directory to work in: HOME is not set", hint=_NO_HOME) from None


def write_file(path: Path, content: bytes, mode: int = FILE_MODE) -> None:
    """Replaces ``path`` durably: after a crash there is the old file or the new one, whole. Raises UsageError.

    Only a file is replaced, the one that a link leads to: never the link, nor a device, a pipe or a directory.
    """
    path = replaceable(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise place.failure(error, f"can't write {path}") from error


def write_disposable(path: Path, text: str | bytes) -> None:
    """Replaces ``path`` at once, not durably: whoever reads it finds the old file or the new one, whole, and after a
    crash of the machine perhaps neither. For what is made anew where it is lost. Raises OSError."""
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
    temporary.replace(path)


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable: fsync of a file does not cover its name. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replaceable(path: Path) -> Path:
    """Where a file at ``path`` is: nothing is there yet, or a regular file. Raises UsageError for anything else."""
    try:
        real = path.resolve(strict=True)
        kind = real.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise UsageError(f"{path} is a link to nowhere", hint="remove it, or name the file itself") from None
        return path
    except OSError as error:
        raise place.failure(error, f"can't look at {path}") from error
    except RuntimeError:
        raise UsageError(f"{path} is a link that leads to itself", hint="remove it, or name the file itself") from None
    if not stat.S_ISREG(kind):
        raise UsageError(f"{path} is no file, and is not replaced by one", hint="name a file, or pipe standard output")
    return real


def write_new_file(path: Path, content: bytes, what: str) -> None:
    """The same for a file that must not be there yet. Raises UsageError."""
    if path.exists() or path.is_symlink():
        raise UsageError(f"there is {what} at {path} already", hint="it is never overwritten: choose another place")
    write_file(path, content)


def read_file(path: Path, what: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """A file's bytes, at most ``max_bytes``. Raises UsageError naming it."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise place.failure(error, f"can't read {what} {path}") from None
    if len(content) > max_bytes:
        raise UsageError(f"{path} is too large to be {what}")
    return content


def make_directory(path: Path) -> Path:
    """Makes ``path`` and its parents, each new one with mode 0700."""
    try:
        for directory in (*reversed(path.parents), path):
            if not directory.is_dir():
                directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    except OSError as error:
        raise place.failure(error, f"can't make the directory {path}") from error
    return path


def toml_string(value: str) -> str:
    """``value`` as a TOML string, quotes included. Raises UsageError for what would need an escape."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F or char in '"\\' for char in value):
        raise UsageError(f"a quote, backslash or control character can't stand in a configuration: {value!r}")
    return f'"{value}"'


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """``client.toml``. ``gid``: the ledger's genesis id, 32 bytes.

    ``nodes``: fiduciaries' doors, base URLs, in the order in which they are asked; ``rpc_urls``: CometBFT's RPC of
    nodes of one's own, which are asked before them. ``ca_file``: who vouches for the doors' certificates, where it is
    not the system; absolute.
    """

    chain_id: str
    gid: bytes
    rpc_urls: tuple[str, ...] = ()
    default_identity: str = ""
    nodes: tuple[str, ...] = ()
    ca_file: Path | None = None


class Home:
    """The files of one home, by name. ``path`` is absolute."""

    def __init__(self, path: Path) -> None:
        try:
            self.path = path.expanduser().absolute()
        except RuntimeError:
            raise UsageError(f"nobody's home is meant by {str(path)!r}", hint=_NO_HOME) from None

    @property
    def client_file(self) -> Path:
        return self.path / "client.toml"

    @property
    def genesis_file(self) -> Path:
        return self.path / "genesis.json"

    @property
    def trust_file(self) -> Path:
        return self.path / "trust.json"

    @property
    def ca_file(self) -> Path:
        """Who vouches for the doors' certificates, where it is not the system: PEM."""
        return self.path / "ca.pem"

    @property
    def founder_file(self) -> Path:
        """What a founder hands to the others: public."""
        return self.path / "founder.json"

    @property
    def keystores_dir(self) -> Path:
        """Where software keystores go when nobody says otherwise."""
        return self.path / "keystores"

    @property
    def identities_dir(self) -> Path:
        return self.path / "identities"

    def profile_dir(self, name: str) -> Path:
        """Where the identity called ``name`` lives. Raises UsageError for what can't be a directory's name."""
        return self.identities_dir / checked_profile_name(name)

    def profile_names(self) -> list[str]:
        """The identities of this home, sorted."""
        if not self.identities_dir.is_dir():
            return []
        return sorted(path.parent.name for path in self.identities_dir.glob("*/profile.toml"))

    def load_client(self) -> ClientConfig:
        """``client.toml``. Raises UsageError naming what is wrong."""
        return _client_from_toml(read_toml(self.client_file), self.client_file)

    def save_client(self, config: ClientConfig) -> None:
        """Writes ``client.toml``. Raises UsageError for what may not stand in it."""
        lines = [
            "# Which ledger, which nodes to ask (in this order), and whose name to act in where none is given.",
            f"chain_id = {toml_string(config.chain_id)}",
            f'gid = "{config.gid.hex()}"',
        ]
        for name, urls in (("nodes", config.nodes), ("rpc", config.rpc_urls)):
            if urls:
                lines.append(f"{name} = [{', '.join(toml_string(url) for url in urls)}]")
        if config.ca_file is not None:
            named = self.ca_file.name if config.ca_file == self.ca_file else str(config.ca_file)
            lines.append(f"ca_file = {toml_string(named)}")
        lines += [
            f"identity = {toml_string(config.default_identity)}",
        ]
        written = "\n".join(lines) + "\n"
        _client_from_toml(tomllib.loads(written), self.client_file)  # what could not be read again is not written
        write_file(self.client_file, written.encode("utf-8"))

    def set_default_identity(self, name: str) -> None:
        """Whose name to act in where none is given."""
        self.save_client(replace(self.load_client(), default_identity=name))


def checked_profile_name(name: str) -> str:
    """``name``, when it can be a directory's: a label that starts with a letter or digit. Raises UsageError."""
    if not text.is_label(name, limits.MAX_NAME_CHARS) or name[0] in "-._":
        raise UsageError(
            f"an identity's local name has lower-case letters, digits and -._, and starts with one of the first two: "
            f"not {name!r}"
        )
    return name


def _client_from_toml(table: dict[str, Any], path: Path) -> ClientConfig:
    from dta.base.settings import ClientFile, checked  # pydantic: only where a file is read

    file = checked(ClientFile, table, path)
    ca_file = None if file.ca_file is None else Path(os.path.normpath(path.parent / file.ca_file))
    return ClientConfig(
        file.chain_id, bytes.fromhex(file.gid), tuple(file.rpc), file.identity, tuple(file.nodes), ca_file
    )
