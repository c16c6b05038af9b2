"""M-Pin's steps in both suites: who knows token and PIN gets in, nobody else, and the attacks that were tried fail."""

from __future__ import annotations

import pickle
from hashlib import sha256

import pytest
from py_ecc.optimized_bls12_381 import FQ12, field_modulus
from py_ecc.optimized_bls12_381 import G1 as ECC_G1
from py_ecc.optimized_bls12_381 import G2 as ECC_G2
from py_ecc.optimized_bls12_381 import pairing as ecc_pairing

from abci_app.crypto.curve import G1, G2, ORDER, BadPoint, pairing_check
from abci_app.crypto.scalars import BadScalar
from dta.base.errors import UsageError
from dta.base.secret import SecretBytes
from dta.crypto.gt import pairing_bytes
from dta.crypto.scalar import SecretScalar
from dta.mpin.pin import Pin, changed, secret_of, token_of
from dta.mpin.protocol import (
    BadStep,
    ClientLogin,
    Parties,
    StepReused,
    accepts,
    check_server_secret,
    fresh_y,
    one_pass_y,
    server_keys,
)
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import AMCL, RFC9380, Suite
from tests.bench import mfa
from tests.support.actors import seeded

MASTER = int.from_bytes(seeded("mfa", "master"), "big") % ORDER
DAY = 20_784
both_suites = pytest.mark.parametrize("suite", [RFC9380, AMCL], ids=lambda suite: suite.name)
with_and_without_permit = pytest.mark.parametrize("day", [None, DAY], ids=["plain", "permit"])


def pin(number: int | str) -> Pin:
    return Pin(SecretBytes(str(number).encode()))


def parties(suite: Suite, day: int | None = None, client: str = "alice", server: str = "rps") -> Parties:
    ids = (seeded("mfa", name) for name in ("gid", "key", "realm"))
    return Parties(suite, *ids, seeded("client", client), seeded("server", server), day)


def login(who: Parties, guess: Pin, token: SecretPoint[G1], full: bool = False) -> ClientLogin:
    permit = None if who.day is None else who.permit_point(who.day) * MASTER
    return ClientLogin(who, secret_of(token, who.a, guess), permit, full)


def token(who: Parties, number: int = 1234) -> SecretPoint[G1]:
    return token_of(SecretPoint(who.a * MASTER), who.a, pin(number))


def accepted(who: Parties, attempt: ClientLogin, y: int, v: G1) -> bool:
    return accepts(who.base, who.q, who.q * MASTER, attempt.u, y, v)


@both_suites
@with_and_without_permit
def test_the_right_pin_is_accepted_and_a_wrong_one_is_not(suite: Suite, day: int | None) -> None:
    who = parties(suite, day)
    for guess, expected in ((1234, True), (1235, False), (1233, False), (9999, False), ("12340", False)):
        attempt = login(who, pin(guess), token(who))
        y = fresh_y()
        assert accepted(who, attempt, y, attempt.answer(y)) is expected


@both_suites
@with_and_without_permit
def test_a_one_pass_login_is_bound_to_all_that_it_is_about(suite: Suite, day: int | None) -> None:
    who = parties(suite, day)
    attempt = login(who, pin(1234), token(who))
    y, v = attempt.one_pass(1_800_000_000)
    assert y == one_pass_y(who, 1_800_000_000, attempt.u)
    assert accepted(who, attempt, y, v)
    others = (
        one_pass_y(who, 1_800_000_001, attempt.u), one_pass_y(who, 1_800_000_000, attempt.u + G1.generator()),
        one_pass_y(parties(suite, day, server="other"), 1_800_000_000, attempt.u),
        one_pass_y(parties(suite, day, client="bob"), 1_800_000_000, attempt.u),
        one_pass_y(parties(suite, DAY + 1), 1_800_000_000, attempt.u),
    )  # fmt: skip
    for other in others:
        assert not accepted(who, attempt, other, v)


@both_suites
@with_and_without_permit
def test_the_full_protocol_gives_both_sides_the_same_keys(suite: Suite, day: int | None) -> None:
    who = parties(suite, day)
    attempt = login(who, pin(1234), token(who), full=True)
    assert attempt.r is not None
    y, w = fresh_y(), SecretScalar.random()
    w_point = who.base * w.reveal()
    v = attempt.answer(y)
    mine = attempt.keys(y, v, w_point)
    theirs = server_keys(who, who.q * MASTER, attempt.u, v, y, attempt.r, w, w_point)
    assert mine == theirs
    assert mine.server_confirmed(theirs.server_confirmation())
    assert theirs.client_confirmed(mine.client_confirmation())
    assert not theirs.client_confirmed(theirs.server_confirmation())  # one side's is not the other's: no reflection
    assert len({key.reveal() for key in (mine.session, mine.ticket, mine._client, mine._server)}) == 4
    assert "redacted" in repr(mine)
    assert mine.session.reveal().hex() not in repr(mine)


