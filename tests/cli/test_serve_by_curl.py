"""The original's example calls by curl, as docs/howto/serve.md has them: from registration to the received secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import tx_pb2
from dta.base.home import Home
from dta.client.identity.profile import load_document_block
from tests.cli.agent_process import WAIT_S, agent_of, token_of
from tests.cli.order_world import ServedWorld, served_world
from tests.support.command_blocks import to_run

HERE = "tests/cli/test_serve_by_curl.py"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as made:
        yield made


def blocks() -> list[str]:
    """The page's commands that are run."""
    return to_run("docs/howto/serve.md", HERE)


def ran(home: Path, token: str, *script: str) -> list[Any]:
    """What the calls of a script say."""
    environment = {**os.environ, "DTA_HOME": str(home), "TOKEN": token}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script)], env=environment, capture_output=True, text=True,
        timeout=WAIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    decoder, said, rest = json.JSONDecoder(), [], done.stdout.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        said.append(value)
        rest = rest[end:].strip()
    return said


def until_received(home: Path, token: str, *script: str) -> list[Any]:
    """The same, again where fiduciaries take longer than a call waits (25 s): that is a 202, and no failure."""
    for _ in range(20):
        found = ran(home, token, *script)
        if "secret" in found[0]:
            return found
        assert found[0].get("status") in ("pending", "granted"), found[0]
    raise AssertionError("it is not received by twenty calls")


def test_the_page_s_calls_register_place_and_receive(world: ServedWorld) -> None:
    home = world.directory / "alice"
    (home / "serve.toml").write_text('[new_identities]\npin_file = "pin"\n')
    first, second = blocks()
    tools = first[: first.index("call http")]
    token = token_of(home)
    with agent_of(home):
        status, made = ran(home, token, first)
        assert {
            "application", "timeStamp", "apiVersion", "nodeCID", "extensionVendor", "extension", "plugin", "nodeType",
        } <= set(status)  # fmt: skip
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", status["timeStamp"])
        assert made["idDocumentCID"].startswith("baf")
        assert made["status"] == "sponsor-required"
        assert json.loads(b64decode(made["extension"]["request"]))["format"] == "dta-identity-request-1"
        document = load_document_block(Home(home), "milagro")
        with world.lock:
            message = tx_pb2.RegisterIdentity(envelope=document)
            assert world.chain.run(world.chain.replica.founders[0], message).code == 0
        _, again = ran(home, token, first)
        assert (again["idDocumentCID"], again["status"]) == (made["idDocumentCID"], "registered")
        received, listed, shown = until_received(home, token, tools, second)
        assert b64decode(received["secret"]) == b"the secret"
        assert received["extension"] == {"plainText": "the secret"}
        assert set(received) >= {"secret", "commitment", "orderReference", "extension"}
        assert listed["orderReference"] == [received["orderReference"]]
        assert shown["order"]["order"] == received["orderReference"]
        assert set(shown) >= {"orderCID", "order", "timestamp", "extension"}
        repeated, _, _ = until_received(home, token, tools, second)  # the key is the same, so is the order
        assert repeated == received


def test_the_originals_own_bodies_are_taken_and_a_body_that_is_wrong_is_told_where(world: ServedWorld) -> None:
    home = world.directory / "alice"
    token = token_of(home)
    tools = blocks()[0][: blocks()[0].index("call http")]
    with agent_of(home):
        identity = "call http://dta/v1/identity"
        [listed] = ran(home, token, tools, identity)
        [own] = listed["idDocumentList"]
        assert set(own) >= {
            "idDocumentCID", "authenticationReference", "blsPublicKey", "timestamp", "extension",
        }  # fmt: skip
        order = f"""call http://dta/v1/order -d '{{"beneficiaryIDDocumentCID": "{own['idDocumentCID']}",
            "extension": {{"coin": "0"}}, "cypherText": "", "t": "", "v": ""}}'"""
        [placed] = ran(home, token, tools, order)
        assert set(placed) >= {"orderReference", "orderPart1CID", "commitment", "createdAt", "extension"}
        secret = f"""call http://dta/v1/order/secret -d '{{"orderReference": "{placed['orderReference']}",
            "beneficiaryIDDocumentCID": "{own['idDocumentCID']}", "extension": {{}}}}'"""
        [received] = until_received(home, token, tools, secret)
        assert len(b64decode(received["secret"])) == 32
        assert received["commitment"] == placed["commitment"]
        [problem] = ran(home, token, tools, """call http://dta/v1/order -d '{"benficiary": "bob"}'""")
        assert (problem["status"], problem["data"]["fields"][0]["at"]) == (422, "body/benficiary")
        [problem] = ran(home, "dta_" + "A" * 43, tools, identity)
        assert problem["type"] == "urn:dta:problem:unauthenticated"
