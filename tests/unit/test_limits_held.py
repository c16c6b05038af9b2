"""Each limit says who can fill it, for how long, whom that stops and how it is freed, and names a test that shows it.

The table is in docs/spec/parameters.md. A limit that is new has to find its row.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from abci_app import limits, params
from abci_app.codes import Code
from abci_app.pb.dta.v1 import tx_pb2
from dta.login.http import HttpConfig
from dta.login.server import Limits
from dta.node.door.config import DoorConfig
from dta.node.gateway.server import GatewayConfig
from tests.support.actors import Actor
from tests.support.custody import SEALED
from tests.support.refusals import TAKEN, Because, because, refused
from tests.support.tables import rows_of
from tests.support.world import fresh_custody, nonce, set_params

ROOT = Path(__file__).resolve().parents[2]


ROWS = rows_of(ROOT / "docs" / "spec" / "parameters.md", "limit")
CAP = re.compile(r"_?(MAX|MIN(?!_SIG_TAG)|MOST|LEAST)_[A-Z0-9_]+|[A-Z0-9_]+_(MOST|LEAST)")
NAMED = re.compile(r"`([A-Za-z_][\w.]*)`")
TEST = re.compile(r"`(tests/[\w/]+\.py):(test_\w+)`")
ROOMS = ("abci_app", "dta/login", "dta/http", "dta/node/door", "dta/node/gateway")
"""Where a cap that is hard coded bounds what others send. A client's own bounds guard it against its servers alone."""


def hard_coded() -> Iterator[str]:
    """The names of the constants that are caps, of every module of ``ROOMS``."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "pb" in path.relative_to(ROOT).parts:
                continue
            for node in ast.parse(path.read_text()).body:
                targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
                yield from (one.id for one in targets if isinstance(one, ast.Name) and CAP.fullmatch(one.id))


def of_configurations() -> Iterator[str]:
    """What a node's or a server's configuration bounds: numbers of connections, bytes, requests, logins."""
    for config in (GatewayConfig, HttpConfig, Limits, DoorConfig):
        for one in fields(config):
            if re.search(r"^max_|_bytes$|_per_minute$|_per_address$|^session_s$|^ticket_s$|^grace_s$", one.name):
                yield one.name


def wanted() -> list[str]:
    named = [*params._BOUNDS, *(name for name in vars(limits) if name.isupper()), *hard_coded(), *of_configurations()]
    return list(dict.fromkeys(named))


def functions_of(path: str) -> set[str]:
    found = ast.parse((ROOT / path).read_text()).body
    return {node.name for node in found if isinstance(node, ast.FunctionDef)}


def test_every_limit_has_a_row() -> None:
    named = {name for row in ROWS for name in NAMED.findall(row[0])}
    missing = [name for name in wanted() if name not in named]
    assert missing == [], "docs/spec/parameters.md, Who can fill what: each needs a row, or a place in one"


def test_no_row_is_of_a_limit_that_is_not() -> None:
    known = set(wanted())
    strangers = [name for row in ROWS for name in NAMED.findall(row[0]) if name not in known]
    assert strangers == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: NAMED.findall(row[0])[0])
def test_every_row_is_whole_and_names_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 5
    assert all(cell.strip() for cell in row)
    named = TEST.findall(row[4])
    assert named, "a row without a test says what nobody has shown"
    for path, name in named:
        assert name in functions_of(path), f"{path} has no {name}"


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
