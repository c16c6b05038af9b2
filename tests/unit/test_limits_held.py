"""Each limit says who can fill it, for how long, whom that stops and how it is freed, and names tests that show it.

The tables are in docs/spec/parameters.md and, of an agent's API, in docs/spec/rest.md. A limit that is new has to find
its row; what is around a node speaks, in the tests that its row names, of the limit itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from abci_app import limits, params
from abci_app.codes import Code
from abci_app.pb.dta.v1 import tx_pb2
from dta.login.http import HttpConfig
from dta.login.server import Limits
from dta.node.door.config import DoorConfig
from dta.node.gateway.server import GatewayConfig
from dta.service.settings import ServeFile
from tests.support.actors import Actor
from tests.support.custody import SEALED
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.tables import rows_of
from tests.support.world import fresh_custody, nonce, set_params

ROOT = Path(__file__).resolve().parents[2]
ROWS = rows_of(ROOT / "docs" / "spec" / "parameters.md", "limit")
SERVICE_ROWS = rows_of(ROOT / "docs" / "spec" / "rest.md", "limit")
CAP = re.compile(r"_?(MAX|MIN(?!_SIG_TAG)|MOST|LEAST)_[A-Z0-9_]+|[A-Z0-9_]+_(MOST|LEAST)")
NAMED = re.compile(r"`([A-Za-z_][\w.]*)`")
TEST = re.compile(r"`(tests/[\w/]+\.py):(test_\w+)`")
ROOMS = ("abci_app", "dta/login", "dta/http", "dta/node/door", "dta/node/gateway")
"""Where a cap that is hard coded bounds what others send. A client's own bounds guard it against its servers alone."""

NO_LIMITS = {
    "agent.POLL_S": "how often it looks", "webhooks.POLL_S": "how often it looks", "news.FRESH_S": "how often it reads",
    "build.KEEP_TRUST_S": "how often it writes", "idempotency._PRUNE_EVERY": "how often it forgets",
    "inbox.BEAT_POLLS": "how often a stream says that it is there",
    "jobs.BUSY_RETRY_S": "when to come again", "looks._RETRY_S": "when to come again",
    "idempotency.SCHEMA_VERSION": "a form", "news._ID_DIGITS": "a form", "tokens._ID_DIGITS": "a form",
    "tokens._LENGTH": "a form", "tokens._TOKEN_BYTES": "a form",
    "placing.RANDOM_SECRET_BYTES": "what is made",
}  # fmt: skip
"""Numbers of the agent's that bound nothing."""


def constants_of(path: Path) -> Iterator[str]:
    """The names that a module gives to something of its own, in capitals."""
    for node in ast.parse(path.read_text()).body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        yield from (one.id for one in targets if isinstance(one, ast.Name) and one.id.isupper())


def hard_coded(*rooms: str) -> Iterator[str]:
    """The names of the constants that are caps, of every module of these rooms."""
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "pb" not in path.relative_to(ROOT).parts:
                yield from (name for name in constants_of(path) if CAP.fullmatch(name))


def of_configurations(*configs: type) -> Iterator[str]:
    """What a node's or a server's configuration bounds: numbers of connections, bytes, requests, logins."""
    for config in configs:
        for one in fields(config):
            if re.search(r"^max_|_bytes$|_per_minute$|_per_address$|^session_s$|^ticket_s$|^grace_s$", one.name):
                yield one.name


def of_the_service() -> Iterator[str]:
    """Every number of the agent's that has a name, whatever that is, as ``module.NAME``; and each of its settings."""
    for path in sorted((ROOT / "dta" / "service").rglob("*.py")):
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name in constants_of(path):
            if type(getattr(module, name)) in (int, float):
                yield f"{path.stem}.{name}"
    yield from (f"settings.{name}" for name, one in ServeFile.model_fields.items() if one.annotation is int)


def wanted() -> list[str]:
    named = [
        *params._BOUNDS, *(name for name in vars(limits) if name.isupper()), *hard_coded(*ROOMS),
        *of_configurations(GatewayConfig, HttpConfig, Limits, DoorConfig),
    ]  # fmt: skip
    return list(dict.fromkeys(named))


def named_in(rows: list[list[str]]) -> list[str]:
    return [name for row in rows for name in NAMED.findall(row[0])]


def functions_of(path: str) -> set[str]:
    return {name for name, node in parts_of(path).items() if isinstance(node, ast.FunctionDef)}


