"""Part ``serve``: what `dta serve` adds to the client's own flow, and orders a second through one agent.

Everything is measured twice in turn, through the agent and by the client's flows in this process, on the same network:
what counts is the ratio.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.base.config import load_node_config, write_node_config
from dta.base.home import Home
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, receiving, vaults
from dta.client.custody.orders import NewOrder
from dta.client.custody.session import Session
from dta.client.ledger import fiduciaries
from dta.client.names import NameBook
from dta.custodians import registry
from dta.localnet.network import Network
from dta.service.tokens import SCOPES, TokenStore
from tests.bench.figures import percentile
from tests.bench.live import acting, localnet
from tests.support.custody import single

CUSTODIAN = "hsm-realm"
SECRET = bytes(64)
TIMEOUT_S = 600.0
UPLOADS_PER_MINUTE = 1_000_000
# One credential has half of it.
AT_WORK = 2 * 64
Json = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """``rounds``: orders placed and received one after the other, each way. ``at_once`` callers, ``each`` orders."""

    validators: int = 4
    rounds: int = 30
    at_once: int = 64
    each: int = 8


QUICK = Plan(validators=1, rounds=2, at_once=2, each=1)


def run(comet_binary: str, port_base: int, say: Say, plan: Plan) -> Json:
    """Seconds of placing and of receiving, one at a time; then orders a second with many at once; both ways."""
    with localnet(comet_binary, port_base, plan.validators, _Generous) as demo:
        demo.enrol("alice")
        home = demo.net.client_home("alice")
        with acting(home) as session:
            founders = NameBook.of_home(Home(home)).fiduciaries
            vault = vaults.open_vault(session, CUSTODIAN, list(fiduciaries.current(session.ledger, founders)))
        with _agent(home) as agent:
            ways: dict[str, Callable[[], Any]] = {"agent": lambda: _ByAgent(agent), "client": lambda: _ByClient(home)}
            figures = _alone(ways, vault.record.id, plan, say)
            figures["at_once"] = _at_once(ways, vault.record.id, plan, say)
    return {"validators": plan.validators, "rounds": plan.rounds, **figures}


def _alone(ways: dict[str, Callable[[], Any]], vault: bytes, plan: Plan, say: Say) -> Json:
    spent: dict[str, dict[str, list[float]]] = {name: {"place": [], "receive": []} for name in ways}
    opened = {name: make() for name, make in ways.items()}
    try:
        for way in opened.values():
            way.receive(way.place(vault))  # warm
        for _ in range(plan.rounds):
            for name, way in opened.items():
                began_s = time.monotonic()
                order = way.place(vault)
                placed_s = time.monotonic()
                way.receive(order)
                spent[name]["place"].append(placed_s - began_s)
                spent[name]["receive"].append(time.monotonic() - placed_s)
    finally:
        for way in opened.values():
            way.close()
    figures: Json = {}
    for phase in ("place", "receive"):
        medians = {name: percentile(sorted(taken[phase]), 50) for name, taken in spent.items()}
        figures[phase] = {**{f"{name}_s": median for name, median in medians.items()},
                          "added_ms": (medians["agent"] - medians["client"]) * 1e3,
                          "ratio": medians["agent"] / medians["client"]}  # fmt: skip
        say(f"{phase}: {medians['agent']:.2f} s by the agent, {medians['client']:.2f} s by the client's own flow")
    return figures


def _at_once(ways: dict[str, Callable[[], Any]], vault: bytes, plan: Plan, say: Say) -> Json:
    per_s: Json = {}
    for name, make in ways.items():
        callers = [make() for _ in range(plan.at_once)]

        def place(caller: Any) -> int:
            for _ in range(plan.each):
                caller.place(vault)
            return plan.each

        try:
            with ThreadPoolExecutor(plan.at_once) as calling:
                began_s = time.monotonic()
                placed = sum(calling.map(place, callers))
                per_s[f"{name}_per_s"] = placed / (time.monotonic() - began_s)
        finally:
            for caller in callers:
                caller.close()
    figures = {"callers": plan.at_once, **per_s, "ratio": per_s["agent_per_s"] / per_s["client_per_s"]}
    say(f"{plan.at_once} at once: {figures['agent_per_s']:.1f} a second by the agent, "
        f"{figures['client_per_s']:.1f} by the client's own flow")  # fmt: skip
    return figures


class _ByAgent:
    """A caller of the agent."""

    def __init__(self, agent: tuple[Path, str]) -> None:
        socket, token = agent
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://dta", timeout=TIMEOUT_S,
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip

    def place(self, vault: bytes) -> str:
        body = {"vault": vault.hex(), "secret": b64encode(SECRET).decode("ascii")}
        return str(self._said("/v1/order", body)["orderReference"])

    def receive(self, order: str) -> None:
        request = self._said("/v1/order/secret", {"orderReference": order})["request"]
        self._said(f"/v1/order/secret/{request}/done", {})

    def _said(self, path: str, body: Json) -> Any:
        answer = self._http.post(path, json=body)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json()

    def close(self) -> None:
        self._http.close()


class _ByClient:
    """The same by the client's flows, as the command line has them."""

    def __init__(self, home: Path) -> None:
        self._acting = acting(home)
        self._session: Session = self._acting.__enter__()

    def place(self, vault: bytes) -> bytes:
        me = self._session.party.identity
        new = NewOrder(vault=vault, secret=SecretBytes(SECRET), policy=single(me), rule=pb.BeneficiaryRule(identity=me))
        return orders.place(self._session, registry.custodian(CUSTODIAN), new).record.id

    def receive(self, order: bytes) -> None:
        opened = asking.prepare(self._session, order)
        asking.submit(self._session, opened)
        received = receiving.receive(self._session, registry.custodian(CUSTODIAN), opened.request)
        receiving.done(self._session, received)

    def close(self) -> None:
        self._acting.__exit__(None, None, None)


class _Generous(Network):
    """Its doors and gateways take more of one identity and one address than by default: here there is one of each."""

    def up(self) -> None:
        for node in self.nodes():
            config = load_node_config(self.home(node))
            gateway = replace(
                config.gateway, identity_uploads_per_minute=UPLOADS_PER_MINUTE,
                address_uploads_per_minute=UPLOADS_PER_MINUTE, rpc_units_per_minute=10 * UPLOADS_PER_MINUTE,
            )  # fmt: skip
            write_node_config(replace(config, gateway=gateway))
        super().up()


@contextmanager
def _agent(home: Path) -> Iterator[tuple[Path, str]]:
    """Its socket, and a token."""
    (home / "serve.toml").write_text(f"calls_per_minute = 1000000\nmax_at_work = {AT_WORK}\n")
    store = TokenStore(home / "serve" / "tokens")
    _, token = store.create(
        name="bench", scopes=frozenset(SCOPES), identities=("*",), now_s=int(time.time()), expires_at_s=0
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "dta", "--home", str(home), "--json", "serve"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        said = b""
        for line in process.stdout:
            said += line
            if line.rstrip() == b"}":
                break
        where = json.loads(said)["listening"]
        yield Path(where.removeprefix("unix:")), token
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)