@both_suites
def test_without_the_server_secret_the_keys_are_others(suite: Suite) -> None:
    who = parties(suite)
    attempt = login(who, pin(1234), token(who), full=True)
    assert attempt.r is not None
    y, w = fresh_y(), SecretScalar.random()
    v = attempt.answer(y)
    impostor = server_keys(who, who.q * (MASTER + 1), attempt.u, v, y, attempt.r, w, who.base * w.reveal())
    assert not attempt.keys(y, v, who.base * w.reveal()).server_confirmed(impostor.server_confirmation())


@both_suites
@with_and_without_permit
@pytest.mark.parametrize("changed_value", ["u", "v", "y", "r", "w"])
def test_any_value_that_was_changed_on_the_way_gives_other_keys(
    suite: Suite, day: int | None, changed_value: str
) -> None:
    who = parties(suite, day)
    attempt = login(who, pin(1234), token(who), full=True)
    assert attempt.r is not None
    y, w = fresh_y(), SecretScalar.random()
    w_point = who.base * w.reveal()
    v = attempt.answer(y)
    seen: dict[str, G1] = {"u": attempt.u, "v": v, "r": attempt.r, "w": w_point}
    if changed_value != "y":
        seen[changed_value] += G1.generator()
    theirs = server_keys(
        who, who.q * MASTER, seen["u"], seen["v"], y + (changed_value == "y"), seen["r"], w, seen["w"]
    )  # fmt: skip
    assert not theirs.client_confirmed(attempt.keys(y, v, w_point).client_confirmation())


@both_suites
def test_one_u_never_answers_two_challenges(suite: Suite) -> None:
    who = parties(suite)
    attempt = login(who, pin(1234), token(who))
    attempt.answer(fresh_y())
    with pytest.raises(StepReused):
        attempt.answer(fresh_y())
    with pytest.raises(StepReused):
        attempt.one_pass(1_800_000_000)


@both_suites
def test_two_answers_to_one_u_would_give_the_client_secret_away(suite: Suite) -> None:
    """Why the client never reuses x: the attack, tried against a client that does."""
    who = parties(suite)
    attempt = login(who, pin(1234), token(who))
    first, second = fresh_y(), fresh_y()
    v1 = attempt.answer(first)
    attempt._used = False
    v2 = attempt.answer(second)
    assert (v1 - v2) * pow(second - first, -1, ORDER) == who.a * MASTER


@both_suites
@pytest.mark.parametrize("y", [0, ORDER, ORDER + 1, -1])
def test_a_client_answers_no_y_that_a_server_would_not_send(suite: Suite, y: int) -> None:
    who = parties(suite)
    with pytest.raises(BadStep):
        login(who, pin(1234), token(who)).answer(y)


@both_suites
def test_a_u_chosen_after_y_logs_in_as_anybody(suite: Suite) -> None:
    """Why pass 2 brings V alone: U = k*g1 - y*A and V = -k*(s*g1) need nothing secret, once y is known."""
    who = parties(suite)
    y, k = fresh_y(), 12345
    chosen_u = G1.generator() * k - who.a * y
    v = -(G1.generator() * MASTER * k)
    assert accepts(who.base, who.q, who.q * MASTER, chosen_u, y, v)
    assert not accepts(who.base, who.q, who.q * MASTER, chosen_u, fresh_y(), v)


@both_suites
def test_a_pin_is_changed_without_anybody_else(suite: Suite) -> None:
    who = parties(suite)
    new = changed(token(who), who.a, pin(1234), pin(987654))
    assert new == token(who, 987654)
    for guess, expected in ((987654, True), (1234, False)):
        attempt = login(who, pin(guess), new)
        y = fresh_y()
        assert accepted(who, attempt, y, attempt.answer(y)) is expected


@both_suites
def test_a_wrong_old_pin_makes_a_token_that_no_one_can_tell_from_a_good_one(suite: Suite) -> None:
    who = parties(suite)
    spoiled = changed(token(who), who.a, pin(4321), pin(5678))
    attempt = login(who, pin(5678), spoiled)
    y = fresh_y()
    assert not accepted(who, attempt, y, attempt.answer(y))


