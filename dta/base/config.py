"""A node's configuration: one TOML file in its home, ``node.toml``. Nothing in it is consensus, nothing is secret.

A home is also a client's (``client.toml``, ``trust.json``, ``identities/``): see :mod:`dta.base.home`.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dta.base.errors import UsageError
from dta.base.keystore_config import KeystoreConfig

NODE_FILE = "node.toml"
_MAX_CONFIG_BYTES = 65_536
_MAX_SOCKET_PATH_CHARS = 100  # the kernel's limit is 107


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
        """Sockets, pid files and status files; nothing in it outlives a start."""
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
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    if len(raw) > _MAX_CONFIG_BYTES:
        raise UsageError(f"{path} is too large to be a configuration")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None


def keystore_from_toml(table: dict[str, Any], base: Path) -> KeystoreConfig:
    """A ``[keystore]`` table; relative paths are under ``base``."""

    def path(name: str) -> Path | None:
        value = table.get(name)
        return None if value is None else (base / str(value))

    known = {"kind", "path", "module", "token_label", "pin_file"}
    unknown = sorted(set(table) - known)
    if unknown or "kind" not in table:
        raise UsageError(f"keystore: unknown or missing setting: {', '.join(unknown) or 'kind'}")
    token_label = table.get("token_label")
    return KeystoreConfig(
        kind=str(table["kind"]), path=path("path"), module=path("module"),
        token_label=None if token_label is None else str(token_label), pin_file=path("pin_file"),
    )  # fmt: skip


def keystore_to_toml(config: KeystoreConfig) -> str:
    """The lines of a ``[keystore]`` table, without its heading."""
    lines = [f'kind = "{config.kind}"']
    for name in ("path", "module", "token_label", "pin_file"):
        value = getattr(config, name)
        if value is not None:
            lines.append(f'{name} = "{_toml_text(str(value))}"')
    return "\n".join(lines) + "\n"


def _toml_text(value: str) -> str:
    if any(ord(char) < 0x20 or char in '"\\' for char in value):
        raise UsageError(f"a quote, backslash or control character can't stand in a configuration: {value!r}")
    return value


def load_node_config(home: Path) -> NodeConfig:
    """``node.toml`` of ``home``. Raises :class:`UsageError` naming what is wrong."""
    home = home.resolve()
    path = home / NODE_FILE
    table = read_toml(path)
    try:
        host, _, port = str(table["gateway"]["bind"]).rpartition(":")
        hooks = table.get("hooks", {})
        blocks = table.get("blocks", {})
        config = NodeConfig(
            home=home,
            chain_id=str(table["chain_id"]),
            identity=bytes.fromhex(table["identity"]),
            keystore=keystore_from_toml(table["keystore"], home),
            rpc_url=str(table["rpc_url"]),
            gateway_bind=(host, int(port)),
            blocks=str(blocks.get("store", "embedded")),
            kubo_api=str(blocks.get("kubo_api", "")),
            kubo_binary=str(blocks.get("kubo_binary", "")),
            kubo_gateway=str(blocks.get("kubo_gateway", "")),
            max_state_age_s=int(hooks.get("max_state_age_s", 60)),
            hook_concurrency=int(hooks.get("concurrency", 4)),
            comet_binary=str(table.get("comet_binary", "cometbft")),
        )
    except KeyError as error:
        raise UsageError(f"{path}: the setting {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None
    if len(str(config.abci_socket)) > _MAX_SOCKET_PATH_CHARS:
        raise UsageError(f"the path of {config.abci_socket} is too long for a socket", hint="use a shorter --home")
    return config


def write_node_config(config: NodeConfig) -> None:
    """Write ``node.toml``."""
    host, port = config.gateway_bind
    (config.home / NODE_FILE).write_text(
        f"""# A fiduciary's node. Nothing here is consensus: those parameters are in the ledger's state.
chain_id = "{_toml_text(config.chain_id)}"
identity = "{config.identity.hex()}"
rpc_url = "{_toml_text(config.rpc_url)}"
comet_binary = "{_toml_text(config.comet_binary)}"

# The token that holds the node key, the root and the vaults' keys.
[keystore]
{keystore_to_toml(config.keystore)}
# Where peers and clients fetch and put blocks.
[gateway]
bind = "{_toml_text(host)}:{port}"

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
""",
        encoding="utf-8",
    )