@cache
def parts_of(path: str) -> dict[str, ast.stmt]:
    """What stands at the top of a file, by the name that it has there."""
    found: dict[str, ast.stmt] = {}
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        for target in [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", []):
            found |= {one.id: node for one in ast.walk(target) if isinstance(one, ast.Name)}
    return found


def words_of(path: str, name: str, seen: set[str] | None = None) -> set[str]:
    """Every name and word in a test, and in what of its file it goes by: fixtures, functions, tables."""
    seen = set() if seen is None else seen
    if name in seen or name not in parts_of(path):
        return set()
    seen.add(name)
    words: set[str] = set()
    for node in ast.walk(parts_of(path)[name]):
        here = [getattr(node, field, None) for field in ("id", "attr", "arg")]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            here = re.findall(r"\w+", node.value)
        for word in filter(None, here):
            words |= {word} | words_of(path, word, seen)
    return words


def test_every_limit_has_a_row() -> None:
    missing = sorted(set(wanted()) - set(named_in(ROWS)))
    assert missing == [], "docs/spec/parameters.md, Who can fill what: each needs a row, or a place in one"


def test_every_limit_of_the_agent_s_has_a_row() -> None:
    found = list(of_the_service())
    assert len(found) == len(set(found)), "one name would stand for two"
    missing = sorted(set(found) - set(named_in(SERVICE_ROWS)) - NO_LIMITS.keys())
    assert missing == [], "docs/spec/rest.md, Who can fill what: each needs a row, or a place in one"
    assert set(found) >= NO_LIMITS.keys()


def test_no_row_is_of_a_limit_that_is_not() -> None:
    for rows, known in ((ROWS, set(wanted())), (SERVICE_ROWS, set(of_the_service()) - NO_LIMITS.keys())):
        assert [name for name in named_in(rows) if name not in known] == []
        assert len(named_in(rows)) == len(set(named_in(rows))), "each stands once"


@pytest.mark.parametrize("row", [*ROWS, *SERVICE_ROWS], ids=lambda row: NAMED.findall(row[0])[0])
def test_every_row_is_whole_and_names_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 5
    assert all(cell.strip() for cell in row)
    named = TEST.findall(row[4])
    assert named, "a row without a test says what nobody has shown"
    for path, name in named:
        assert name in functions_of(path), f"{path} has no {name}"


AROUND = {*hard_coded("dta/http", "dta/node/door", "dta/node/gateway"), *of_configurations(GatewayConfig, DoorConfig)}


@pytest.mark.parametrize("row", [*ROWS, *SERVICE_ROWS], ids=lambda row: NAMED.findall(row[0])[0])
def test_the_tests_of_a_limit_around_a_node_speak_of_it(row: list[str]) -> None:
    """By its name: as what they try is counted in, as what they set, or set it to."""
    limits_of = [name.rpartition(".")[2] for name in NAMED.findall(row[0]) if "." in name or name in AROUND]
    words = set().union(*(words_of(path, name) for path, name in TEST.findall(row[4])))
    assert [name for name in limits_of if name not in words] == []


# --- limits of one principal, and of one order -------------------------------------------------------------------


def test_what_one_principal_holds_stops_no_other() -> None:
    custody = fresh_custody()
    chain, alice, carol = custody.chain, custody.principal, Actor("carol")
    chain.register(carol)
    set_params(chain, max_open_orders_per_identity=1, max_open_vaults_per_identity=1)
    custody.place(fulfil=False)
    refused(chain.run(alice, custody.order_message(nonce("more"))), Code.TOO_MANY, "open-orders")
    ids = [founder.identity for founder in chain.founders]
    for who, code in ((alice, Because(Code.TOO_MANY, "open-vaults")), (carol, TAKEN), (carol,
    Because(Code.TOO_MANY, "open-vaults"))):
        message = tx_pb2.OpenVault(nonce=nonce((who.name, code)), custodian="hsm-realm", fiduciaries=ids)
        assert because(chain.run(who, message)) == code


def test_an_order_s_requests_are_held_by_those_who_may_ask_under_it_alone() -> None:
    custody = fresh_custody()
    chain, mallory = custody.chain, Actor("mallory")
    chain.register(mallory)
    set_params(chain, max_open_requests_per_order=2)
    order, other = custody.place(nonce("one")), custody.place(nonce("other"))
    stranger = custody.request_message(order, nonce("stranger"), signer=mallory)
    refused(chain.run(mallory, stranger), Code.NOT_BENEFICIARY, "rule")
    asked = [custody.request(order, nonce(number)) for number in range(2)]
    more = custody.request_message(order, nonce("more"))
    refused(chain.run(custody.beneficiary, more), Code.TOO_MANY, "open-requests")
    custody.request(other, nonce("of the other order"))
    for founder in chain.founders:
        assert chain.result(founder, tx_pb2.FulfilSecret(request=asked[0], sealed=SEALED)).code == Code.OK
    assert chain.run(custody.beneficiary, more).code == Code.OK