def test_with_the_second_group_s_multiple_of_the_key_a_stolen_token_s_pin_falls_at_once() -> None:
    """Why s*g2 of an mfa key is never published, tried: e(token + PIN*A, g2) = e(A, s*g2) tells the PIN offline."""
    who = parties(RFC9380)
    stolen = token(who, 1007).reveal()
    s_g2 = G2.generator() * MASTER
    found = [n for n in range(1000, 1010) if pairing_check([(stolen + who.a * n, G2.generator()), (-who.a, s_g2)])]
    assert found == [1007]
    # A server secret does the same: whoever has one and a token of its realm has the PIN. (docs/spec/threats.md)
    found = [n for n in range(1000, 1010) if pairing_check([(stolen + who.a * n, who.q), (-who.a, who.q * MASTER)])]
    assert found == [1007]
    # Of another realm's key it tells nothing.
    other = who.q * (MASTER + 5)
    assert not any(pairing_check([(stolen + who.a * n, who.q), (-who.a, other)]) for n in range(1000, 1010))


def test_with_the_second_group_s_multiple_of_a_request_s_scalars_the_pin_falls_as_well() -> None:
    """Why x and r of a client's request are in G1 alone, tried: x*g2 or r*g2 opens what was blinded, to pairings."""
    who = parties(RFC9380)
    stolen = token(who, 1007).reveal()
    x, r = SecretScalar.random().reveal(), SecretScalar.random().reveal()
    transport, c1 = G1.generator() * x, G1.generator() * r
    c3 = who.a * MASTER + transport * r
    for point, multiple in ((c1, G2.generator() * x), (transport, G2.generator() * r)):
        guesses = ((n, c3 - stolen - who.a * n) for n in range(1000, 1010))
        found = [n for n, rest in guesses if pairing_check([(rest, G2.generator()), (-point, multiple)])]
        assert found == [1007]


def test_servers_of_a_realm_cannot_pose_as_each_other() -> None:
    one, two = parties(RFC9380), parties(RFC9380, server="other")
    attempt = login(one, pin(1234), token(one))
    y = fresh_y()
    assert not accepts(one.base, one.q, two.q * MASTER, attempt.u, y, attempt.answer(y))


def test_every_amcl_server_has_the_same_secret() -> None:
    assert parties(AMCL).q == parties(AMCL, server="other").q == G2.generator()


@both_suites
def test_yesterday_s_permit_is_worth_nothing_today(suite: Suite) -> None:
    today = parties(suite, DAY)
    yesterday = today.permit_point(DAY - 1) * MASTER
    attempt = ClientLogin(today, secret_of(token(today), today.a, pin(1234)), yesterday)
    y = fresh_y()
    assert not accepted(today, attempt, y, attempt.answer(y))


@both_suites
def test_a_false_permit_tells_who_has_the_token_whether_one_guess_of_the_pin_is_right(suite: Suite) -> None:
    """Why a permit is to be checked, tried: P = k*B - g*A - token makes V k times what is known, where g is right.

    Nothing of the server's is needed, so no server counts the guess. Each login tests one: docs/spec/threats.md.
    """
    who, k = parties(suite, DAY), 0x1234567
    stolen = token(who, 1007)
    for guess in (1006, 1007, 1008):
        false = who.base * k - who.a * guess - stolen.reveal()
        attempt = ClientLogin(who, secret_of(stolen, who.a, pin(1007)), false)
        y = fresh_y()
        assert (attempt.answer(y) == -((attempt.u + who.base * y) * k)) is (guess == 1007)


def test_an_identity_shaped_as_a_permit_would_be_one_so_none_is() -> None:
    """Tried: under AMCL the identity BE32(day) | SHA-256(victim) has the victim's permit as its client secret."""
    victim = parties(AMCL)
    shaped = DAY.to_bytes(4, "big") + sha256(victim.identity).digest()
    assert AMCL.client_point(shaped) == victim.permit_point(DAY)
    assert len(shaped) == 36
    assert len(victim.identity) == len(parties(AMCL, client="bob").identity) == 133
    # RFC 9380 has a tag for each use.
    assert RFC9380.client_point(shaped) != RFC9380.permit_point(shaped)


@both_suites
def test_a_server_checks_the_secret_that_it_received(suite: Suite) -> None:
    who = parties(suite)
    public_key = G1.generator() * MASTER
    check_server_secret(public_key, who.q, SecretPoint(who.q * MASTER))
    with pytest.raises(BadPoint):
        check_server_secret(public_key, who.q, SecretPoint(who.q * (MASTER + 1)))


