"""Shamir's sharing: any threshold gives the secret back, fewer say nothing, and malformed shares are named."""

from __future__ import annotations

from itertools import combinations

import pytest

from dta.base.secret import SecretBytes
from dta.crypto.bls import GROUP_ORDER
from dta.crypto.shamir import BadShares, Share, ShareFault, combine, random_scalar, split


def scalar(value: int) -> SecretBytes:
    return SecretBytes(value.to_bytes(32, "big"))


SECRET = scalar(0x123456789ABCDEF)


def reason(shares: list[Share], threshold: int = 2, count: int = 3) -> tuple[ShareFault, int | None]:
    with pytest.raises(BadShares) as caught:
        combine(shares, threshold, count)
    return caught.value.reason, caught.value.index


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (1, 3), (2, 3), (3, 3), (3, 5), (16, 24)])
def test_any_threshold_of_shares_gives_the_secret_back(threshold: int, count: int) -> None:
    shares = split(SECRET, threshold, count)
    assert [share.index for share in shares] == list(range(1, count + 1))
    for number, chosen in enumerate(combinations(shares, threshold)):
        assert combine(chosen[::-1], threshold, count) == SECRET
        if number == 50:
            break
    assert combine(shares, threshold, count) == SECRET


def test_extreme_scalars_survive() -> None:
    for value in (0, 1, GROUP_ORDER - 1):
        assert combine(split(scalar(value), 2, 3)[1:], 2, 3) == scalar(value)


def test_the_polynomial_is_the_textbooks() -> None:
    """Coefficients 7, 5, 3 (by a stated randomness): f(x) = 7 + 5x + 3x^2."""
    stream = iter([(5).to_bytes(48, "big"), (3).to_bytes(48, "big")])
    shares = split(scalar(7), 3, 4, lambda length: next(stream))
    assert [int.from_bytes(share.value.reveal(), "big") for share in shares] == [15, 29, 49, 75]


def test_shares_below_the_threshold_fit_every_secret() -> None:
    """For each of the secrets there is a polynomial through the same one share: it tells them not apart."""
    share = split(SECRET, 2, 3)[0]
    for value in (0, 1, 2**200):
        slope = (int.from_bytes(share.value.reveal(), "big") - value) % GROUP_ORDER
        second = Share(2, scalar((value + 2 * slope) % GROUP_ORDER))
        assert combine([share, second], 2, 3) == scalar(value)


def test_two_splits_of_one_secret_share_nothing() -> None:
    one, two = split(SECRET, 2, 3), split(SECRET, 2, 3)
    assert all(first.value != second.value for first, second in zip(one, two, strict=True))


def test_malformed_shares_are_refused_by_name() -> None:
    shares = split(SECRET, 2, 3)
    assert reason(shares[:1]) == (ShareFault.TOO_FEW, None)
    assert reason([]) == (ShareFault.TOO_FEW, None)
    assert reason([shares[0], shares[0]]) == (ShareFault.REPEATED_INDEX, 1)
    assert reason([shares[0], Share(0, SECRET)]) == (ShareFault.INDEX, 0)
    assert reason([shares[0], Share(4, SECRET)]) == (ShareFault.INDEX, 4)
    assert reason([shares[0], Share(GROUP_ORDER + 2, SECRET)]) == (ShareFault.INDEX, GROUP_ORDER + 2)
    assert reason([shares[0], Share(2, scalar(GROUP_ORDER))]) == (ShareFault.NOT_A_SCALAR, 2)
    assert reason([shares[0], Share(2, SecretBytes(bytes(31)))]) == (ShareFault.NOT_A_SCALAR, 2)
    assert reason([shares[0], Share(2, SecretBytes(bytes(33)))]) == (ShareFault.NOT_A_SCALAR, 2)


def test_a_share_off_the_polynomial_is_noticed_when_there_are_more_than_needed() -> None:
    shares = split(SECRET, 2, 3)
    assert reason([*shares[:2], Share(3, SECRET)]) == (ShareFault.INCONSISTENT, None)


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (4, 3), (-1, 3), (1, 0), (2, 256)])
def test_a_threshold_that_can_not_be_met_is_refused(threshold: int, count: int) -> None:
    with pytest.raises(BadShares):
        split(SECRET, threshold, count)
    with pytest.raises(BadShares):
        combine(split(SECRET, 1, 1), threshold, count)


def test_only_a_scalar_is_split() -> None:
    for value in (scalar(GROUP_ORDER), SecretBytes(bytes(31)), SecretBytes(b"")):
        with pytest.raises(BadShares):
            split(value, 2, 3)


def test_a_share_and_an_error_show_nothing() -> None:
    shares = split(SECRET, 2, 3)
    assert "<redacted>" in repr(shares[0])
    assert shares[0].value.reveal().hex() not in repr(shares)
    with pytest.raises(BadShares) as caught:
        combine([*shares[:2], Share(3, SECRET)], 2, 3)
    assert SECRET.reveal().hex() not in str(caught.value) + repr(caught.value) + str(caught.value.data)


def test_random_scalars_are_reduced_and_differ() -> None:
    assert random_scalar(lambda length: b"\xff" * length) == scalar((2**384 - 1) % GROUP_ORDER)
    assert random_scalar() != random_scalar()
