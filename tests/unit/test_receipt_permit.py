"""What a receipt's leaves say of a time permit: that it was asked for, that it was not yet, that it never will be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from abci_app.mfa.points import SECONDS_PER_DAY
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import CHAIN, PERMITS, REALM_CLIENTS
from dta.client.receipt import permit
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.verify import Verified
from tests.support.actors import seeded

REALM, CLIENT, DAY, HEIGHT = seeded("realm"), seeded("client"), 20_000, 77
AT_NOON = DAY * SECONDS_PER_DAY + 43_200


def record(status: mfa_pb2.MfaClientStatus, revoked_height: int = 0) -> bytes:
    made = mfa_pb2.MfaClientRecord(realm=REALM, client=CLIENT, status=status, revoked_height=revoked_height)
    return made.SerializeToString(deterministic=True)


ENROLLED = record(mfa_pb2.MFA_CLIENT_STATUS_ENROLLED)
REVOKED = record(mfa_pb2.MFA_CLIENT_STATUS_REVOKED, 70)
ASKED = mfa_pb2.PermitRecord(request=seeded("request"), height=60).SerializeToString(deterministic=True)


def told(client: bytes | None, found: bytes | None, after_s: int, shown: bool = True) -> permit.PermitAnswer:
    """The answer of a receipt with these leaves, whose last header bears this time."""
    states = {PERMITS.key(REALM, DAY, CLIENT): found, CHAIN.key(): b"chain"}
    if shown:
        states[REALM_CLIENTS.key(REALM, CLIENT)] = client
    last = SimpleNamespace(header=SimpleNamespace(time=SimpleNamespace(seconds=after_s)))
    verified = SimpleNamespace(states=states, state_height=HEIGHT, receipt=SimpleNamespace(blocks=[last]))
    (answer,) = permit.answers(cast(Verified, cast(Any, verified)))
    assert (answer.realm, answer.client, answer.day, answer.height) == (REALM, CLIENT, DAY, HEIGHT)
    return answer


def test_a_revoked_client_has_no_permit_and_never_will() -> None:
    answer = told(REVOKED, None, AT_NOON)
    assert (answer.asked, answer.never, answer.revoked_height) == (False, True, 70)
    assert "none ever will be: the client was revoked at height 70" in permit.answer_line(answer)


def test_of_a_client_that_is_enrolled_the_day_must_be_over() -> None:
    last_second = (DAY + 1) * SECONDS_PER_DAY - 1
    early = told(ENROLLED, None, last_second)
    assert (early.asked, early.never) == (False, False)
    assert permit.answer_line(early).endswith("was asked for yet")
    over = told(ENROLLED, None, last_second + 1)
    assert over.never
    assert permit.answer_line(over).endswith("none ever will be: the day is over")


def test_a_permit_that_was_asked_for_before_the_revocation_is_said() -> None:
    answer = told(REVOKED, ASKED, AT_NOON)
    assert (answer.asked, answer.never) == (True, False)
    assert "was asked for" in permit.answer_line(answer)


@pytest.mark.parametrize(("client", "shown"), [(None, True), (None, False)])
def test_without_the_clients_record_nothing_is_final(client: bytes | None, shown: bool) -> None:
    assert not told(client, None, AT_NOON, shown).never


def test_a_record_that_can_not_be_read_is_refused() -> None:
    with pytest.raises(ReceiptRefused, match="can't be read"):
        told(b"\xff\xff", None, AT_NOON)