@both_suites
def test_points_are_written_and_read_back_and_nothing_else_is_read(suite: Suite) -> None:
    for number in (1, 2, 3, ORDER - 1, MASTER):
        p, q = G1.generator() * number, G2.generator() * number
        assert suite.read_g1(suite.write_g1(p)) == p
        assert suite.read_g2(suite.write_g2(q)) == q
    good = suite.write_g1(G1.generator())
    for data in (b"", good[:-1], good + b"\0", bytes(len(good)), b"\xff" * len(good), good[:1] + bytes(len(good) - 1)):
        with pytest.raises(BadPoint):
            suite.read_g1(data)
    good = suite.write_g2(G2.generator())
    for data in (b"", good[:-1], good + b"\0", bytes(len(good)), b"\xff" * len(good)):
        with pytest.raises(BadPoint):
            suite.read_g2(data)


def test_an_amcl_point_off_the_curve_or_outside_the_subgroup_is_refused() -> None:
    good = AMCL.write_g1(G1.generator())
    off_curve = good[:-1] + bytes([good[-1] ^ 1])
    order_three = b"\x04" + bytes(48) + (2).to_bytes(48, "big")  # (0, 2): y^2 = 4, of order 3
    beyond_field = b"\x04" + (field_modulus + int.from_bytes(good[1:49], "big")).to_bytes(48, "big") + good[49:]
    for data in (off_curve, order_three, beyond_field, b"\x02" + good[1:]):
        with pytest.raises(BadPoint):
            AMCL.read_g1(data)
    compressed_order_three = bytes([0x80]) + bytes(47)
    with pytest.raises(BadPoint):
        RFC9380.read_g1(compressed_order_three)
    with pytest.raises(BadPoint):
        AMCL.read_g2(AMCL.write_g2(G2.generator())[:-1] + b"\0")
    with pytest.raises(BadPoint):
        AMCL.write_g1(G1.identity())


@both_suites
def test_scalars_from_outside_are_canonical_and_not_zero(suite: Suite) -> None:
    width = len(suite.write_scalar(1))
    assert suite.read_scalar(suite.write_scalar(MASTER)) == MASTER
    for data in (bytes(width), ORDER.to_bytes(width, "big"), b"\x01", suite.write_scalar(1) + b"\0"):
        with pytest.raises(BadScalar):
            suite.read_scalar(data)


@pytest.mark.parametrize("digits", ["", "123", "12a4", "1234567890123", " 1234", "-1234", "１２３４"])
def test_a_pin_is_four_to_twelve_digits(digits: str) -> None:
    with pytest.raises(UsageError) as caught:
        Pin(SecretBytes(digits.encode()))
    assert digits not in str(caught.value) or not digits


def test_secrets_show_and_pickle_nothing() -> None:
    who = parties(RFC9380)
    for secret in (token(who), pin(1234)):
        assert repr(secret) == str(secret) == f"{secret}" == "<redacted>"
        with pytest.raises(TypeError):
            pickle.dumps(secret)
    attempt = login(who, pin(1234), token(who), full=True)
    for scalar in (attempt._x, attempt._r):
        assert scalar is not None
        assert str(scalar.reveal()) not in repr(attempt)
    assert (who.a * MASTER).encode().hex() not in repr(attempt)


def test_the_pairing_s_bytes_are_the_oracle_s_number() -> None:
    """arkworks' element is py-ecc's pairing to the power -3: the tower of docs/spec/mfa.md, little-endian."""
    data = pairing_bytes(G1.generator(), G2.generator()).reveal()
    assert sha256(data).hexdigest() == "ff9912603bb02b77bc6ec1deaeddf9d1fee40ac17a781fb13c9c6e7a9f74d22b"
    numbers = [int.from_bytes(data[at : at + 48], "little") for at in range(0, 576, 48)]
    # c[i][j] = a + b*u at w^i * v^j, where w^2 = v, v^3 = u + 1, u^2 = -1; py-ecc: powers of w, u = w^6 - 1.
    coefficients = [0] * 12
    for index in range(6):
        i, j = divmod(index, 3)
        a, b = numbers[2 * index], numbers[2 * index + 1]
        coefficients[2 * j + i] += a - b
        coefficients[2 * j + i + 6] += b
    ours = FQ12([c % field_modulus for c in coefficients])
    assert ours * ecc_pairing(ECC_G2, ECC_G1) ** 3 == FQ12.one()


def test_every_step_of_a_login_is_measured_in_both_suites() -> None:
    costs = mfa.measure(rounds=1)
    assert costs[0].step == "two-pairing check"
    assert costs[0].checks == 1
    assert len(costs) == 13
    assert {cost.suite for cost in costs[1:]} == {RFC9380.name, AMCL.name}
    assert all(cost.milliseconds > 0 for cost in costs)
