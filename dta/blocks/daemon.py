"""A Kubo daemon that belongs to one node: its repository, its configuration, its command line (Kubo 0.43).

It is a block store and nothing else: it listens on the loopback only, knows no peers, asks nobody for anything and
reports to nobody. Blocks reach other fiduciaries by our own gateway. docs/howto/kubo.md says what an operator sees.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dta.base import address
from dta.base.errors import UsageError

INIT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class KuboDaemon:
    """Where the daemon's repository is and where it listens. ``api`` and ``gateway``: (host, port) on the loopback.

    ``gateway`` None: Kubo's own gateway is off.
    """

    binary: str
    repository: Path
    api: tuple[str, int]
    gateway: tuple[str, int] | None

    def command(self) -> list[str]:
        """The argument list of the daemon; run it with :meth:`environment`."""
        # Offline: it opens no peer-to-peer host at all. A repository of another version is for its operator to
        # migrate, with a backup: never on the quiet.
        return [_found(self.binary), "daemon", "--offline", "--migrate=false"]

    def environment(self) -> dict[str, str]:
        """The process's environment: ours, the repository, and no reports to Kubo's authors."""
        return {**os.environ, "IPFS_PATH": str(self.repository), "IPFS_TELEMETRY": "off", "DO_NOT_TRACK": "1"}

    def prepare(self) -> None:
        """Make the repository where there is none, and set its configuration; to be called before each start.

        What an operator changed of the settings below is set back; other settings are left. Raises
        :class:`UsageError` where there is no Kubo, or it makes no repository.
        """
        binary = _found(self.binary)
        if not (self.repository / "config").exists():
            self._init(binary)
        path = self.repository / "config"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} can't be read: {error}", hint="restore it: it has the daemon's key") from None
        temporary = path.with_name("config.dta-new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(_merged(config, self._settings(config)), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def _init(self, binary: str) -> None:
        # Into place by a rename: a repository that was only half made is never taken for one.
        fresh = self.repository.with_name(self.repository.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        environment = {**self.environment(), "IPFS_PATH": str(fresh)}
        try:
            done = subprocess.run(
                [binary, "init", "--empty-repo"], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=INIT_TIMEOUT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"{binary} does not run: {type(error).__name__}", hint="see kubo_binary") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-500:]
            raise UsageError(f"Kubo made no repository in {fresh}: {said}", hint="see kubo_binary in node.toml")
        fresh.chmod(0o700)
        fresh.rename(self.repository)

    def _settings(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What is ours of Kubo's configuration (github.com/ipfs/kubo, docs/config.md). None deletes."""
        return {
            "Addresses": {
                "Swarm": [], "API": _multiaddr(self.api),
                "Gateway": _multiaddr(self.gateway) if self.gateway is not None else [],
            },
            # No peers: nothing to start from, nothing looked up, nothing announced, nothing found on the network.
            "Bootstrap": [],
            "Routing": {"Type": "none", "DelegatedRouters": []},
            "Ipns": {"DelegatedPublishers": []},
            "DNS": {"Resolvers": None},
            "AutoConf": {"Enabled": False},
            "Discovery": {"MDNS": {"Enabled": False}},
            "Provide": {"Enabled": False},
            "Bitswap": {"ServerEnabled": False},
            "HTTPRetrieval": {"Enabled": False},
            "AutoTLS": {"Enabled": False},
            "AutoNAT": {"ServiceMode": "disabled"},
            "Swarm": {
                "DisableNatPortMap": True, "RelayClient": {"Enabled": False}, "RelayService": {"Enabled": False},
            },
            "Version": {"SwarmCheckEnabled": False},
            # Its gateway gives what the repository has, raw or not at all.
            "Gateway": {
                "NoFetch": True, "NoDNSLink": True, "DeserializedResponses": False, "ExposeRoutingAPI": False,
            },
            "Datastore": {"Spec": _synced(config)},
        }  # fmt: skip


def daemon_of(binary: str, repository: Path, api_url: str, gateway: str) -> KuboDaemon:
    """The daemon of a node's settings: ``api_url`` as in ``http://127.0.0.1:5001``; ``gateway``: host:port or empty.

    Raises :class:`UsageError` unless both are on the loopback: Kubo's RPC lets anybody who reaches it do anything.
    """
    try:
        parts = urlsplit(api_url)
        api = _loopback(parts.hostname or "", parts.port or 0)
        if parts.scheme != "http" or parts.path.strip("/"):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"kubo_api is not an address on the loopback: {api_url!r}", hint="such as http://127.0.0.1:5001"
        ) from None
    if not gateway:
        return KuboDaemon(binary, repository, api, None)
    try:
        return KuboDaemon(binary, repository, api, _loopback(*address.split(gateway)))
    except ValueError:
        raise UsageError(
            f"kubo_gateway is not an address on the loopback: {gateway!r}", hint="such as 127.0.0.1:8080"
        ) from None


def _loopback(host: str, port: int) -> tuple[str, int]:
    if not ip_address(host).is_loopback or not 0 < port < 65_536:
        raise ValueError
    return host, port


def _multiaddr(where: tuple[str, int]) -> str:
    host, port = where
    return f"/ip{ip_address(host).version}/{host}/tcp/{port}"


def _synced(config: Mapping[str, Any]) -> dict[str, Any]:
    """The datastore as it is, with every flatfs syncing its writes: ``put`` promises to survive a power cut."""
    spec = dict(config["Datastore"]["Spec"])
    mounts = spec.get("mounts", [])
    spec["mounts"] = [mount | {"sync": True} if mount.get("type") == "flatfs" else mount for mount in mounts]
    return spec


def _merged(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for name, value in settings.items():
        before = merged.get(name)
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict) and isinstance(before, dict):
            merged[name] = _merged(before, value)
        else:
            merged[name] = value
    return merged


def _found(binary: str) -> str:
    found = shutil.which(binary)
    if found is None:
        raise UsageError(f"there is no Kubo at {binary}", hint="build it with scripts/localnet.sh, or set kubo_binary")
    return found
