"""``dta status``, and what it looks at: the supervisor's file, the agent's file, and what CometBFT says of itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import typer

from dta.base.config import NodeConfig, load_node_config
from dta.base.errors import DtaError, UsageError
from dta.base.home import Home
from dta.cli.session import session_of
from dta.node.running import (
    START_ABOVE,
    STOP_BELOW,
    check_text,
    children,
    holder,
    lack_of_room,
    read_status_file,
    stranger,
    write_trouble,
)

HEALTHY = 0
UNHEALTHY = 1
NOT_RUNNING = 2
AGENT_SILENT_S = 30.0
"""The agent writes its status every few seconds: older than this, it hangs."""


@dataclass(frozen=True)
class NodeStatus:
    """What was seen. ``trouble``: what is wrong, one sentence each; empty when healthy."""

    running: bool
    trouble: list[str]
    data: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 unhealthy, 2 not running."""
        if not self.running:
            return NOT_RUNNING
        return UNHEALTHY if self.trouble else HEALTHY

    def lines(self) -> list[str]:
        """The same for a person."""
        words = {HEALTHY: "healthy", UNHEALTHY: "unhealthy", NOT_RUNNING: "not running"}
        lines = [f"node        {words[self.exit_code]}", f"identity    {self.data['identity']}"]
        for name, child in self.data["processes"].items():
            pid = child.get("pid")
            lines.append(f"{name:<11} {f'pid {pid}' if pid else 'down'}, restarted {child.get('restarts', 0)} times")
        ledger = self.data["ledger"]
        if ledger is not None:
            catching = ", catching up" if ledger["catching_up"] else ""
            age = f"{ledger['age_s']} s old" if ledger["age_s"] is not None else "no block yet"
            lines.append(f"ledger      height {ledger['height']}, {age}{catching}")
        if (checked := (self.data["agent"] or {}).get("state_check")) is not None:
            lines.append(f"state       {check_text(checked)}")
        return lines + [f"trouble     {sentence}" for sentence in self.trouble]


def founded(home: Home) -> NodeConfig:
    """The node's configuration, once it has a ledger. Raises UsageError."""
    config = load_node_config(home.path)
    if not config.chain_id:
        raise UsageError("this node is on no ledger yet", hint="found one: `dta genesis --help`")
    return config


def status(context: typer.Context) -> None:
    """How the node is. Exit code 0: healthy, 1: something is wrong, 2: not running."""
    session = session_of(context)
    config = founded(session.home)
    found = look(config, time.time())
    session.show(found.data, found.lines())
    raise typer.Exit(found.exit_code)


def look(config: NodeConfig, now_s: float) -> NodeStatus:
    """The node's state as far as it can be seen from here. ``now_s``: Unix seconds by the local clock."""
    supervisor = holder(config)
    running = supervisor is not None
    trouble: list[str] = []
    processes = _processes(config, supervisor, trouble) if supervisor is not None else {}
    agent = read_status_file(config.status_file) if running else None
    ledger = _ledger(config, now_s, trouble) if running else None
    if running:
        trouble += [_why_down(config, name, child) for name, child in processes.items() if not child.get("pid")]
        trouble += [f"{name}: {child['fault']}" for name, child in processes.items() if child.get("fault")]
        trouble += _disk_trouble(config)
        trouble += _agent_trouble(config, agent, processes.get("agent", {}).get("pid"), now_s)
    data = {
        "running": running,
        "healthy": running and not trouble,
        "chain_id": config.chain_id,
        "identity": config.identity.hex(),
        "processes": processes,
        "ledger": ledger,
        "agent": agent,
        "trouble": trouble,
    }
    return NodeStatus(running, trouble, data)


def _processes(config: NodeConfig, supervisor: int, trouble: list[str]) -> dict[str, dict[str, Any]]:
    processes = children(config, supervisor)
    if supervisor == 0:
        trouble.append("the node's processes can't be seen from here: ask in its own container")
    elif not processes:
        trouble.append("the supervisor has started nothing yet")
    return processes


