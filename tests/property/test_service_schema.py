"""The agent's API as its own description has it, called in sequences that the description suggests (schemathesis).

No answer is a fault of a server, none has a shape or a status that is not described, and a secret is in no answer but
those that are for it, in no error and in no log. The seed and how many calls there were are printed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from dta.service.app import application
from dta.service.guard import Listener
from tests.support.authority import SIGNING
from tests.support.order_flow import LiveChain
from tests.support.served import Served, said

SEED = int(os.environ.get("DTA_SCHEMA_SEED", secrets.randbelow(2**32)))
SEQUENCES = int(os.environ.get("DTA_SCHEMA_SEQUENCES", 20))
CALLS_EACH = int(os.environ.get("DTA_SCHEMA_CALLS", 12))
CHECKS = (
    schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance,
    response_headers_conformance, response_schema_conformance, unsupported_method,
)  # fmt: skip
SECRET = b"a secret that only who receives it sees"
SPELT = (SECRET, b64encode(SECRET), SECRET.hex().encode())
GIVES_SECRETS = "/v1/order/secret"
ENDS_THE_IDENTITY = r"^/v1/identity/.*/(rotate|suspend|revoke)$"
"""After these the rest of a sequence would be refused: tests/unit/test_service_identities.py calls them."""

NAMES = (
    "beneficiary", "beneficiaryIDDocumentCID", "vault", "authority", "fiduciaries", "vetoers", "members", "policy",
    "custodian", "threshold", "expiresAtHeight", "notAfter",
)  # fmt: skip

PATIENCE_S = 3_600
STREAMS = r"^/v1/events$"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, LiveChain(fiduciaries=1))
    yield made
    made.close()


async def prepared(client: httpx.AsyncClient) -> None:
    """An order of alice's that bob may receive, and one that waits for alice's own decision."""
    for policy in ("single:bob", "all:alice,bob"):
        body = {"beneficiary": "bob", "policy": policy, "secret": b64encode(SECRET).decode()}
        said(await client.post("/v1/order", json=body))


def placing(case: Any, vault: str) -> Any:
    """A body without names of nobody, which are refused before anything happens; of an order one that is placed."""
    if not isinstance(case.body, dict):
        return case.body
    made = {name: value for name, value in case.body.items() if name not in NAMES}
    if case.path == "/v1/order":
        made |= {"vault": vault, "secret": b64encode(SECRET).decode(), "extension": {}}
    return made


async def vault_of(client: httpx.AsyncClient) -> str:
    return str(said(await client.post("/v1/vault", json={}))["vault"])


@pytest.mark.parametrize("mode", ["positive", "all"])
def test_every_sequence_of_calls_is_answered_as_described_and_gives_no_secret_away(
    served: Served, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    alice, bob = served.home("alice"), served.home("bob")
    served.introduce()
    served.chain.deal(SIGNING, name="seal")
    served.blocks(2)
    asyncio.run(prepared(served.client_of(alice)))
    agent = served.agent(bob, calls_per_minute=1_000_000)
    token = served.token(bob)
    vault = asyncio.run(vault_of(served.client(agent, token)))
    app = application(agent, Listener())
    # Its own timeout, 10 s, would say how fast this machine is.
    config = SchemathesisConfig.from_dict({"request-timeout": PATIENCE_S, "generation": {"mode": mode}})
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app, config=config)
    schema = schema.exclude(path_regex=ENDS_THE_IDENTITY).exclude(path_regex=STREAMS)
    assert schema.statistic.transitions.total > 10, "calls follow from answers"
    calls: Counter[str] = Counter()

    class Sequences(schema.as_state_machine()):  # type: ignore[misc]
        """Calls with a token for everything, each as the answers before suggest."""

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": {"Authorization": f"Bearer {token}"}}

        def before_call(self, case: Any) -> None:
            case.headers["Authorization"] = f"Bearer {token}"
            case.headers.pop("DTA-Identity", None)
            case.body = placing(case, vault) if calls.total() % 2 else case.body
            case.headers["Prefer"] = "wait=25" if case.path.startswith("/v1/order") else "wait=0"
            if "wait" in (case.query or {}):
                case.query["wait"] = 0

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            calls[f"{case.method} {case.path} {response.status_code}"] += 1
            case.validate_response(response, checks=list(CHECKS))
            if not case.path.startswith(GIVES_SECRETS) or response.status_code != 200:
                assert not any(spelt in response.content for spelt in SPELT), case.path

    # Each sequence by itself: what an earlier one left on the ledger would look like a strategy that changes its mind.
    # Of the two examples of each the first is always the simplest there is.
    for number in range(SEQUENCES):
        seed(SEED + number)(Sequences).run(
            settings=settings(
                max_examples=2, stateful_step_count=CALLS_EACH, deadline=None, database=None,
                phases=[Phase.generate], suppress_health_check=list(HealthCheck),
            )
        )  # fmt: skip
    print(f"\nschemathesis, {mode}: seed {SEED}, {calls.total()} calls of {len(calls)} kinds in {SEQUENCES} sequences")
    for call, count in sorted(calls.items()):
        print(f"  {count:4} {call}")
    assert calls.total() >= SEQUENCES
    assert not any(spelt.decode() in caplog.text for spelt in SPELT)
    for path in (bob.path / "serve").rglob("*"):
        assert not path.is_file() or not any(spelt in path.read_bytes() for spelt in SPELT), path
