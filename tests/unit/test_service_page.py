"""The numbers that docs/spec/rest.md says of the agent's limits are the code's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dta.service.agent import CALLS_OF_ONE, STRANGERS_PER_MINUTE, WORK_S
from dta.service.guard import BODY_S, MAX_BODY_BYTES, MAX_HEAD_BYTES
from dta.service.idempotency import ANSWERS_FOR_S, FORGOTTEN_AFTER_S, MAX_KEY_CHARS
from dta.service.jobs import DECISIONS_AT_ONCE
from dta.service.looks import (
    AT_ONCE,
    FOLLOWING_AT_ONCE,
    HERE_AT_ONCE,
    KEPT_FREE,
    KEPT_FREE_OF_FEW,
    LOOK_S,
    MAX_WAITING,
    OF_ONE,
    OF_ONE_OF_FEW,
)
from dta.service.models.base import MAX_POLL_S, MAX_WAIT_S
from dta.service.oidc import LEEWAY_S, MAX_LIFETIME_S, REFETCH_S
from dta.service.placing import ALL_KEYS_S, ENOUGH_KEYS_S
from dta.service.routes.inbox import MAX_STREAMS, STREAM_S, STREAMS_OF_ONE
from dta.service.server import HANDSHAKE_S, HEAD_S, IDLE_S, MAX_CONNECTIONS, STOP_S, WRITE_BYTES, WRITE_S
from dta.service.settings import ServeFile
from dta.service.webhooks import _MAX_WAITS, FIRST_RETRY_S, GIVE_UP_S, LAST_RETRY_S

TEXT = " ".join((Path(__file__).resolve().parents[2] / "docs" / "spec" / "rest.md").read_text().split())
SETTINGS = ServeFile()
SPANS = {86_400: "a day", 3_600: "an hour", 60: "a minute", 400 * 86_400: "400 days"}


def kib(count: int) -> str:
    return f"{count >> 10} KiB"


def span(seconds: float) -> str:
    return SPANS.get(int(seconds), f"{seconds:.0f} s")


SENTENCES = [
    f"`Prefer: wait=N`, {MAX_WAIT_S} seconds at most",
    f"are waited for {ALL_KEYS_S:.0f} s, then {ENOUGH_KEYS_S:.0f} s more",
    f"is known {MAX_WAIT_S} s after it came",
    f"`?wait=N` ({MAX_POLL_S} seconds at most)",
    f"Optional, 1 to {MAX_KEY_CHARS} printable characters",
    f"The key answers with what it answered for {span(ANSWERS_FOR_S)};",
    f"answers the same for {span(FORGOTTEN_AFTER_S)}",
    f"`exp` ({span(MAX_LIFETIME_S)} ahead at most, {LEEWAY_S} s of leeway)",
    f"keys are fetched from the listed address, once {span(REFETCH_S)} at most",
    f"A TLS handshake is done within {HANDSHAKE_S:.0f} s, a head arrives within {HEAD_S:.0f} s and "
    f"{kib(MAX_HEAD_BYTES)}, a body within {BODY_S:.0f} s and {MAX_BODY_BYTES / (1 << 20)} MiB, and of an answer "
    f"{kib(WRITE_BYTES)}, or what is left of it, are read in each {WRITE_S:.0f} s",
    f"on which nothing more is asked for {IDLE_S} s",
    f"told to stop gives calls {STOP_S} s",
    f"{MAX_CONNECTIONS} connections, counted as they are accepted",
    f"A credential has {SETTINGS.calls_per_minute} calls a minute (`RateLimit`), of which {CALLS_OF_ONE} are answered "
    "at once",
    f"strangers of an address have {STRANGERS_PER_MINUTE}.",
    f"{SETTINGS.max_at_work} placings and receivings are at work at once (`max_at_work`), and {DECISIONS_AT_ONCE} "
    "decisions",
    f"Of the {AT_ONCE} threads that read from nodes a credential has {OF_ONE} at once, and the last {KEPT_FREE} are "
    "for who has none.",
    f"Streams and webhooks together have {FOLLOWING_AT_ONCE} of their own, and what asks no node has {HERE_AT_ONCE}: "
    f"of either a credential, or a webhook, has {OF_ONE_OF_FEW} at once, and the last is for who has none.",
    f"{MAX_WAITING} more calls of a credential wait.",
    f"A read asks nodes for {LOOK_S:.0f} s at most, what changes something for {WORK_S / 60:.0f} minutes",
    f"{MAX_STREAMS} streams of {STREAM_S / 60:.0f} minutes, {STREAMS_OF_ONE} of one credential",
    f"again after {FIRST_RETRY_S:.0f} s, twice as long each time up to {span(LAST_RETRY_S)}, for {span(GIVE_UP_S)},",
    f"of more than {_MAX_WAITS:,} some are told again after a restart",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_number_on_the_page_is_the_code_s(sentence: str) -> None:
    assert sentence in TEXT


def test_the_page_says_of_one_thread_that_it_is_the_last() -> None:
    assert KEPT_FREE_OF_FEW == 1