def _why_down(config: NodeConfig, name: str, child: dict[str, Any]) -> str:
    """A process that keeps ending says why in its log alone: a port that another program has, say."""
    ended = child.get("last_exit")
    why = "" if ended is None else f": it last ended with {ended}, see {config.log_dir / name}.log"
    return f"{name} is down{why}"


def _disk_trouble(config: NodeConfig) -> list[str]:
    lack = lack_of_room(config.home, START_ABOVE)
    if lack:
        below = f"{STOP_BELOW.bytes >> 20} MiB or {STOP_BELOW.inodes} inodes"
        above = f"{START_ABOVE.bytes >> 20} MiB and {START_ABOVE.inodes} inodes"
        return [f"{lack}: the node stops below {below} and starts again above {above}"]
    refused = write_trouble(config.home)
    return [f"{refused}: the node stops until that is over"] if refused else []


def _ledger(config: NodeConfig, now_s: float, trouble: list[str]) -> dict[str, Any] | None:
    # An HTTP client is half of what this command loads: only where there is a node to ask.
    from dta.client.ledger import requests
    from dta.client.ledger.rpc import Rpc

    try:
        with Rpc(config.rpc_url) as rpc:
            found = rpc.call(requests.status())
    except DtaError as error:
        trouble.append(error.message)
        return None
    other = stranger(config, found.chain_id, found.node_id)
    if other:
        trouble.append(other)
        return None
    # Before the first block CometBFT dates the newest 1970.
    age_s = max(0, int(now_s - found.latest_time.seconds)) if found.latest_height else None
    if age_s is None:
        trouble.append("there is no block yet: it takes nodes of more than 2/3 of the power; `dta doctor` says more")
    elif found.catching_up:
        trouble.append("the node is catching up: its hooks wait until it has")
    elif age_s > config.max_state_age_s:
        trouble.append(f"the last block is {age_s} s old: the chain is halted, or this node is cut off")
    return {
        "height": found.latest_height,
        "age_s": age_s,
        "catching_up": found.catching_up,
        "node_id": found.node_id,
        "version": found.version,
    }


def _agent_trouble(
    config: NodeConfig, agent: dict[str, Any] | None, pid: int | None, now_s: float
) -> list[str]:
    if agent is None or (pid is not None and agent.get("pid", pid) != pid):  # what an agent before this one said
        return ["the agent has said nothing yet"]
    try:
        silent_s = int(now_s - config.status_file.stat().st_mtime)
    except OSError:
        return ["the agent has said nothing yet"]
    if silent_s > AGENT_SILENT_S:
        return [f"the agent has said nothing for {silent_s} s"]
    return _what_the_agent_says(agent)


def _what_the_agent_says(agent: dict[str, Any]) -> list[str]:
    keystore, hooks, parts = agent.get("keystore", {}), agent.get("hooks") or {}, agent.get("trouble", {})
    trouble = [f"{part}: {reason}" for part, reason in parts.items() if reason]
    if not (agent.get("gateway") or parts.get("gateway") or parts.get("blocks")):
        trouble.append("the gateway does not listen yet")
    if not keystore.get("open"):
        trouble.append(f"the keystore is not open: {keystore.get('trouble') or 'the agent is still trying'}")
    if hooks.get("trouble"):
        trouble.append(f"hooks: {hooks['trouble']}")
    if hooks.get("hung"):
        trouble.append("hooks: a job hangs")
    if found := agent.get("keys_found_late"):
        vaults = ", ".join(found[:3]) + " and others" * (len(found) > 3)
        trouble.append(
            f"keys: of vaults {vaults}, there after this node had attested that they were erased; destroyed now. "
            "Was a backup or a clone of the token put back?"
        )
    if hooks.get("late"):
        trouble.append(f"hooks: {hooks['late']} are late")
    return trouble
