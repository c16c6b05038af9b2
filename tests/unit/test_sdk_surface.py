"""What ``import dta`` offers is what is listed, what type checkers see and what is documented; and it costs nothing
until it is used."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dta
from dta.sdk import faces
from dta.sdk.client import NOUNS, AsyncClient, Client
from tests.support.sdk_pages import members

ROOT = Path(__file__).resolve().parents[2]

PUBLIC = {
    "AsyncClient", "Authority", "BadAnswer", "BlockNotFound", "Client", "ContentDiffers", "DtaError", "Expired",
    "Identity",
    "Inbox", "Item", "Keys", "KeystoreFailure", "NotEnoughShares", "NotFound", "NotVerified", "Order", "OrderFailed",
    "OrderUnsound", "Realm", "Receipt", "ReceiptRefused", "RefusedByLedger", "Request", "RequestEnded", "RpcError",
    "Secret", "SecretBytes", "Signature", "Step", "TimedOut", "TrustFile", "Unreachable", "UploadIncomplete",
    "UsageError", "Vault", "WouldBeRefused", "verify_receipt",
}  # fmt: skip
METHODS = {
    "orders": {
        "approve", "authorise", "close", "done", "get", "get_request", "list", "place", "prepare", "receive", "report",
        "request", "requests", "resume", "veto", "watch",
    },
    "inbox": {"read", "watch"},
    "vaults": {"cancel_close", "close", "get", "list", "open"},
    "identities": {"find", "get", "me", "register", "suspend"},
    "authorities": {"get", "list"},
    "sign": {"approve", "covers", "get", "request", "veto", "wait"},
    "realms": {"clients", "enrol", "get", "list"},
    "receipts": {"identity", "order", "request", "verify"},
}  # fmt: skip

MEMBERS = {"Keys": {"of_home"}, "Order": {"is_open"}, "Secret": {"reveal"}}
"""Of the values that actions take or return, beside their fields."""


def nouns(client: type) -> dict[str, type]:
    """What a client has, by name: read from its own source, for a client that is not opened."""
    made = client.__new__(client)
    made._take(None)
    return {name: type(value) for name, value in vars(made).items() if not name.startswith("_")}


def actions(noun: type) -> dict[str, faces.action | faces.stream]:  # type: ignore[type-arg]
    found = {name: inspect.getattr_static(noun, name) for name in dir(noun)}
    return {name: value for name, value in found.items() if isinstance(value, faces.action | faces.stream)}


def test_what_is_public_is_listed() -> None:
    assert set(dta.__all__) == PUBLIC
    assert dir(dta) == sorted(PUBLIC)
    with pytest.raises(AttributeError):
        dta.no_such_name  # noqa: B018


def test_what_is_public_is_what_type_checkers_see() -> None:
    tree = ast.parse((ROOT / "dta/__init__.py").read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (alias.asname, node.module, alias.name)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(name, dta._PLACES[name], name) for name in dta.__all__}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_what_is_public_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(dta, name)
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}("), "a dataclass says nothing of its own"


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_both_clients_have_the_methods_that_are_listed_each_with_what_it_does(client: type) -> None:
    found = {name: actions(noun) for name, noun in nouns(client).items()}
    assert {name: set(methods) for name, methods in found.items()} == METHODS
    assert set(NOUNS) == set(METHODS)
    silent = [f"{noun}.{name}" for noun, methods in found.items() for name, made in methods.items() if not made.__doc__]
    assert not silent


def test_values_have_the_members_that_are_listed() -> None:
    values = [name for name in dta.__all__ if name not in ("AsyncClient", "Client")]
    assert {name: set(found) for name in values if (found := members(getattr(dta, name)))} == MEMBERS


def test_a_person_who_asks_for_help_gets_the_method_s_own() -> None:
    made = Client.__new__(Client)
    made._take(None)  # type: ignore[arg-type]
    assert made.orders.place.__name__ == "place"
    assert (made.orders.place.__doc__ or "").startswith("Entrust a secret")


def test_importing_dta_imports_nothing_of_it() -> None:
    probe = "import sys, json, dta; print(json.dumps([one for one in sys.modules if one.startswith(('dta', 'abci'))]))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout) == ["dta"]
