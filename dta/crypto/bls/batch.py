"""Many BLS signatures checked at once: one product of pairings, with random weights.

docs/adr/0037-signatures-checked-together.md has the argument and what it saves.

For agents and whoever else decides for itself: never for what is replicated, since the weights are random. What
:func:`abci_app.crypto.bls.verify` refuses is refused here too, but with probability 2^-128: the weights are drawn
after every input is fixed, and whoever made the inputs does not know them.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from abci_app.crypto import bls
from abci_app.crypto.curve import G1, G2, BadPoint, Point, pairing_check

Claim = tuple[bytes, bytes, bytes]
"""(public key, 48 bytes; message; signature, 96 bytes)."""

WEIGHT_BITS: Final = 128
LARGEST_BATCH: Final = 64
SMALLEST_BATCH: Final = 3
"""Below, a batch costs what single checks do."""

_SEARCHED_TIMES: Final = 2  # how often a batch is weighed again for its culprits before the rest is checked singly
_WINDOW_BITS: Final = 4

P = TypeVar("P", bound=Point)


@dataclass(frozen=True, slots=True)
class _Item:
    """A claim whose points are of the subgroup and not the identity. ``position``: which claim it is."""

    position: int
    public_key: bytes
    message: bytes
    key: G1
    hashed: G2
    signature: G2


def verify_batch(claims: Sequence[Claim], tag: bytes = bls.SIGNATURE_TAG) -> list[bool]:
    """For each claim whether its signature over its message is good under its key, as ``bls.verify`` says it.

    A malformed point, one outside the subgroup and the identity are bad by themselves and enter no batch. Claims
    with the same key, or the same message, cost less. Raises ValueError for an empty tag, nothing else.
    """
    good = [False] * len(claims)
    items = _decoded(claims, tag)
    for start in range(0, len(items), LARGEST_BATCH):
        batch = items[start : start + LARGEST_BATCH]
        for item in _Search(_SEARCHED_TIMES * len(batch)).good_ones(batch):
            good[item.position] = True
    return good


def _decoded(claims: Sequence[Claim], tag: bytes) -> list[_Item]:
    """The claims that decode, each key and each message worked out once."""
    keys: dict[bytes, G1 | None] = {}
    hashes: dict[bytes, G2] = {}
    items = []
    for position, (public_key, message, signature) in enumerate(claims):
        if public_key not in keys:
            keys[public_key] = _point(G1, public_key)
        key, point = keys[public_key], _point(G2, signature)
        if key is None or point is None:
            continue
        if message not in hashes:
            hashes[message] = G2.hash(message, tag)
        items.append(_Item(position, public_key, message, key, hashes[message], point))
    return items


def _point(group: type[P], data: bytes) -> P | None:
    try:
        return group.decode(data)
    except BadPoint:
        return None


class _Search:
    """Finds the good items of one batch by halves, weighing at most ``budget`` items again.

    So a batch made to be searched costs no more than about twice what single checks do.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget

    def good_ones(self, items: Sequence[_Item]) -> list[_Item]:
        """Those of ``items`` that are good."""
        if len(items) < SMALLEST_BATCH:
            return [item for item in items if _is_good(item)]
        return list(items) if _all_good(items) else self._of_failed(items)

    def _of_failed(self, items: Sequence[_Item]) -> list[_Item]:
        """Of items that are not all good."""
        if len(items) < 2 * SMALLEST_BATCH or self._budget < len(items):
            return [item for item in items if _is_good(item)]
        self._budget -= len(items)
        half = len(items) // 2
        first, second = items[:half], items[half:]
        if _all_good(first):
            return [*first, *self._of_failed(second)]
        return [*self._of_failed(first), *self.good_ones(second)]


def _is_good(item: _Item) -> bool:
    return pairing_check([(item.key, item.hashed), (-G1.generator(), item.signature)])


def _all_good(items: Sequence[_Item]) -> bool:
    """Whether the product of e(key, H(message))^w over ``items`` is e(g1, sum of signature * w), with fresh weights."""
    weights = [secrets.randbits(WEIGHT_BITS) for _ in items]
    of_key = Counter(item.public_key for item in items)
    by_key: dict[bytes, list[int]] = {}
    by_message: dict[bytes, list[int]] = {}
    for number, item in enumerate(items):
        # One pairing serves a key's items, or a message's: the weights go to the other side of it.
        if of_key[item.public_key] > 1:
            by_key.setdefault(item.public_key, []).append(number)
        else:
            by_message.setdefault(item.message, []).append(number)
    pairs = [(-G1.generator(), weighted_sum([item.signature for item in items], weights))]
    for numbers in by_key.values():
        hashes = weighted_sum([items[number].hashed for number in numbers], [weights[number] for number in numbers])
        pairs.append((items[numbers[0]].key, hashes))
    for numbers in by_message.values():
        keys = weighted_sum([items[number].key for number in numbers], [weights[number] for number in numbers])
        pairs.append((keys, items[numbers[0]].hashed))
    return pairing_check(pairs)


def weighted_sum(points: Sequence[P], weights: Sequence[int]) -> P:
    """The sum of ``points[i] * weights[i]``: at least one point, as many weights, none negative.

    Several by Straus' method: the doublings are shared, and signed digits make additions rare. One by blst's own
    product, which takes as long for a short scalar as for a long one. Its time depends on the weights.
    """
    if len(points) == 1:
        return points[0] * weights[0]
    multiples = [_odd_multiples(point) for point in points]
    digits = [_signed_digits(weight) for weight in weights]
    total = points[0].identity()
    for place in range(max(len(places) for places in digits) - 1, -1, -1):
        total = total + total
        for places, table in zip(digits, multiples, strict=True):
            digit = places[place] if place < len(places) else 0
            if digit:
                total = total + table[digit]
    return total


def _odd_multiples(point: P) -> dict[int, P]:
    """``point`` times 1, 3, 5, 7 and their negatives."""
    twice = point + point
    table = {1: point}
    for factor in range(3, 1 << _WINDOW_BITS - 1, 2):
        table[factor] = table[factor - 2] + twice
    return table | {-factor: -multiple for factor, multiple in table.items()}


def _signed_digits(weight: int) -> list[int]:
    """``weight`` >= 0 as a sum of digits[i] * 2^i: each 0 or odd and below 8, of four in a row at most one not 0."""
    digits = []
    whole, half = 1 << _WINDOW_BITS, 1 << _WINDOW_BITS - 1
    while weight:
        digit = 0
        if weight & 1:
            digit = weight % whole
            if digit >= half:
                digit -= whole
            weight -= digit
        digits.append(digit)
        weight >>= 1
    return digits
