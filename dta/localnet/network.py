"""Makes, starts and stops the nodes of a localnet, by the same commands that an operator types.

Everything is under one directory: a home for each node, a home for each client, the tokens, the PIN files. Ports are
``base + 10 * node``: peer-to-peer, then RPC, then the gateway, then Kubo's RPC and its gateway where a node has one.
Processes are found by the locks that they hold (dta/node/running.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from dta.base.config import load_node_config
from dta.base.errors import DtaError, TimedOut, UsageError
from dta.base.secret import SecretBytes
from dta.client.ledger import requests
from dta.client.ledger.rpc import Rpc
from dta.hsm import softhsm
from dta.hsm.provision import init_token
from dta.http.tls import vouched_by
from dta.node.running import children, holder, is_child, is_running, node_id, send

MAX_VALIDATORS = 7
DEFAULT_PORT_BASE = 27_000
STATE_FILE = "network.json"
SUPERVISOR = "node"
"""The process of a node that the others are children of."""
HEALTHY, UNHEALTHY, NOT_RUNNING = 0, 1, 2
"""Exit codes of ``dta status``."""

# A localnet is for looking at: its waits are short. Every node has them, for they are in genesis.
FAST_PARAMS = ("request_ttl_s=600", "close_vault_delay_s=5", "close_vault_delay_blocks=2", "min_veto_blocks=2")


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for. ``hsm``: softhsm or software. ``timeout_commit_ms`` sets the pace.

    ``blocks``: ``embedded``, ``kubo`` (each node runs a Kubo of its own, by ``kubo_binary``), or ``mixed``: every
    second node has one. ``joined``: how many nodes came after the founding.
    """

    validators: int
    hsm: str
    chain_id: str
    port_base: int
    comet_binary: str
    timeout_commit_ms: int = 500
    blocks: str = "embedded"
    kubo_binary: str = "ipfs"
    joined: int = 0


class CommandFailed(DtaError):
    """A ``dta`` command that the localnet ran did not succeed. ``data`` has its exit code and what it said."""

    kind = "command-failed"


