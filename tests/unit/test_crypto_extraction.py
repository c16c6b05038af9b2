"""Extraction's cryptography: partials in both groups, opening, and every attack that it must stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from abci_app.crypto import extraction, scalars
from abci_app.crypto.curve import G1, G2, pairing_check
from abci_app.crypto.extraction import Answerer, Asked, Blinded, Unblinded
from dta.crypto import extraction as prover
from dta.crypto.extraction import TooFewPartials, Transport
from dta.crypto.proofs import prove
from dta.crypto.scalar import SecretScalar
from tests.support.ceremony_crypto import ceremony, scalar, seeded

THRESHOLD = 3
WORLD = ceremony(4, THRESHOLD)
SECRET = sum(polynomial[0].reveal() for polynomial in WORLD.polynomials)
SHARES = [WORLD.share(number) for number in range(4)]
ANSWERERS = [Answerer(n + 1, (G1.generator() * share.reveal()).encode()) for n, share in enumerate(SHARES)]
GID, AUTHORITY, REQUEST, REALM, CLIENT = (bytes((n,)) * 32 for n in range(1, 6))
ASKED = Asked(GID, "MPIN-BLS12381-RFC9380", purpose=1, use=1, authority=AUTHORITY, epoch=2, request=REQUEST, item=0)
A = G1.hash(b"client", b"DTA-v1-test-CLIENT")
Q = G2.hash(b"server", b"DTA-v1-test-SERVER")
GROUPS = [pytest.param(G1, A, id="G1"), pytest.param(G2, Q, id="G2")]


def transport_of(group: Any, name: str = "x") -> Transport:
    return prover.make_transport(group, GID, 1, REQUEST, REALM, CLIENT, scalar(name), seeded(name))


def answers(base: Any, transport: Transport, asked: Asked = ASKED) -> list[tuple[Answerer, Blinded]]:
    point = type(base).decode(transport.point)
    return [
        (by, prover.blind(asked, by.index, share, base, point, seeded(f"blind/{by.index}")))
        for by, share in zip(ANSWERERS, SHARES, strict=True)
    ]


# --- opening ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("group", "base"), GROUPS)
def test_a_threshold_of_partials_opens_to_the_receiver(group: Any, base: Any) -> None:
    transport = transport_of(group)
    given = answers(base, transport)
    for chosen in (given, given[1:], [given[3], given[0], given[2]]):
        assert prover.open_blinded(ASKED, THRESHOLD, base, transport, chosen) == base * SECRET


@pytest.mark.parametrize(("group", "base"), GROUPS)
def test_fewer_partials_than_the_threshold_open_nothing(group: Any, base: Any) -> None:
    transport = transport_of(group)
    given = answers(base, transport)
    for chosen in ([], given[:1], given[:2], [given[0], given[0], given[0], given[1]]):
        with pytest.raises(TooFewPartials) as caught:
            prover.open_blinded(ASKED, THRESHOLD, base, transport, chosen)
        assert caught.value.bad == ()
    # Even who insists gets another point: two partials lie on infinitely many polynomials of degree two.
    assert prover.open_blinded(ASKED, 2, base, transport, given[:2]) != base * SECRET


@pytest.mark.parametrize(("group", "base"), GROUPS)
def test_nobody_but_the_receiver_opens(group: Any, base: Any) -> None:
    transport = transport_of(group)
    given = answers(base, transport)
    thief = replace(transport, secret=scalar("another x"))
    assert prover.open_blinded(ASKED, THRESHOLD, base, thief, given) != base * SECRET


def test_wrong_partials_are_left_out_and_named() -> None:
    transport = transport_of(G1)
    given = answers(A, transport)
    swapped = [given[0], given[1], (given[2][0], given[3][1]), given[3]]
    assert prover.open_blinded(ASKED, THRESHOLD, A, transport, swapped) == A * SECRET
    with pytest.raises(TooFewPartials) as caught:
        prover.open_blinded(ASKED, THRESHOLD, A, transport, swapped[1:])
    assert (caught.value.good, caught.value.bad) == (2, (3,))
    assert "members 3" in str(caught.value)
    with_both = [*given[:2], (given[2][0], given[3][1]), given[2]]
    assert prover.open_blinded(ASKED, THRESHOLD, A, transport, with_both) == A * SECRET


def test_a_share_of_state_that_is_not_the_members_is_noticed_by_the_receiver() -> None:
    """Public shares come from verified state; against others no proof holds."""
    transport = transport_of(G1)
    lied = [(Answerer(by.index, ANSWERERS[3 - by.index].public_share), p) for by, p in answers(A, transport)]
    with pytest.raises(TooFewPartials):
        prover.open_blinded(ASKED, THRESHOLD, A, transport, lied[:3])


# --- blinded partials -------------------------------------------------------------------------------------------


def holds(partial: Blinded, base: Any = A, by: Answerer = ANSWERERS[0], asked: Asked = ASKED, name: str = "x") -> bool:
    group = type(base)
    return extraction.blinded_holds(asked, by, base.encode(), transport_of(group, name).point, partial)


CHANGES: dict[str, Callable[[Asked], Asked]] = {
    "another chain": lambda asked: replace(asked, gid=bytes(32)),
    "another suite": lambda asked: replace(asked, suite="MPIN-BLS12381-AMCL"),
    "another purpose": lambda asked: replace(asked, purpose=2),
    "another use": lambda asked: replace(asked, use=4),
    "another key": lambda asked: replace(asked, authority=bytes(32)),
    "another epoch": lambda asked: replace(asked, epoch=3),
    "another request": lambda asked: replace(asked, request=bytes(32)),
    "another item": lambda asked: replace(asked, item=1),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize(("group", "base"), GROUPS)
def test_a_partial_is_replayed_nowhere(group: Any, base: Any, what: str) -> None:
    partial = answers(base, transport_of(group))[0][1]
    assert holds(partial, base)
    assert not holds(partial, base, asked=CHANGES[what](ASKED))


@pytest.mark.parametrize(("group", "base"), GROUPS)
def test_a_partial_of_another_member_index_base_or_transport_key_is_refused(group: Any, base: Any) -> None:
    partial = answers(base, transport_of(group))[0][1]
    assert not holds(partial, base, by=ANSWERERS[1])
    assert not holds(partial, base, by=Answerer(2, ANSWERERS[0].public_share))
    assert not holds(partial, base, by=Answerer(1, ANSWERERS[1].public_share))
    assert not holds(partial, group.hash(b"another", b"DTA-v1-test"))
    assert not holds(partial, base, name="y")


@pytest.mark.parametrize(("group", "base"), GROUPS)
def test_a_partial_with_another_share_is_refused_however_it_is_proved(group: Any, base: Any) -> None:
    """The member lies: c3 holds 5*A. The proof for its public share cannot be made; one for 5*g1 names another."""
    transport = group.decode(transport_of(group).point)
    r, lie = scalar("r"), SecretScalar(5)
    c1, c3 = group.generator() * r.reveal(), base * 5 + transport * r.reveal()
    share = G1.decode(ANSWERERS[0].public_share)
    statement = extraction.blinded_statement(ASKED, 1, share, base, transport, c1, c3)
    for witnesses in ([SHARES[0], r], [lie, r]):
        assert not holds(Blinded(c1.encode(), c3.encode(), prove(statement, witnesses)), base)


@pytest.mark.parametrize(("group", "base"), GROUPS)
def test_points_that_are_none_are_refused(group: Any, base: Any) -> None:
    good = answers(base, transport_of(group))[0][1]
    size = group.BYTES
    for point in (
        b"\xc0" + bytes(size - 1), b"\x80" + bytes(size - 2) + b"\x04", b"\x80" + bytes(size - 2) + b"\x01",
        b"", bytes(size), good.c1[:-1], good.c1 + b"\0", bytes((good.c1[0] & 0x7F,)) + good.c1[1:],
    ):  # fmt: skip
        assert not holds(replace(good, c1=point), base)
        assert not holds(replace(good, c3=point), base)
        assert not extraction.blinded_holds(ASKED, ANSWERERS[0], base.encode(), point, good)
        assert not extraction.blinded_holds(ASKED, ANSWERERS[0], point, transport_of(group).point, good)


def test_a_partial_in_one_group_is_none_in_the_other() -> None:
    in_g1, in_g2 = answers(A, transport_of(G1))[0][1], answers(Q, transport_of(G2))[0][1]
    assert not holds(in_g1, Q)
    assert not holds(in_g2, A)
    for base, transport in ((Q, transport_of(G1)), (A, transport_of(G2))):
        for partial in (in_g1, in_g2):
            assert not extraction.blinded_holds(ASKED, ANSWERERS[0], base.encode(), transport.point, partial)


def test_a_public_share_that_is_no_point_is_refused() -> None:
    partial = answers(A, transport_of(G1))[0][1]
    for share in (b"", b"\xc0" + bytes(47), b"\x80" + bytes(46) + b"\x04"):
        assert not holds(partial, by=Answerer(1, share))


def test_every_blinding_is_fresh() -> None:
    """One r for two items of a batch: c3 - c3' = s*(A - A') for the same T, the difference of two secrets, unblinded.

    It binds the item and the request, so it differs even where the system's randomness repeats itself.
    """
    point = G1.decode(transport_of(G1).point)

    def constant(count: int) -> bytes:
        return bytes(count)

    asked = [ASKED, replace(ASKED, item=1), replace(ASKED, request=bytes(32)), replace(ASKED, epoch=9)]
    first = [prover.blind(each, 1, SHARES[0], A, point, constant).c1 for each in asked]
    again = prover.blind(ASKED, 1, SHARES[0], A, point, seeded("other")).c1
    other_base = prover.blind(ASKED, 1, SHARES[0], G1.hash(b"b", b"DTA-v1-test"), point, constant).c1
    other_key = prover.blind(ASKED, 1, SHARES[0], A, G1.decode(transport_of(G1, "y").point), constant).c1
    assert len({*first, again, other_base, other_key}) == len(first) + 3


def test_one_blinding_for_two_items_would_give_the_difference_of_two_secrets() -> None:
    """What the rule is for: run the attack on partials that break it."""
    point, r, other = G1.decode(transport_of(G1).point), scalar("r"), G1.hash(b"other", b"DTA-v1-test")
    pair = [base * SHARES[0].reveal() + point * r.reveal() for base in (A, other)]
    assert pair[0] - pair[1] == (A - other) * SHARES[0].reveal()
    honest = [
        prover.blind(replace(ASKED, item=item), 1, SHARES[0], base, point) for item, base in enumerate((A, other))
    ]
    assert G1.decode(honest[0].c3) - G1.decode(honest[1].c3) != (A - other) * SHARES[0].reveal()


# --- transport keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("group", "base"), GROUPS)
def test_a_transport_key_is_possessed_for_one_request_alone(group: Any, base: Any) -> None:
    key = transport_of(group)
    good = (GID, 1, REQUEST, REALM, CLIENT)
    assert extraction.possession_holds(group, *good, key.point, key.proof)
    for place, value in enumerate((bytes(32), 2, bytes(32), bytes(32), bytes(32))):
        changed: Any = (*good[:place], value, *good[place + 1 :])
        assert not extraction.possession_holds(group, *changed, key.point, key.proof)
    assert not extraction.possession_holds(group, *good, transport_of(group, "y").point, key.proof)
    other_group = G2 if group is G1 else G1
    assert not extraction.possession_holds(other_group, *good, key.point, key.proof)
    for point in (b"", b"\xc0" + bytes(group.BYTES - 1), b"\x80" + bytes(group.BYTES - 2) + b"\x04"):
        assert not extraction.possession_holds(group, *good, point, key.proof)


def test_a_transport_key_that_nobody_knows_the_scalar_of_is_not_possessed() -> None:
    """T = A + y*g1: with it c3 - c1*y - ... would hold s_i*A in another mixture. The proof needs its logarithm."""
    point = A + G1.generator() * 7
    statement = extraction.possession_statement(GID, 1, REQUEST, REALM, CLIENT, point)
    assert not extraction.possession_holds(
        G1, GID, 1, REQUEST, REALM, CLIENT, point.encode(), prove(statement, [SecretScalar(7)])
    )


def test_fresh_transport_keys_differ() -> None:
    keys = [prover.make_transport(G1, GID, 1, REQUEST, REALM, CLIENT) for _ in range(3)]
    assert len({key.point for key in keys}) == 3
    assert "secret=<redacted>" in repr(keys[0])


# --- in clear ---------------------------------------------------------------------------------------------------


def clear(asked: Asked = ASKED, base: G1 = A) -> list[tuple[Answerer, Unblinded]]:
    return [
        (by, prover.multiply(asked, by.index, share, base, seeded(f"clear/{by.index}")))
        for by, share in zip(ANSWERERS, SHARES, strict=True)
    ]


def test_partials_in_clear_combine_to_a_signature_that_verifies() -> None:
    total = prover.combine_unblinded(ASKED, THRESHOLD, A, clear()[1:])
    assert total == A * SECRET
    assert pairing_check([(total, G2.generator()), (-A, G2.generator() * SECRET)])
    with pytest.raises(TooFewPartials):
        prover.combine_unblinded(ASKED, THRESHOLD, A, clear()[:2])
    lied = [(by, Unblinded(A.encode(), partial.proof)) for by, partial in clear()[:1]] + clear()[2:]
    with pytest.raises(TooFewPartials) as caught:
        prover.combine_unblinded(ASKED, THRESHOLD, A, lied)
    assert caught.value.bad == (1,)


@pytest.mark.parametrize("what", CHANGES)
def test_a_partial_in_clear_is_replayed_nowhere(what: str) -> None:
    by, partial = clear()[0]
    assert extraction.unblinded_holds(ASKED, by, A.encode(), partial)
    assert not extraction.unblinded_holds(CHANGES[what](ASKED), by, A.encode(), partial)


def test_a_partial_in_clear_of_another_member_base_or_share_is_refused() -> None:
    by, partial = clear()[0]
    other = G1.hash(b"another", b"DTA-v1-test")
    assert not extraction.unblinded_holds(ASKED, ANSWERERS[1], A.encode(), partial)
    assert not extraction.unblinded_holds(ASKED, Answerer(2, by.public_share), A.encode(), partial)
    assert not extraction.unblinded_holds(ASKED, by, other.encode(), partial)
    for value in (other.encode(), b"\xc0" + bytes(47), b"\x80" + bytes(46) + b"\x04", b"", partial.value[:-1]):
        assert not extraction.unblinded_holds(ASKED, by, A.encode(), replace(partial, value=value))
    lie = A * 5
    statement = extraction.unblinded_statement(ASKED, 1, G1.decode(by.public_share), A, lie)
    for witness in (SHARES[0], SecretScalar(5)):
        proved = Unblinded(lie.encode(), prove(statement, [witness]))
        assert not extraction.unblinded_holds(ASKED, by, A.encode(), proved)


def test_a_blinded_partials_proof_is_none_of_one_in_clear() -> None:
    by, partial = answers(A, transport_of(G1))[0]
    assert not extraction.unblinded_holds(ASKED, by, A.encode(), Unblinded(partial.c3, partial.proof))


def test_combining_takes_distinct_members() -> None:
    with pytest.raises(ValueError, match="distinct"):
        extraction.combine(G1, [(1, A), (1, A)])
    assert scalars.lagrange_at_zero([1]) == [1]


# --- what an mfa key must never publish ---------------------------------------------------------------------------


def stolen_token_against(values: Callable[[G1, G1], list[tuple[G1, G2]]], pin: int = 1234) -> list[int]:
    """Which PINs a thief of token = s*A - pin*A is left with, after one pairing check a guess.

    ``values(c1, c3)`` gives the other side of e(c3 - token - PIN*A, g2) out of what was published: the combined
    partials of a client's request are public.
    """
    transport = transport_of(G1)
    weights = scalars.lagrange_at_zero([1, 2, 3])
    given = [partial for _, partial in answers(A, transport)[:3]]
    c1 = G1.msm([G1.decode(partial.c1) for partial in given], weights)
    c3 = G1.msm([G1.decode(partial.c3) for partial in given], weights)
    token = A * SECRET - A * pin
    return [
        guess
        for guess in range(1230, 1240)
        if pairing_check([(c3 - token - A * guess, G2.generator()), *values(c1, c3)])
    ]


def test_with_a_g2_multiple_of_a_clients_transport_key_a_stolen_tokens_pin_falls() -> None:
    """Why T of a client is in G1, and no x*g2 goes with it: tried."""
    x = transport_of(G1).secret.reveal()
    assert stolen_token_against(lambda c1, c3: [(-c1, G2.generator() * x)]) == [1234]


def test_with_a_g2_multiple_of_the_blinding_a_stolen_tokens_pin_falls() -> None:
    """Why c1 of a client's partial is in G1: with r*g2 it is e(c3 - token - PIN*A, g2) = e(T, r*g2)."""
    point, r = G1.decode(transport_of(G1).point), scalar("r").reveal()
    c3, token = A * SECRET + point * r, A * SECRET - A * 1234
    found = [
        guess
        for guess in range(1230, 1240)
        if pairing_check([(c3 - token - A * guess, G2.generator()), (-point, G2.generator() * r)])
    ]
    assert found == [1234]


