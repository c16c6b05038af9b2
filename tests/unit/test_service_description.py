"""What the API says of itself, and that nobody gets in without a credential: no ledger is needed for it."""

from __future__ import annotations

import asyncio
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from pydantic import BaseModel

from dta.service import docs_page, models
from dta.service.access import Doorkeeper
from dta.service.agent import Agent
from dta.service.app import api, application
from dta.service.audit import AuditFile
from dta.service.guard import Listener
from dta.service.idempotency import TERMS_HEADER, IdempotencyStore
from dta.service.models.base import Asked, Shown
from dta.service.settings import ServeFile
from dta.service.tokens import TokenStore
from dta.service.workplace import Workplace

DESCRIPTION = api().openapi()
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DESCRIPTION["paths"].items()
    for method, operation in methods.items()
]
CALLS = [(method, path) for method, path, _ in OPERATIONS]


def every_model() -> Iterator[tuple[str, type[BaseModel]]]:
    for module in pkgutil.iter_modules(models.__path__):
        for name, found in vars(import_module(f"{models.__name__}.{module.name}")).items():
            if isinstance(found, type) and issubclass(found, BaseModel):
                yield f"{module.name}.{name}", found


@dataclass
class Nowhere:
    """A workplace of no identities, that is never to be asked for more."""

    asked: list[str] = field(default_factory=list)

    def identities(self) -> dict[str, bytes]:
        return {"alice": bytes(32)}

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        raise AssertionError(name)

    def close(self) -> None:
        pass


@pytest.fixture
def agent(tmp_path: Path) -> Any:
    made = Agent(
        cast(Workplace, Nowhere()), Doorkeeper(TokenStore(tmp_path / "tokens")),
        IdempotencyStore(tmp_path / "calls.sqlite"), AuditFile(tmp_path / "audit.jsonl"), ServeFile(calls_per_minute=5),
        now_s=lambda: 1_000, monotonic_s=lambda: 0.0,
    )  # fmt: skip
    yield made
    made.close()


def call(agent: Agent, method: str, path: str, token: str = "", **given: Any) -> httpx.Response:
    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(application(agent, Listener()), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://agent", headers=headers) as client:
            return await client.request(method, re.sub(r"\{\w+\}", "ab" * 32, path), **given)

    return asyncio.run(main())


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nobody_gets_in_without_a_credential(agent: Agent, method: str, path: str) -> None:
    for token in ("", "dta_" + "A" * 43, "a.b.c"):
        body = {"json": {"name": "x", "contentDigest": "00" * 32, "prepared": "", "beneficiary": "", "fiduciary": ""}}
        answer = call(agent, method, path, token, **(body if method == "POST" else {}))
        assert answer.status_code == 401, (method, path, answer.text)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "urn:dta:problem:unauthenticated"
    assert (agent.workplace.asked) == []  # type: ignore[attr-defined]


def test_a_credential_without_the_scope_is_refused_before_anything_is_asked(agent: Agent, tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "tokens")
    _, shown = store.create(
        name="", scopes=frozenset({"realm:write"}), identities=("alice",), now_s=0, expires_at_s=0
    )
    answer = call(agent, "POST", "/v1/order", shown, json={})
    assert (answer.status_code, answer.json()["data"]) == (403, {"scope": "order:write"})
    assert answer.headers["RateLimit"].startswith('"calls";r=4')


def test_a_credential_has_its_rate_and_is_told_when_to_come_again(agent: Agent, tmp_path: Path) -> None:
    _, shown = TokenStore(tmp_path / "tokens").create(
        name="", scopes=frozenset({"read"}), identities=("bob",), now_s=0, expires_at_s=0
    )
    statuses = [call(agent, "GET", "/v1/inbox", shown).status_code for _ in range(5)]
    assert statuses == [400] * 5
    answer = call(agent, "GET", "/v1/inbox", shown)
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:dta:problem:rate-limited")
    assert int(answer.headers["Retry-After"]) == 12


def test_what_was_wrong_in_a_call_is_said_by_its_place_and_never_repeated(agent: Agent, tmp_path: Path) -> None:
    _, shown = TokenStore(tmp_path / "tokens").create(
        name="", scopes=frozenset({"order:write"}), identities=("alice",), now_s=0, expires_at_s=0
    )
    for body in (b'{"secret": 123456}', b'{"secret": "123456", "threshold": "123456"}', b'{"secret": "123456'):
        answer = call(agent, "POST", "/v1/order", shown, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422)
        assert b"123456" not in answer.content
    answer = call(agent, "POST", "/v1/order", shown, json={"benficiary": "bob"})
    assert (answer.status_code, answer.json()["data"]["fields"]) == (
        422, [{"at": "body/benficiary", "wrong": "extra_forbidden"}],
    )  # fmt: skip


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/nothing"), ("DELETE", "/v1/order"), ("GET", "/")])
def test_a_path_that_is_not_there_is_a_problem_too(agent: Agent, method: str, path: str) -> None:
    answer = call(agent, method, path)
    assert answer.status_code in (404, 405)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_every_body_is_a_model_that_takes_nothing_unknown_and_shows_names_as_the_original_wrote_them() -> None:
    for name, model in every_model():
        if issubclass(model, Asked):
            assert model.model_config["extra"] == "forbid", name
        if issubclass(model, Asked | Shown):
            schema = model.model_json_schema(by_alias=True, mode="serialization")
            assert not [field for field in schema.get("properties", {}) if "_" in field], name


def test_each_operation_says_what_it_does_and_with_what_problems_it_ends() -> None:
    for method, path, operation in OPERATIONS:
        assert operation["description"].strip(), (method, path)
        assert "application/problem+json" in operation["responses"]["4XX"]["content"], (method, path)
        assert operation["security"] == [{"HTTPBearer": []}], (method, path)


def test_each_call_that_changes_something_takes_an_idempotency_key_but_where_the_name_is_one() -> None:
    without = [
        path
        for method, path, operation in OPERATIONS
        if method == "POST" and "Idempotency-Key" not in [one["name"] for one in operation.get("parameters", ())]
    ]
    assert without == ["/v1/identity", "/v1/policy/check", "/v1/receipt/verify", "/v1/sign/{id}/verify"]


def test_the_page_for_people_lists_every_call_and_fetches_nothing() -> None:
    page = docs_page.render(DESCRIPTION)
    for method, path in CALLS:
        assert f"<code>{method} {path}</code>" in page
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|https?:", page)


def test_the_page_is_served_to_whoever_asks_and_may_run_nothing(agent: Agent) -> None:
    answer = call(agent, "GET", "/docs")
    assert answer.status_code == 200
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_no_telemetry_sees_a_call() -> None:
    app = api()
    assert not app._native_telemetry.enabled()


SAY_NOTHING_OF_WHAT_IS_DONE = {"Idempotency-Key", "DTA-Identity", "prefer", "accept"}
"""Headers of calls that are writes: the key itself, whose identity's MAC key it is, how long to wait, and what form the
answer has."""


def test_every_header_of_a_write_is_covered_by_its_idempotency_key_or_says_nothing_of_what_is_done() -> None:
    found = {
        one["name"] for method, _, operation in OPERATIONS if method == "POST"
        for one in operation.get("parameters", []) if one["in"] not in ("path", "query")
    }  # fmt: skip
    assert found - SAY_NOTHING_OF_WHAT_IS_DONE == {TERMS_HEADER}
