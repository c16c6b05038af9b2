"""A node's configuration: one TOML file in its home, ``node.toml``. Nothing in it is consensus, nothing is secret.

A home is also a client's (``client.toml``, ``trust.json``, ``identities/``): see :mod:`dta.base.home`.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dta.base import address, place
from dta.base.errors import UsageError
from dta.base.keystore_config import DEFAULT_SESSIONS, KeystoreConfig

if TYPE_CHECKING:
    from dta.base.settings import Gateway, Keystore

NODE_FILE = "node.toml"
RPC_UNITS_PER_MINUTE: Final = 12_000
IDENTITY_UPLOADS_PER_MINUTE: Final = 600
ADDRESS_UPLOADS_PER_MINUTE: Final = 1_200
"""The rates where nobody says others: node.toml, or who makes a door or a gateway."""
_MAX_CONFIG_BYTES = 65_536
_MAX_SOCKET_PATH_BYTES = 107  # sun_path has 108, the last of them 0: unix(7)


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """The rest of ``[gateway]``: the public door's. Paths are absolute; ``socket`` None: in the home's ``run/``.

    ``trusted_proxies`` and ``fiduciary_addresses`` are IP addresses.
    """

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    fiduciary_addresses: tuple[str, ...] = ()
    rpc_units_per_minute: int = RPC_UNITS_PER_MINUTE
    identity_uploads_per_minute: int = IDENTITY_UPLOADS_PER_MINUTE
    address_uploads_per_minute: int = ADDRESS_UPLOADS_PER_MINUTE
    socket: Path | None = None
    start_door: bool = True
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What ``dta start`` and the agent run with. Paths are absolute.

    ``blocks``: embedded or kubo. ``kubo_binary``: where it is given, ``dta start`` runs a Kubo of the node's own, at
    ``kubo_api`` and with a gateway at ``kubo_gateway`` (host:port; empty: none).
    """

    home: Path
    chain_id: str
    identity: bytes
    keystore: KeystoreConfig
    rpc_url: str
    gateway_bind: tuple[str, int]
    gateway: DoorSettings = DoorSettings()
    blocks: str = "embedded"
    kubo_api: str = ""
    kubo_binary: str = ""
    kubo_gateway: str = ""
    max_state_age_s: int = 60
    hook_concurrency: int = 4
    comet_binary: str = "cometbft"

    @property
    def comet_home(self) -> Path:
        """CometBFT's own home: its configuration, keys and block store."""
        return self.home / "cometbft"

    @property
    def run_dir(self) -> Path:
        """Sockets, the supervisor's lock and status files; nothing in it outlives a start."""
        return self.home / "run"

    @property
    def log_dir(self) -> Path:
        return self.home / "logs"

    @property
    def abci_socket(self) -> Path:
        return self.run_dir / "abci.sock"

    @property
    def state_socket(self) -> Path:
        return self.run_dir / "state.sock"

    @property
    def gateway_socket(self) -> Path:
        """Where the agent's gateway listens, and the door asks."""
        return self.gateway.socket or self.run_dir / "gateway.sock"

    @property
    def door_dir(self) -> Path:
        """What the door keeps: its index of events, which it can make again."""
        return self.home / "door"

    @property
    def status_file(self) -> Path:
        """What the agent says of itself, rewritten every few seconds."""
        return self.run_dir / "agent-status.json"

    @property
    def blocks_dir(self) -> Path:
        return self.home / "blocks"

    @property
    def kubo_dir(self) -> Path:
        """The repository of the node's own Kubo."""
        return self.home / "kubo"

    @property
    def outbox_dir(self) -> Path:
        return self.home / "outbox"

    @property
    def hung_jobs_file(self) -> Path:
        """With which jobs the HSM hung, for the agent's next process. Disposable."""
        return self.home / "hung-jobs.json"


