"""``dta doctor``: what a fiduciary's node needs from its machine, its token and its peers, one check a line."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import httpx

from dta.base import address as addresses
from dta.base.config import NodeConfig
from dta.base.errors import DtaError, RpcError, UsageError
from dta.base.home import Home
from dta.client.ledger import requests
from dta.client.ledger.requests import Status
from dta.client.ledger.rpc import Rpc
from dta.hsm.doctor import diagnose
from dta.hsm.keystore import CheckStep
from dta.hsm.keystore import Status as StepStatus
from dta.hsm.pin import Prompt
from dta.http.deadline import DeadlineTransport
from dta.http.tls import vouched_by
from dta.light.hashes import header_hash, validators_hash
from dta.light.trust import TrustFile
from dta.node import tendermint_config, validator_key
from dta.node.running import Room, check_text, children, holder, lack_of_room, stranger, write_trouble
from dta.node.tendermint_config import HOW_TO_GET, listen_addresses, persistent_peers

COMET_VERSIONS = ("0.38.", "0.39.", "0.40.")
ABCI_MAJOR = "2."
CLOCK_TOLERANCE_S = 5
DISK_LIMITS: Final[tuple[tuple[StepStatus, Room], ...]] = (
    ("failure", Room(500 << 20, 1_000)), ("warning", Room(5 << 30, 10_000)),
)  # fmt: skip
SHARED_ADVICE = (
    "CometBFT takes one peer from an address: give each its own, or let everybody set private_network = true in "
    "comet.toml, then run `dta genesis install` (again; a node that joined later: allow_duplicate_ip in config.toml)"
)
_TIMEOUT_S = 5.0
_MAX_ANSWER_BYTES = 1 << 16


def examine(
    config: NodeConfig, *, running: bool, gateways: list[str], agent: dict[str, Any] | None, now_s: float,
    prompt: Prompt | None = None,
) -> Iterator[CheckStep]:  # fmt: skip
    """Every check, in order. ``gateways``: the other fiduciaries'; ``agent``: its status file, where there is one.

    ``now_s``: Unix seconds by the local clock. Nothing is raised: what can't be looked at is a failure that says so.
    """
    yield disk(config.home)
    yield from comet_version(config.comet_binary)
    yield sign_state(config.comet_home)
    if running:
        yield _processes(config)
    for name, address in listen_addresses(config.comet_home).items():
        yield _of_cometbft(config, port(f"{name} port", address, running), address, running)
    free_or_silent = port("gateway port", config.gateway_bind, running)
    yield _own_gateway(config) if running and free_or_silent.status == "ok" else free_or_silent
    yield places(*tendermint_config.places(config.comet_home))
    yield from _ledger(config, running, now_s)
    yield from diagnose(config.keystore, prompt=prompt)
    yield block_store(config)
    if running:
        yield _pinned(agent)
    verify = vouched_by(config.gateway.ca_file)
    for url in gateways:
        yield _gateway(url, now_s, verify)
    yield _state(config.home, agent, running)
    yield _hooks(agent, running)


def disk(home: Path) -> CheckStep:
    """How much is free where ``home`` is, or will be, and whether it takes writes."""
    refused = write_trouble(home)
    if refused:
        return CheckStep("disk", "failure", refused, "the node stops until that is over: docs/runbooks/full-disk.md")
    there = next(directory for directory in (home, *home.parents) if directory.is_dir())
    advice = "make room: a node that can't write ends itself rather than lose a block"
    for status, wanted in DISK_LIMITS:
        lack = lack_of_room(there, wanted)
        if lack:
            return CheckStep("disk", status, f"{lack} under {home}", advice)
    return CheckStep("disk", "ok", f"{shutil.disk_usage(there).free >> 20} MiB are free under {home}")


def comet_version(binary: str) -> Iterator[CheckStep]:
    """Whether CometBFT is there, runs, and is one that we know."""
    found = shutil.which(binary)
    if found is None:
        yield CheckStep("CometBFT", "failure", f"there is no {binary}", HOW_TO_GET)
        return
    try:
        done = subprocess.run([found, "version", "--verbose"], capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield CheckStep("CometBFT", "failure", f"{found} does not run: {type(error).__name__}", HOW_TO_GET)
        return
    try:
        said = json.loads(done.stdout)
        # What v0.38 still calls by its older name.
        version = str(said.get("cometbft") or said["tendermint"]).removeprefix("v")
        abci = str(said["abci"])
    except (ValueError, KeyError, TypeError, AttributeError):
        yield CheckStep("CometBFT", "failure", f"{found} does not say which version it is", "is it CometBFT?")
        return
    known = version.startswith(COMET_VERSIONS)
    yield CheckStep("CometBFT", "ok" if known else "failure", f"{found} is {version}", "" if known else HOW_TO_GET)
    speaks = abci.startswith(ABCI_MAJOR)
    detail = f"CometBFT speaks ABCI {abci}"
    yield CheckStep("ABCI", "ok" if speaks else "failure", detail, "" if speaks else HOW_TO_GET)


def sign_state(comet_home: Path) -> CheckStep:
    """Whether a start will find what this node has signed: without it `dta start` refuses."""
    name = "sign-state"
    try:
        validator_key.require_sign_state(validator_key.KeyFiles(comet_home))
    except UsageError as error:
        return CheckStep(name, "failure", error.message, error.hint)
    except OSError as error:
        return CheckStep(name, "failure", f"it can't be read: {error.strerror}", "whose is cometbft/data?")
    return CheckStep(name, "ok", "no consensus key here that has lost it")


def port(name: str, bound: tuple[str, int], running: bool) -> CheckStep:
    """Whether somebody listens on an address of this machine, or, where the node does not run, whether it is free."""
    host, number = bound
    where = addresses.join(host, number)
    if running:
        try:
            socket.create_connection((_reachable(host).strip("[]"), number), _TIMEOUT_S).close()
        except OSError as error:
            log = "door" if name.startswith("gateway") else "cometbft"
            said = error.strerror or "no answer in time"  # a time-out has none
            return CheckStep(name, "failure", f"nothing answers on {where}: {said}", f"see logs/{log}.log")
        return CheckStep(name, "ok", f"something listens on {where}")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(bound)
        except OSError as error:
            return CheckStep(name, "failure", f"{where} can't be bound: {error.strerror}", "another program has it?")
    return CheckStep(name, "ok", f"{where} is free")


def _of_cometbft(config: NodeConfig, step: CheckStep, bound: tuple[str, int], running: bool) -> CheckStep:
    """What has a port of CometBFT's while this node's is down is another program, whether it answers or not."""
    supervisor = holder(config) if running else None
    if not supervisor or children(config, supervisor).get("cometbft", {}).get("pid") is not None:
        return step
    taken = port(step.name, bound, running=False)
    if taken.status == "ok":
        return step
    advice = "another program has the port: stop it, or change the port in cometbft/config/config.toml"
    return CheckStep(step.name, "failure", f"{taken.detail}, and this node's cometbft is down", advice)


def _ledger(config: NodeConfig, running: bool, now_s: float) -> Iterator[CheckStep]:
    if not running:
        yield CheckStep("ledger", "warning", "the node is not running", f"dta --home {config.home} start")
        return
    try:
        with Rpc(config.rpc_url, timeout_s=_TIMEOUT_S, deadline_s=_TIMEOUT_S) as rpc:
            status, info, net = (
                rpc.call(requests.status()), rpc.call(requests.abci_info()), rpc.call(requests.net_info())
            )  # fmt: skip
    except DtaError as error:
        yield CheckStep("ledger", "failure", error.message, "see logs/cometbft.log and logs/application.log")
        return
    other = stranger(config, status.chain_id, status.node_id)
    if other:
        yield CheckStep("this node", "failure", other, "another program has the port: stop it, or change rpc_url")
        return
    yield CheckStep("this node", "ok", f"what answers at {config.rpc_url} is this node: {status.node_id}")
    if status.latest_height:
        yield _of_this_ledger(config)
    yield CheckStep("application", "ok", f"{info.name} {info.version} at height {info.height}")
    yield _peers(len(net.peers), len(persistent_peers(config.comet_home)))
    yield from _newest_block(config, status, now_s)


def _processes(config: NodeConfig) -> CheckStep:
    supervisor = holder(config)
    if supervisor == 0:
        detail = "the node runs where its processes can't be seen from"
        return CheckStep("processes", "warning", detail, "run this in its own container")
    found = children(config, supervisor or 0)
    down = [name for name, child in found.items() if child["pid"] is None]
    faults = [f"{name}: {child['fault']}" for name, child in found.items() if child.get("fault")]
    if down or faults or not found:
        detail = "; ".join([*(f"{name} is down" for name in down), *faults]) or "the supervisor started nothing yet"
        return CheckStep("processes", "failure", detail, f"it is started again; see {config.log_dir}")
    return CheckStep("processes", "ok", f"the supervisor's children run: {', '.join(found)}")


def _of_this_ledger(config: NodeConfig) -> CheckStep:
    """Whether the node has the block that this home trusts: a ledger founded anew may have the same name."""
    name = "this ledger"
    try:
        trust = TrustFile.load(Home(config.home).trust_file)
        height = trust.height if trust.header_hash else trust.height + 1
        with Rpc(config.rpc_url, timeout_s=_TIMEOUT_S, deadline_s=_TIMEOUT_S) as rpc:
            header = rpc.call(requests.commit(height)).header
    except RpcError:
        return CheckStep(name, "warning", "the block that this home trusts is not there any more", "it was pruned?")
    except DtaError as error:
        return CheckStep(name, "failure", error.message, error.hint)
    if trust.header_hash:
        same = header_hash(header) == trust.header_hash
    else:
        same = header.validators_hash == validators_hash(trust.validators)
    if not same:
        detail = f"its block {height} is not of the ledger {trust.gid.hex()}, which this home is on"
        return CheckStep(name, "failure", detail, "another ledger of the same name? its data is in cometbft/data")
    return CheckStep(name, "ok", f"its block {height} is of the ledger {trust.gid.hex()}")


def _own_gateway(config: NodeConfig) -> CheckStep:
    name, (host, port) = "gateway port", config.gateway_bind
    where = f"{_reachable(host)}:{port}"
    try:
        said = json.loads(_own_door(config, where).content)
        identity, chain_id = str(said["identity"]), str(said["chain_id"])
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError):
        return CheckStep(name, "failure", f"what answers at {where} is no door", "another program has the port")
    if (identity, chain_id) != (config.identity.hex(), config.chain_id):
        detail = f"what answers at {where} is the door of {identity} on {chain_id}"
        return CheckStep(name, "failure", detail, "another node has the port: stop it, or change bind in [gateway]")
    return CheckStep(name, "ok", f"what answers at {where} is this node's door")


def _own_door(config: NodeConfig, where: str) -> httpx.Response:
    """What this node's door says of itself. With TLS it has to have this node's own certificate, whatever its name."""
    certificate = config.gateway.tls_certificate
    if certificate is None:
        return _asked("GET", f"http://{where}/v1/status")
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return _asked("GET", f"https://{where}/v1/status", context)


def _reachable(host: str) -> str:
    if host in ("0.0.0.0", "", "::"):  # noqa: S104 - compared, not bound
        return "127.0.0.1" if host != "::" else "[::1]"
    return f"[{host}]" if ":" in host else host


def _peers(connected: int, configured: int) -> CheckStep:
    detail = f"connected to {connected} of {configured}"
    if connected < configured:
        advice = "are they up, and does a firewall let the p2p port through, both ways?"
        return CheckStep("peers", "failure" if connected == 0 else "warning", detail, advice)
    return CheckStep("peers", "ok", detail)


def _newest_block(config: NodeConfig, status: Status, now_s: float) -> Iterator[CheckStep]:
    if not status.latest_height:  # CometBFT dates it 1970 then
        yield _no_block(config, now_s)
        return
    age_s = int(now_s - status.latest_time.seconds)
    if status.catching_up:
        yield CheckStep("catching up", "warning", f"at height {status.latest_height}", "wait: hooks start after it")
    else:
        yield CheckStep("catching up", "ok", f"at the head, height {status.latest_height}")
    if age_s < -CLOCK_TOLERANCE_S:
        detail = f"this machine's clock is {-age_s} s behind the newest block"
        yield CheckStep("clock", "failure", detail, "set the clock, and let NTP keep it")
    elif age_s > config.max_state_age_s:
        detail = f"the newest block is {age_s} s old"
        yield CheckStep("clock", "warning", detail, "the chain is halted, this node is cut off, or its clock is ahead")
    else:
        yield CheckStep("clock", "ok", f"the newest block is {max(age_s, 0)} s old")


def _no_block(config: NodeConfig, now_s: float) -> CheckStep:
    begins_s = tendermint_config.genesis_time_s(config.comet_home)
    if begins_s is not None and begins_s > now_s:
        detail = f"there is none yet: the chain begins in {int(begins_s - now_s)} s, by its genesis"
        return CheckStep("first block", "warning", detail, "wait until then")
    advice = "it takes nodes of more than 2/3 of the power, connected to one another: are the other founders' up?"
    return CheckStep("first block", "warning", "there is none yet", advice)


def places(where: Mapping[str, str], may_share: bool) -> CheckStep:
    """Whether founders or peers stand behind one address. ``where``: who -> ``host:port``; ``may_share``: CometBFT's
    ``allow_duplicate_ip``, without which it takes one peer from an address and refuses the next without a word.
    """
    at: dict[str, list[str]] = {}
    unknown = []
    for who, place in where.items():
        try:
            host, _ = addresses.split(place)
            found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        except (OSError, ValueError):
            unknown.append(f"{who} ({place})")
            continue
        for one in found:
            at.setdefault(one, []).append(who)
    shared = [f"{', '.join(who)} at {one}" for one, who in sorted(at.items()) if len(who) > 1]
    if shared and not may_share:
        return CheckStep("addresses", "failure", f"behind one address: {'; '.join(shared)}", SHARED_ADVICE)
    if unknown:
        advice = "is the name right, and known to this machine's DNS?"
        return CheckStep("addresses", "warning", f"not found: {', '.join(unknown)}", advice)
    note = ", some share one, as configured" if shared else ""
    return CheckStep("addresses", "ok", f"{len(where)} looked at{note}")


def block_store(config: NodeConfig) -> CheckStep:
    """Whether the Kubo answers that has the blocks, or how many bytes are in the directory that has."""
    if config.blocks == "kubo":
        try:
            # Kubo's RPC takes POST only.
            answer = _asked("POST", f"{config.kubo_api.rstrip('/')}/api/v0/version")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            detail = f"Kubo at {config.kubo_api!r} does not answer: {type(error).__name__}"
            return CheckStep("block store", "failure", detail, "start it, or set kubo_api in node.toml")
        return CheckStep("block store", "ok" if answer.status_code == 200 else "failure", f"Kubo at {config.kubo_api}")
    blocks = config.blocks_dir
    if not blocks.is_dir():
        return CheckStep("block store", "warning", f"{blocks} is not there yet", "the agent makes it when it starts")
    size_bytes = sum(path.stat().st_size for path in blocks.rglob("*") if path.is_file())
    return CheckStep("block store", "ok", f"{size_bytes >> 10} KiB in {blocks}")


def _pinned(agent: dict[str, Any] | None) -> CheckStep:
    blocks = (agent or {}).get("blocks") or {}
    missing = blocks.get("missing_count", 0)
    named = len(blocks.get("missing") or [])
    detail = f"{blocks.get('pinned', 0)} pinned, {missing} missing"
    which = "which" if named == missing else f"which the first {named} are"
    advice = f"no peer's gateway had them yet; `dta status --json` says {which}" if missing else ""
    return CheckStep("blocks", "warning" if missing else "ok", detail, advice)


def _gateway(url: str, now_s: float, verify: ssl.SSLContext | bool = True) -> CheckStep:
    name = f"gateway {url}"
    try:
        answer = _asked("GET", f"{url.rstrip('/')}/ipfs/", verify)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        advice = "ask its operator; envelopes come from the others meanwhile"
        return CheckStep(name, "warning", f"does not answer: {type(error).__name__}", advice)
    try:
        skew_s = int(parsedate_to_datetime(answer.headers["Date"]).timestamp() - now_s)
    except (KeyError, ValueError, TypeError):
        return CheckStep(name, "ok", "answers")
    if abs(skew_s) > CLOCK_TOLERANCE_S:
        return CheckStep(name, "warning", f"its clock and ours are {abs(skew_s)} s apart", "one of them needs NTP")
    return CheckStep(name, "ok", "answers, and our clocks agree")


def _asked(method: str, url: str, verify: ssl.SSLContext | bool = True) -> httpx.Response:
    """An answer's status, headers and at most 64 KiB of its body, within the deadline. Raises what httpx raises."""
    # trust_env off: no proxy between a node and its own store.
    with (
        httpx.Client(timeout=_TIMEOUT_S, trust_env=False, transport=DeadlineTransport(_TIMEOUT_S, verify)) as client,
        client.stream(method, url) as response,
    ):
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                break
        return httpx.Response(response.status_code, headers=response.headers, content=bytes(body))


def _state(home: Path, agent: dict[str, Any] | None, running: bool) -> CheckStep:
    damaged = sorted(path.name for path in home.glob("state.corrupt-*"))
    if damaged:
        detail = f"a damaged state was moved aside: {', '.join(damaged)}"
        return CheckStep("state", "warning", detail, "look at the disk, then delete it: docs/runbooks/damaged-state.md")
    checked = (agent or {}).get("state_check") if running else None
    if checked is None:
        return CheckStep("state", "ok", "none was found damaged; its check runs when the node does")
    return CheckStep("state", "ok", check_text(checked))


def _hooks(agent: dict[str, Any] | None, running: bool) -> CheckStep:
    if not running:
        return CheckStep("hooks", "warning", "the node is not running", "they run when it does")
    if agent is None:
        return CheckStep("hooks", "failure", "the agent has said nothing", "see logs/agent.log")
    hooks = agent.get("hooks") or {}  # none before the runner started
    due, late = hooks.get("due", 0), hooks.get("late", 0)
    detail = f"{due} due, {late} late"
    return CheckStep("hooks", "warning" if late else "ok", detail, "`dta status --json` says which" if late else "")
