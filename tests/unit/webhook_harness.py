"""What tests of webhooks share: somebody's server, and a sender that calls it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from dta.service.models import inbox as models
from dta.service.news import News, Place, Told, reached
from dta.service.settings import Webhook
from dta.service.webhooks import Sender

SECRETS = [b"a" * 24, b"b" * 32]
NOW_S = 1_800_000_000


def concern(number: int) -> models.Concern:
    return models.Concern(number=number, kind="order", subject="ab" * 32, roles=["beneficiary"], height=7)


class Receiver:
    """What somebody's server got, and what it answers."""

    def __init__(self, home: Path, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.home = home
        self.answer = answer
        self.got: list[httpx.Request] = []
        self.total = 0
        self.slept_s = 0.0
        self.port = 443
        self.addresses = ["93.184.216.34"]
        self.transport: httpx.AsyncBaseTransport | None = httpx.MockTransport(self.take)
        for number, secret in enumerate(SECRETS):
            path = home / f"secret-{number}"
            path.write_text("whsec_" + b64encode(secret).decode())
            path.chmod(0o600)

    def sender(self, **changes: Any) -> Sender:
        hook = Webhook.model_validate({
            "name": "ci", "url": "https://hooks.example/in?x=1", "identity": "alice",
            "secret_files": ["secret-0", "secret-1"], **changes,
        })  # fmt: skip
        return Sender(
            hook, self.home, self.look, now_s=lambda: NOW_S + self.slept_s, sleep=self.sleep, resolve=self.resolve,
            transport=self.transport,
        )  # fmt: skip

    async def look(self, place: Place | None) -> Told:
        if place is None:
            return Told((), Place(self.total), True)
        numbers = range(place.number + 1, self.total + 1)[:2]
        found = [News("concern.order", str(number), concern(number), f"{number}.") for number in numbers]
        now = reached(place, found)
        return Told(found, now, now.number == self.total)

    async def sleep(self, seconds: float) -> None:
        self.slept_s += seconds

    async def resolve(self, host: str, port: int) -> list[str]:
        assert (host, port) == ("hooks.example", self.port)
        return self.addresses

    def take(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return self.answer(request)


def answered(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(b""))


def taken(_: httpx.Request) -> httpx.Response:
    return answered(204)


class Enough(BaseException):
    """Ends a loop that has no end."""