def debugging() -> bool:
    """``DTA_DEBUG=1``: faults of this program are shown with their traceback, and the agent logs at debug level."""
    return os.environ.get("DTA_DEBUG") == "1"


def read_toml(path: Path) -> dict[str, Any]:
    """A configuration file as a dictionary. Raises :class:`UsageError` naming the file."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no {path}", hint="run `dta init` first, or give --home") from None
    except OSError as error:
        raise place.failure(error, f"can't read {path}") from None
    if len(raw) > _MAX_CONFIG_BYTES:
        raise UsageError(f"{path} is too large to be a configuration")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, tables in tables in tables
        raise UsageError(f"{path} is no configuration that can be read") from None


def keystore_from(table: Keystore, base: Path) -> KeystoreConfig:
    """A ``[keystore]`` table; relative paths are under ``base``."""

    def path(value: str | None) -> Path | None:
        # Without "..", so that one keystore is one however a file names it.
        return None if value is None else Path(os.path.normpath(base / value))

    return KeystoreConfig(
        kind=table.kind, path=path(table.path), module=path(table.module), token_label=table.token_label,
        pin_file=path(table.pin_file), sessions=table.sessions,
    )  # fmt: skip


def keystore_to_toml(config: KeystoreConfig, base: Path, home: Path) -> str:
    """The lines of a ``[keystore]`` table, without its heading, for a file in ``base``.

    What is below ``home`` is named relative to ``base``: a home that is moved takes its keystores along.
    """
    lines = [f'kind = "{config.kind}"']
    for name in ("path", "module", "token_label", "pin_file"):
        value = getattr(config, name)
        if isinstance(value, Path) and value.is_relative_to(home):
            value = os.path.relpath(value, base)
        if value is not None:
            lines.append(f'{name} = "{_toml_text(str(value))}"')
    if config.sessions != DEFAULT_SESSIONS:
        lines.append(f"sessions = {config.sessions}")
    return "\n".join(lines) + "\n"


def _toml_text(value: str) -> str:
    if any(ord(char) < 0x20 or char in '"\\' for char in value):
        raise UsageError(f"a quote, backslash or control character can't stand in a configuration: {value!r}")
    return value


def check_home(home: Path) -> None:
    """Raise UsageError where the paths of a node's sockets below ``home`` would be longer than the kernel takes."""
    for name in ("abci.sock", "state.sock", "gateway.sock"):
        socket = home / "run" / name
        length = len(os.fsencode(socket))
        if length > _MAX_SOCKET_PATH_BYTES:
            raise UsageError(
                f"the path of {socket} is too long for a socket: {length} bytes of at most {_MAX_SOCKET_PATH_BYTES}",
                hint="use a shorter --home",
            )


def load_node_config(home: Path) -> NodeConfig:
    """``node.toml`` of ``home``. Raises :class:`UsageError` naming file, key and what was meant."""
    home = home.resolve()
    path = home / NODE_FILE
    config = _checked(home, read_toml(path), path)
    check_home(home)
    return config


def _checked(home: Path, table: dict[str, Any], path: Path) -> NodeConfig:
    from dta.base.settings import NodeFile, checked  # pydantic: only where a file is read

    file = checked(NodeFile, table, path)
    return NodeConfig(
        home=home, chain_id=file.chain_id, identity=bytes.fromhex(file.identity),
        keystore=keystore_from(file.keystore, home), rpc_url=file.rpc_url,
        gateway_bind=address.split(file.gateway.bind), gateway=_gateway(file.gateway, home),
        blocks=file.blocks.store, kubo_api=file.blocks.kubo_api, kubo_binary=file.blocks.kubo_binary,
        kubo_gateway=file.blocks.kubo_gateway,
        max_state_age_s=file.hooks.max_state_age_s, hook_concurrency=file.hooks.concurrency,
        comet_binary=file.comet_binary,
    )  # fmt: skip


