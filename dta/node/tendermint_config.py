"""CometBFT's files: its configuration rendered from our template, its keys and its sign-state.

Formats: CometBFT v0.38 to v0.40. Keys are Ed25519 in amino's JSON (``{"type": "tendermint/...", "value": base64}``);
64-bit integers are JSON strings.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nacl.signing import SigningKey

from dta.client.genesis.cometbft import address, public_key_json

HOW_TO_BUILD = (
    "build it: `. scripts/lib/bootstrap.sh; ensure_cometbft; echo $DTA_COMETBFT` in a checkout says where it is then"
)
HOW_TO_GET = f"{HOW_TO_BUILD}; name that in comet_binary of node.toml"
NEW_PLACE_CHECK_BLOCKS = 20

_PLACEHOLDER = re.compile(r"\{\{([a-z][a-z0-9_]*)\}\}")
_UNUSABLE = re.compile(r'["\\\x00-\x1f\x7f]')


class TemplateError(ValueError):
    """A template and its values do not fit. Each field names placeholders; at least one is not empty."""

    def __init__(
        self, missing: Sequence[str], unknown: Sequence[str], unusable: Sequence[str], malformed: bool
    ) -> None:
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)
        self.unusable = tuple(unusable)
        self.malformed = malformed
        said = [f"no value for {name}" for name in self.missing]
        said += [f"nothing in the template is called {name}" for name in self.unknown]
        said += [f"the value of {name} has a quote, a backslash or a control character" for name in self.unusable]
        said += ["the template has braces that are no placeholder"] * malformed
        super().__init__("; ".join(said))


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs from node to node. Addresses are CometBFT's: ``unix:///path``, ``tcp://127.0.0.1:26657``.

    ``persistent_peers`` is ``id@host:port,...``. ``timeout_commit_ms`` sets the pace of the chain and should be the
    same everywhere. ``double_sign_check_height_blocks`` is explained in the template.
    """

    moniker: str
    proxy_app: str
    rpc_laddr: str = "tcp://127.0.0.1:26657"
    p2p_laddr: str = "tcp://127.0.0.1:26656"
    external_address: str = ""
    persistent_peers: str = ""
    priv_validator_laddr: str = ""
    addr_book_strict: bool = True
    allow_duplicate_ip: bool = False
    timeout_commit_ms: int = 1000
    double_sign_check_height_blocks: int = 0
    log_level: str = "info"

    def values(self) -> dict[str, str]:
        """The template's placeholders, each with its text."""
        return {
            "moniker": self.moniker,
            "proxy_app": self.proxy_app,
            "rpc_laddr": self.rpc_laddr,
            "p2p_laddr": self.p2p_laddr,
            "external_address": self.external_address,
            "persistent_peers": self.persistent_peers,
            "priv_validator_laddr": self.priv_validator_laddr,
            "addr_book_strict": "true" if self.addr_book_strict else "false",
            "allow_duplicate_ip": "true" if self.allow_duplicate_ip else "false",
            "timeout_commit": f"{self.timeout_commit_ms}ms",
            "double_sign_check_height": str(self.double_sign_check_height_blocks),
            "log_level": self.log_level,
        }


def render(template: str, values: Mapping[str, str]) -> str:
    """``template`` with each ``{{name}}`` replaced by its value; a value is never itself expanded.

    Raises :class:`TemplateError` when a placeholder has no value, a value has no placeholder, a value could end
    the TOML string it stands in, or braces are left that are no placeholder.
    """
    wanted = set(_PLACEHOLDER.findall(template))
    rest = _PLACEHOLDER.sub("", template)
    missing = sorted(wanted - set(values))
    unknown = sorted(set(values) - wanted)
    unusable = sorted(name for name, value in values.items() if _UNUSABLE.search(value))
    malformed = "{{" in rest or "}}" in rest
    if missing or unknown or unusable or malformed:
        raise TemplateError(missing, unknown, unusable, malformed)
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], template)


def load_template() -> str:
    """The text of ``config.toml.template``: the checkout's, or the one installed with the package.

    Raises FileNotFoundError when neither is there.
    """
    name = Path("tendermint", "config.toml.template")
    in_checkout = Path(__file__).resolve().parents[2] / "config" / name
    installed = Path(sys.prefix) / "share" / "dta" / name
    return (in_checkout if in_checkout.is_file() else installed).read_text(encoding="utf-8")


