"""docs/spec/mfa.md says what the code does: the table of refusals, the limits, the tags, the formats."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from abci_app.mfa import points
from dta.client.mfa import credentials
from dta.login import realm_file, store
from dta.login.http import MAX_BODY_BYTES, HttpConfig
from dta.login.server import Limits
from dta.mpin import agreement, suite
from dta.mpin.pin import MAX_PIN_DIGITS, MIN_PIN_DIGITS
from dta.mpin.refusals import MEANINGS
from dta.mpin.sealing import SEALED_PURPOSE

PAGE = (Path(__file__).parents[2] / "docs" / "spec" / "mfa.md").read_text()


def test_the_table_of_refusals_is_the_code_s() -> None:
    rows = re.findall(r"^\| ([A-Z_]+) \| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(code.value, str(int(meaning.status)), meaning.message) for code, meaning in MEANINGS.items()]


@pytest.mark.parametrize(
    "said",
    [
        points.CLIENT_TAG.decode(), points.PERMIT_TAG.decode(), points.SERVER_TAG.decode(), *points.SUITES.values(),
        agreement.EXPONENT_TAG, agreement._KEYS_TAG, agreement._CONFIRM_CLIENT.decode(), suite._ONE_PASS_TAG,
        agreement._CONFIRM_SERVER.decode(), credentials.CLIENT_FORMAT, credentials.SERVER_FORMAT, realm_file.FORMAT,
        SEALED_PURPOSE, f"at most {MAX_BODY_BYTES:,} bytes",
        f"{MIN_PIN_DIGITS} to {MAX_PIN_DIGITS} decimal digits",
        f"early | {store.MAX_USED_LOGINS:,} |", f"who asks | {Limits().max_sessions:,} |",
        f"confirmation | {Limits().session_s:.0f} s |", f"{Limits().ticket_s:.0f} s; {Limits().max_tickets:,}",
        f"server's clock | {Limits().ahead_s} s |", f"{HttpConfig().connection_s:.0f} s, {HttpConfig().body_s:.0f} s",
        f"{HttpConfig().max_connections}, {HttpConfig().max_connections_per_address} |",
        f"{HttpConfig().requests_per_minute} a minute",
    ],
)  # fmt: skip
def test_the_page_has_the_code_s_tags_formats_and_figures(said: str) -> None:
    assert said in PAGE