def _gateway(table: Gateway, home: Path) -> DoorSettings:
    def path(value: str | None) -> Path | None:
        return None if value is None else Path(os.path.normpath(home / value))

    socket = path(table.socket)
    return DoorSettings(
        tls_certificate=path(table.tls_certificate), tls_key=path(table.tls_key),
        trusted_proxies=tuple(table.trusted_proxies), fiduciary_addresses=tuple(table.fiduciary_addresses),
        rpc_units_per_minute=table.rpc_units_per_minute,
        identity_uploads_per_minute=table.identity_uploads_per_minute,
        address_uploads_per_minute=table.address_uploads_per_minute,
        socket=None if socket == home / "run/gateway.sock" else socket, start_door=table.start_door,
        ca_file=path(table.ca_file),
    )  # fmt: skip


def _gateway_toml(config: NodeConfig) -> str:
    """The lines of ``[gateway]`` that are not as they are by default."""
    gateway, plain = config.gateway, DoorSettings()
    lines = [f'bind = "{_toml_text(address.join(*config.gateway_bind))}"']
    for name in ("tls_certificate", "tls_key", "socket", "ca_file"):
        value = getattr(gateway, name)
        if value is not None:
            inside = value.is_relative_to(config.home)
            lines.append(f'{name} = "{_toml_text(os.path.relpath(value, config.home) if inside else str(value))}"')
    for name in ("trusted_proxies", "fiduciary_addresses"):
        listed = ", ".join(f'"{_toml_text(one)}"' for one in getattr(gateway, name))
        lines += [f"{name} = [{listed}]"] if listed else []
    for name in ("rpc_units_per_minute", "identity_uploads_per_minute", "address_uploads_per_minute"):
        rate = getattr(gateway, name)
        lines += [f"{name} = {rate}"] if rate != getattr(plain, name) else []
    if not gateway.start_door:
        lines.append("start_door = false")
    return "\n".join(lines)


def check_node_config(config: NodeConfig) -> None:
    """Raise UsageError where ``config`` could not be read again: before keys are made for a node, say."""
    check_home(config.home.resolve())
    _node_toml(config)


def write_node_config(config: NodeConfig) -> None:
    """Write ``node.toml``. Raises UsageError, and writes nothing, where it could not be read again."""
    written, path = _node_toml(config), config.home / NODE_FILE
    try:
        path.write_text(written, encoding="utf-8")
    except OSError as error:
        raise place.failure(error, f"can't write {path}") from error


def _node_toml(config: NodeConfig) -> str:
    written = f"""# A fiduciary's node. Nothing here is consensus: those parameters are in the ledger's state.
chain_id = "{_toml_text(config.chain_id)}"
identity = "{config.identity.hex()}"
rpc_url = "{_toml_text(config.rpc_url)}"
comet_binary = "{_toml_text(config.comet_binary)}"

# The token that holds the node key, the root and the vaults' keys.
[keystore]
{keystore_to_toml(config.keystore, config.home, config.home)}
# The public door: all that peers and clients reach of this node. With tls_certificate and tls_key it speaks TLS itself;
# behind a proxy, trusted_proxies names that. `dta config explain gateway` has the rest.
[gateway]
{_gateway_toml(config)}

[blocks]
store = "{_toml_text(config.blocks)}"
kubo_api = "{_toml_text(config.kubo_api)}"
# Where a program is named, `dta start` runs it as this node's own Kubo, in kubo/ below this directory. Empty: the
# Kubo at kubo_api is somebody else's to run.
kubo_binary = "{_toml_text(config.kubo_binary)}"
kubo_gateway = "{_toml_text(config.kubo_gateway)}"

[hooks]
# A node whose last block is older acts on nothing: it may be cut off, and what it sees may since be vetoed.
max_state_age_s = {config.max_state_age_s}
concurrency = {config.hook_concurrency}
"""
    _checked(config.home, tomllib.loads(written), config.home / NODE_FILE)
    return written