def new_validator_key(path: Path) -> bytes:
    """Writes a new consensus key in CometBFT's form, mode 0600, and returns the public key (32 bytes).

    Raises FileExistsError rather than replace a key. The key needs a sign-state too: :func:`new_sign_state`.
    """
    key = SigningKey.generate()
    public = bytes(key.verify_key)
    document = {
        "address": address(public).hex().upper(),
        "pub_key": public_key_json(public),
        "priv_key": _private_key_json(key),
    }
    _write_new(path, document)
    return public


def new_sign_state(path: Path) -> None:
    """Writes the sign-state of a key that has signed nothing yet, mode 0600.

    Raises FileExistsError when there is one: replacing it would let the key sign a height twice.
    """
    _write_new(path, {"height": "0", "round": 0, "step": 0})


def double_sign_check_height_blocks(sign_state: Path) -> int:
    """How far back CometBFT is to look for this key's own signatures at its next start, by what it signed here.

    Nothing yet: 20, for the key may still run elsewhere. Otherwise 0: the sign-state protects a restart, and a
    look back would stop it (when every validator restarts, for ever: docs/howto/development.md). Give the answer to
    each start, as ``--consensus.double_sign_check_height``. Raises FileNotFoundError when there is no sign-state: a
    key must not be used without.
    """
    signed = int(json.loads(sign_state.read_text(encoding="utf-8"))["height"])
    return 0 if signed else NEW_PLACE_CHECK_BLOCKS


def external_signer(comet_home: Path) -> str:
    """Where CometBFT waits for the signer that has its key (``priv_validator_laddr``); empty: the key is in a file.

    Read from the ``config.toml`` that CometBFT itself reads; one that can't be read has none.
    """
    return str(_configured(comet_home).get("priv_validator_laddr", ""))


def listen_addresses(comet_home: Path) -> dict[str, tuple[str, int]]:
    """Where CometBFT listens by its own ``config.toml``: ``p2p`` and ``rpc``, those of TCP that can be read."""
    found = {}
    table = _configured(comet_home)
    for name in ("p2p", "rpc"):
        section = table.get(name)
        laddr = section.get("laddr", "") if isinstance(section, dict) else ""
        host, _, port = str(laddr).removeprefix("tcp://").rpartition(":")
        if port.isdecimal():
            found[name] = (host.strip("[]"), int(port))
    return found


def persistent_peers(comet_home: Path) -> list[str]:
    """The peers that CometBFT keeps connections to, each ``id@host:port``."""
    section = _configured(comet_home).get("p2p")
    peers = section.get("persistent_peers", "") if isinstance(section, dict) else ""
    return [peer for peer in str(peers).split(",") if peer]


def places(comet_home: Path) -> tuple[dict[str, str], bool]:
    """Where this node and its peers are reached (who -> ``host:port``); whether they may share an address."""
    section = _configured(comet_home).get("p2p")
    table = section if isinstance(section, dict) else {}
    found = {"this node": str(table["external_address"])} if table.get("external_address") else {}
    for peer in persistent_peers(comet_home):
        id_, _, place = peer.partition("@")
        found[f"node {id_[:8]}"] = place
    return found, table.get("allow_duplicate_ip") is True


def genesis_time_s(comet_home: Path) -> int | None:
    """When the chain begins, in Unix seconds, by CometBFT's genesis file; None where that can't be read."""
    try:
        said = json.loads((comet_home / "config/genesis.json").read_text(encoding="utf-8"))
        return int(datetime.strptime(said["genesis_time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _configured(comet_home: Path) -> dict[str, object]:
    try:
        return tomllib.loads((comet_home / "config/config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def new_node_key(path: Path) -> str:
    """Writes a new key for CometBFT's peer-to-peer connections, mode 0600, and returns the node's id (40 hex digits).

    Raises FileExistsError rather than replace a key.
    """
    key = SigningKey.generate()
    _write_new(path, {"priv_key": _private_key_json(key)})
    return address(bytes(key.verify_key)).hex()


def _private_key_json(key: SigningKey) -> dict[str, str]:
    value = bytes(key) + bytes(key.verify_key)
    return {"type": "tendermint/PrivKeyEd25519", "value": b64encode(value).decode("ascii")}


def _write_new(path: Path, document: Mapping[str, object]) -> None:
    """Creates ``path`` (never replaces it) readable by its owner only, and waits until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write((json.dumps(document, indent=2) + "\n").encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