def test_nothing_of_a_clients_request_is_in_g2() -> None:
    """All that members and receiver publish for it is points of G1 and scalars; s*g1 and T do not test a PIN."""
    transport = transport_of(G1)
    partial = answers(A, transport)[0][1]
    assert [len(data) for data in (transport.point, partial.c1, partial.c3)] == [48] * 3
    assert len(transport.proof) == 48 + 32
    assert len(partial.proof) == 3 * 48 + 2 * 32
    for end in range(48, 145, 48):
        assert not G1.decode(partial.proof[end - 48 : end]).is_identity
    assert stolen_token_against(lambda c1, c3: [(-c1, G2.generator())]) == []
    assert stolen_token_against(lambda c1, c3: [(-G1.decode(transport.point), G2.generator())]) == []


def test_a_servers_partial_says_nothing_of_its_secret_in_clear() -> None:
    """s_i*Q appears blinded alone: c3 is not it, and c1 does not take the blinding off without x."""
    transport = transport_of(G2)
    partial = answers(Q, transport)[0][1]
    c1, c3, bare = G2.decode(partial.c1), G2.decode(partial.c3), Q * SHARES[0].reveal()
    assert bare not in (c3, c3 - c1, c3 - G2.decode(transport.point))
    assert c3 - c1 * transport.secret.reveal() == bare
