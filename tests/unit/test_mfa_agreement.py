"""Values that no honest side sends, made so that what a login multiplies or agrees on comes out as nothing."""

from __future__ import annotations

import pytest

from abci_app.crypto.curve import ORDER
from dta.crypto.scalar import SecretScalar
from dta.mpin import protocol
from dta.mpin.protocol import BadStep, fresh_y, server_keys
from dta.mpin.suite import RFC9380
from tests.unit.test_mfa_protocol import MASTER, login, parties, pin, token


def test_a_client_answers_no_y_that_cancels_its_own_x() -> None:
    """V would be the identity, and the same whoever answers."""
    who = parties(RFC9380)
    begun = login(who, pin(1234), token(who))
    with pytest.raises(BadStep):
        begun.answer(ORDER - begun._x.reveal())


def test_a_server_makes_no_keys_with_an_r_that_cancels_the_clients_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """R = -h*A: the pairing would be one whatever the server's secret. h covers R, so that nobody finds it; yet."""
    h = 12_345
    monkeypatch.setattr(protocol, "exponent", lambda *_: h)
    who, y = parties(RFC9380), fresh_y()
    begun = login(who, pin(1234), token(who), full=True)
    v, w = begun.answer(y), SecretScalar.random()
    with pytest.raises(BadStep):
        server_keys(who, who.q * MASTER, begun.u, v, y, -(who.a * h), w, who.base * w.reveal())