class Network:
    """The localnet under ``root``. ``say`` gets a line for people at each step."""

    def __init__(self, root: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.root = root.absolute()
        self.say = say

    # --- where things are ---------------------------------------------------------------------------------------
    @property
    def plan(self) -> Plan:
        """What this localnet was made as. Raises UsageError when there is none."""
        try:
            return Plan(**json.loads((self.root / STATE_FILE).read_text()))
        except FileNotFoundError:
            raise UsageError(f"there is no localnet in {self.root}", hint="scripts/localnet.sh up") from None

    @property
    def exists(self) -> bool:
        return (self.root / STATE_FILE).exists()

    def home(self, node: int) -> Path:
        return self.root / f"node{node}"

    def client_home(self, name: str) -> Path:
        return self.root / "clients" / name

    def p2p_port(self, node: int) -> int:
        return self.plan.port_base + 10 * node

    def rpc_port(self, node: int) -> int:
        return self.plan.port_base + 10 * node + 1

    def gateway_port(self, node: int) -> int:
        return self.plan.port_base + 10 * node + 2

    def has_kubo(self, node: int) -> bool:
        """Whether the node's block store is a Kubo."""
        return self.plan.blocks == "kubo" or (self.plan.blocks == "mixed" and node % 2 == 1)

    def kubo_port(self, node: int) -> int:
        """Of Kubo's RPC API; its gateway has the next one."""
        return self.plan.port_base + 10 * node + 3

    def rpc_url(self, node: int) -> str:
        return f"http://127.0.0.1:{self.rpc_port(node)}"

    def door_url(self, node: int) -> str:
        return f"http://127.0.0.1:{self.gateway_port(node)}"

    def door_bind(self, node: int) -> str:
        return f"127.0.0.1:{self.gateway_port(node)}"

    @property
    def ca_file(self) -> Path | None:
        """Who vouches for the doors' certificates, where they have some."""
        return None

    def nodes(self) -> Iterator[int]:
        """All of them: the founders' and those that joined."""
        return iter(range(self.plan.validators + self.plan.joined))

    def environment(self) -> dict[str, str]:
        """What every process of the localnet runs with."""
        environment = dict(os.environ)
        environment[softhsm.CONFIG_VARIABLE] = str(self.root / "tokens" / "softhsm2.conf")
        return environment

    # --- making -------------------------------------------------------------------------------------------------
    def create(self, plan: Plan, parameters: Sequence[str] = ()) -> None:
        """Found the consortium: keys, documents, genesis in the order that real founders go.

        ``parameters``: ``name=value``, beside those of every localnet.
        """
        if not 1 <= plan.validators <= MAX_VALIDATORS:
            raise UsageError(f"a localnet has 1 to {MAX_VALIDATORS} validators")
        if self.exists:
            raise UsageError(f"there is a localnet in {self.root} already", hint="scripts/localnet.sh clean")
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.root / "pins").mkdir(mode=0o700)
        self._save(plan)
        if plan.hsm == "softhsm":
            softhsm.make_home(self.root / "tokens")
            os.environ[softhsm.CONFIG_VARIABLE] = str(self.root / "tokens" / "softhsm2.conf")
        self._write_environment_file()
        for node in self.nodes():
            self.say(f"fiduciary {node}: makes its keys")
            self._init_fiduciary(node)
        self.say("the founders agree on a genesis, and each signs its document under it")
        self._agree_on_genesis([*FAST_PARAMS, *parameters])

    def _save(self, plan: Plan) -> None:
        (self.root / STATE_FILE).write_text(json.dumps(asdict(plan), indent=2) + "\n")

    def _write_environment_file(self) -> None:
        """``env``: what a shell sources to have ``dta``, the CometBFT and the tokens of this localnet."""
        comet = shutil.which(self.plan.comet_binary) or self.plan.comet_binary
        lines = [f'export PATH="{Path(sys.executable).parent}:$PATH"', f'export DTA_COMETBFT="{comet}"']
        if self.plan.hsm == "softhsm":
            lines.append(f'export {softhsm.CONFIG_VARIABLE}="{self.root / "tokens" / "softhsm2.conf"}"')
        (self.root / "env").write_text("\n".join(lines) + "\n")

    def _init_fiduciary(self, node: int) -> None:
        arguments = ["init", "fiduciary", *self._node_arguments(node)]
        arguments += ["--timeout-commit-ms", str(self.plan.timeout_commit_ms)]
        self.dta(arguments, home=self.home(node))

    def join(self) -> int:
        """Make one more node with an identity of its own, by docs/runbooks/admit-a-fiduciary.md; its number.

        It is neither registered, nor started, nor admitted: see :meth:`admit`.
        """
        node, plan = self.plan.validators + self.plan.joined, self.plan
        founders = [word for other in range(plan.validators) for word in ("--node", self.door_url(other))]
        arguments = ["init", "join", *self._node_arguments(node), *founders]
        arguments += ["--genesis", str(self.root / "genesis.json"), "--peers", str(self.root / "draft.json")]
        self.dta(arguments, home=self.home(node))
        self._save(replace(plan, joined=plan.joined + 1))
        return node

    def admit(self, node: int, voters: Sequence[int] = (0, 1, 2), power: int = 10) -> str:
        """Have a node that joined registered, started, proposed and voted in; the proposal's id.

        The first of ``voters`` sponsors and proposes, the others vote.
        """
        first, *others = voters
        home = self.home(node)
        self.dta(["identity", "sponsor", str(home / "request.json")], home=self.home(first))
        self.start(node)
        self.wait_for_height(self.height(first), [node])
        card = str(home / "admission.json")
        arguments = ["governance", "propose", "admit", card, "--power", str(power)]
        proposal: str = self.dta_json(arguments, home=self.home(first))["proposal"]
        for voter in others:
            self.dta(["governance", "vote", proposal], home=self.home(voter))
        return proposal

    def _node_arguments(self, node: int) -> list[str]:
        """What the commands that make a fiduciary's node have in common."""
        plan = self.plan
        arguments = [
            "--name", f"fiduciary-{node}",
            "--gateway-url", self.door_url(node),
            "--gateway-bind", self.door_bind(node),
            "--p2p", f"127.0.0.1:{self.p2p_port(node)}", "--rpc-port", str(self.rpc_port(node)),
            "--comet-binary", plan.comet_binary, "--localnet",
        ]  # fmt: skip
        if self.has_kubo(node):
            arguments += [
                "--blocks", "kubo", "--kubo-binary", plan.kubo_binary,
                "--kubo-api", f"http://127.0.0.1:{self.kubo_port(node)}",
                "--kubo-gateway", f"127.0.0.1:{self.kubo_port(node) + 1}",
            ]  # fmt: skip
        for role in ("node", "operator", "next"):
            arguments += self._keystore_arguments(role, node)
        return arguments

    def _keystore_arguments(self, role: str, node: int) -> list[str]:
        label = f"{role}-{node}"
        pin_file = self.root / "pins" / label
        _write_pin(pin_file)
        if self.plan.hsm != "softhsm":
            return [f"--{role}-keystore", "software", f"--{role}-pin-file", str(pin_file)]
        module = softhsm.find_module()
        if module is None:
            raise UsageError("SoftHSM2 is not installed", hint="install softhsm2, or use --hsm software")
        so_pin = SecretBytes(secrets.token_hex(8).encode())
        init_token(module, label, so_pin, SecretBytes(pin_file.read_bytes().strip()))
        return [
            f"--{role}-keystore", "pkcs11", f"--{role}-module", str(module), f"--{role}-token", label,
            f"--{role}-pin-file", str(pin_file),
        ]  # fmt: skip

    def _agree_on_genesis(self, settings: Sequence[str]) -> None:
        founders = [str(self.home(node) / "founder.json") for node in self.nodes()]
        draft, genesis = self.root / "draft.json", self.root / "genesis.json"
        parameters = [argument for parameter in settings for argument in ("--param", parameter)]
        self.dta(["genesis", "draft", "--chain-id", self.plan.chain_id, *parameters, "--out", str(draft), *founders])
        signed = []
        for node in self.nodes():
            out = self.root / f"signed{node}.json"
            self.dta(["genesis", "sign", str(draft), "--out", str(out)], home=self.home(node))
            signed.append(str(out))
        self.dta(["genesis", "finish", str(draft), *signed, "--out", str(genesis)])
        for node in self.nodes():
            self.dta(["genesis", "install", str(genesis), "--peers", str(draft)], home=self.home(node))

    # --- commands -----------------------------------------------------------------------------------------------
    def dta(
        self, arguments: Sequence[str], *, home: Path | None = None, input_bytes: bytes | None = None,
        accept: Sequence[int] = (0,), timeout_s: float = 600.0,
    ) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
        """Run ``dta`` as a user would. Raises :class:`CommandFailed` for an exit code that is not in ``accept``."""
        done = subprocess.run(
            self.command(arguments, home), input=input_bytes, capture_output=True, env=self.environment(),
            timeout=timeout_s, check=False,
        )  # fmt: skip
        if done.returncode not in accept:
            said = _reason_of(done)
            raise CommandFailed(
                f"dta {' '.join(arguments[:2])} exited with {done.returncode}: {said}", hint="see the node's logs",
                data={"exit_code": done.returncode, "stderr": said[-2_000:]},
            )  # fmt: skip
        return done

    def command(self, arguments: Sequence[str], home: Path | None) -> list[str]:
        """What runs ``dta`` in a home."""
        return [sys.executable, "-m", "dta", *(["--home", str(home)] if home else []), *arguments]

    def dta_json(
        self, arguments: Sequence[str], *, home: Path, input_bytes: bytes | None = None, timeout_s: float = 600.0
    ) -> Any:
        """Run ``dta --json`` and parse what it printed."""
        done = self.dta(["--json", *arguments], home=home, input_bytes=input_bytes, timeout_s=timeout_s)
        return json.loads(done.stdout)

    # --- processes ----------------------------------------------------------------------------------------------
    def start(self, node: int) -> None:
        """Start one node in the background. Nothing happens when it runs."""
        home = self.home(node)
        if is_running(load_node_config(home)):
            return
        (home / "logs").mkdir(mode=0o700, exist_ok=True)
        with (home / "logs" / "node.log").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "dta", "--home", str(home), "start"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(), start_new_session=True,
            )  # fmt: skip

    def stop(self, node: int, timeout_s: float = 30.0) -> None:
        """Stop one node in order; kill it when it does not go."""
        pid = self.pid(node)
        if pid is None or not self.send_signal(node, SUPERVISOR, signal.SIGTERM):
            return
        if not _gone_within(pid, timeout_s):
            self.say(f"node {node} did not stop in {timeout_s:.0f} s: killed")
            self.send_signal(node, SUPERVISOR, signal.SIGKILL)
            _gone_within(pid, 5.0)

    def kill(self, node: int, *, supervisor: bool = True) -> None:
        """kill -9 of a whole node, whose processes go with their supervisor; without it they are started again."""
        for process in (SUPERVISOR,) if supervisor else ("door", "agent", "cometbft", "application"):
            self.send_signal(node, process, signal.SIGKILL)

    def send_signal(self, node: int, process: str, number: signal.Signals) -> bool:
        """Signal a node's supervisor (``node``) or a child of it, and no other process of the same number.

        False where there is none, as of children that went by themselves meanwhile.
        """
        config = load_node_config(self.home(node))
        supervisor = holder(config)
        if not supervisor:
            return False
        if process == SUPERVISOR:
            return send(supervisor, number, lambda: holder(config) == supervisor)
        pid = children(config, supervisor).get(process, {}).get("pid")
        return pid is not None and send(pid, number, lambda: is_child(pid, supervisor))

    def pid(self, node: int) -> int | None:
        """The pid of a running node's supervisor, or None."""
        return holder(load_node_config(self.home(node))) or None

    def child_pid(self, node: int, name: str) -> int | None:
        """The pid of ``application``, ``cometbft``, ``agent``, ``door`` or ``kubo`` of a node, or None."""
        config = load_node_config(self.home(node))
        pid = children(config, holder(config) or 0).get(name, {}).get("pid")
        return None if pid is None else int(pid)

    def up(self) -> None:
        """Start every node and wait until each is well and has a block that was made since.

        A node that was stopped has a height before anything runs; a write is taken when enough of them vote again and
        the gateways listen. Raises TimedOut, CommandFailed for a node that ended.
        """
        for node in self.nodes():
            self.start(node)
        for node in self.nodes():
            self._wait_for_health(node)
        newest = max(self.height(node) for node in self.nodes())
        self.wait_for_height(max(2, newest + 1))

    def status(self, node: int) -> tuple[int, dict[str, Any]]:
        """What ``dta status`` says of a node: its exit code (``HEALTHY``, unhealthy, ``NOT_RUNNING``), and its data."""
        done = self.dta(["--json", "status"], home=self.home(node), accept=(HEALTHY, UNHEALTHY, NOT_RUNNING))
        return done.returncode, json.loads(done.stdout)

    def _wait_for_health(self, node: int, timeout_s: float = 180.0) -> None:
        """Until ``dta status`` calls the node healthy. What keeps it from that for long is said."""
        deadline = time.monotonic() + timeout_s
        has_run, say_at_s, before = False, time.monotonic() + 10.0, ""
        while True:
            health, status = self.status(node)
            if health == HEALTHY and self.door_is_ready(node):
                return
            if has_run and health == NOT_RUNNING:
                raise CommandFailed(f"node {node} ended", hint=f"see {self.home(node)}/logs/node.log")
            has_run = has_run or health != NOT_RUNNING
            quiet = "it does not run" if health == NOT_RUNNING else "its door is not ready"
            said = "; ".join(status.get("trouble", [])) or quiet
            if time.monotonic() > deadline:
                raise TimedOut(f"node {node} is not well: {said}", hint=f"see {self.home(node)}/logs")
            if said != before and time.monotonic() > say_at_s:
                self.say(f"waiting for node {node}: {said}")
                before = said
            time.sleep(0.3)

    def door_is_ready(self, node: int) -> bool:
        """Whether the node's door says that ledger, blocks and events are there."""
        url, verify = f"{self.door_url(node)}/health/ready", vouched_by(self.ca_file)
        try:
            return httpx.get(url, trust_env=False, verify=verify, timeout=5).is_success
        except httpx.HTTPError:
            return False

    def down(self) -> None:
        """Stop every node, all at once."""
        pids = [(node, self.pid(node)) for node in self.nodes()]
        for node, _ in pids:
            self.send_signal(node, SUPERVISOR, signal.SIGTERM)
        for node, pid in pids:
            if pid is not None and not _gone_within(pid, 30.0):
                self.stop(node, timeout_s=0.0)

    def processes(self) -> list[str]:
        """The command lines of processes that have this localnet's directory in them; this one left out."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = entry.read_bytes().split(b"\0")
                if int(entry.parent.name) != os.getpid() and any(os.fsencode(self.root) in word for word in words):
                    found.append(" ".join(os.fsdecode(word) for word in words).strip())
        return found

    def remove(self) -> None:
        """Stop everything and delete the directory."""
        if self.exists:
            self.down()
        shutil.rmtree(self.root, ignore_errors=True)

    def troubles(self) -> list[str]:
        """What each node's agent says of itself and its last log lines: for the person who looks why."""
        lines = []
        for node in self.nodes():
            for name in ("run/agent-status.json", "logs/agent.log", "logs/node.log"):
                with contextlib.suppress(OSError):
                    tail = (self.home(node) / name).read_text(errors="replace").splitlines()[-25:]
                    lines += [f"--- node {node}: {name}", *tail]
        return lines

    # --- looking ------------------------------------------------------------------------------------------------
    def height(self, node: int) -> int:
        """The node's last committed height, 0 when it does not answer or somebody else does at its port."""
        try:
            with Rpc(self.rpc_url(node)) as rpc:
                found = rpc.call(requests.status())
        except DtaError:
            return 0
        own = node_id(load_node_config(self.home(node)))
        return found.latest_height if found.node_id.lower() == own else 0

    def app_hash(self, node: int, height: int) -> str:
        """What the node's header at ``height`` says of the state after the block before it, in hex."""
        return Rpc(self.rpc_url(node)).call(requests.commit(height)).header.app_hash.hex()

    def wait_for_height(self, height: int, nodes: Sequence[int] | None = None, timeout_s: float = 180.0) -> None:
        """Until every one of ``nodes`` (all by default) is at ``height`` or above. Raises TimedOut."""
        waiting = list(self.nodes() if nodes is None else nodes)
        deadline = time.monotonic() + timeout_s
        while waiting:
            waiting = [node for node in waiting if self.height(node) < height]
            if waiting and time.monotonic() > deadline:
                raise TimedOut(f"nodes {waiting} did not reach height {height}", hint=f"see {self.root}/node*/logs")
            time.sleep(0.2)


def _reason_of(done: subprocess.CompletedProcess[bytes]) -> str:
    """What the command said: the message of a JSON error, or what it wrote to stderr."""
    try:
        return str(json.loads(done.stdout)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return done.stderr.decode(errors="replace").strip()


def _write_pin(path: Path) -> None:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(8) + "\n")


def _gone_within(pid: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(ChildProcessError):
            # A child of ours stays a zombie until it is waited for; somebody else's is no business of ours.
            os.waitpid(pid, os.WNOHANG)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
