"""The client's uploads to gateways that are busy: what passes within its time is waited for."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest
from gateway_harness import ALICE, BLOCK, GID

from dta.client.custody.blocks import BUSY_PATIENCE_S, BUSY_PAUSE_S, Blocks
from dta.client.custody.errors import UploadIncomplete

TAKEN = (201, "")


class Gateways:
    """Each answers with what it is told to, in turn: status and ``Retry-After``."""

    def __init__(self, answers: dict[str, list[tuple[int, str]]]) -> None:
        self.answers = answers
        self.asked: Counter[str] = Counter()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        self.asked[host] += 1
        status, again = self.answers[host].pop(0)
        headers = {"Retry-After": again} if again else {}
        return httpx.Response(status, stream=httpx.ByteStream(b'{"error": "busy"}'), headers=headers)

    def upload(self, directory: Path, allow_missing: int = 0) -> list[bytes]:
        """The fiduciaries that did not take it."""
        client = Blocks(directory, GID, lambda: httpx.AsyncClient(transport=httpx.MockTransport(self)))
        fiduciaries = {host.encode(): [f"http://{host}"] for host in self.answers}
        return client.upload(BLOCK, fiduciaries, ALICE, allow_missing)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it waited, each time: no time passes."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return pauses


def test_a_gateway_that_says_when_to_come_again_is_asked_then(tmp_path: Path, slept: list[float]) -> None:
    gateways = Gateways({
        "one.test": [TAKEN],
        "two.test": [(429, "7"), (503, ""), (429, "0"), TAKEN],
    })  # fmt: skip
    assert gateways.upload(tmp_path) == []
    assert gateways.asked == {"one.test": 1, "two.test": 4}
    assert slept == [7.0, BUSY_PAUSE_S, BUSY_PAUSE_S]


@pytest.mark.parametrize(
    "again", [str(int(BUSY_PATIENCE_S) + 1), "86400", "", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 400]
)
def test_one_that_says_later_than_that_or_not_when_is_not_asked_again(
    tmp_path: Path, slept: list[float], again: str
) -> None:
    gateways = Gateways({"one.test": [TAKEN], "two.test": [(429, again)]})
    assert gateways.upload(tmp_path, allow_missing=1) == [b"two.test"]
    assert (gateways.asked["two.test"], slept) == (1, [])


def test_what_is_refused_for_good_is_not_asked_again(tmp_path: Path, slept: list[float]) -> None:
    gateways = Gateways({"one.test": [(429, "2"), (403, "2")]})
    with pytest.raises(UploadIncomplete):
        gateways.upload(tmp_path)
    assert slept == [2.0]
