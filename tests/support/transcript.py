"""Everything that a chain ever wrote, and the points of G2 in it: what a thief of all public data has.

``leaks`` asks of each such point, by pairings, what it must not be (docs/spec/authority.md): for an ``mfa`` key no G2
multiple of the key, of a share, or of what blinds a G1 request is ever published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from abci_app.crypto.curve import G1, G2, BadPoint, pairing_check
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from tests.support.chain import Chain

_FLAGS = 0xC0


@dataclass
class Transcript:
    """Bytes that were public at some time: transactions, leaves at each height, index entries."""

    seen: dict[bytes, None] = field(default_factory=dict)

    def note(self, chain: Chain) -> None:
        """All that the chain's state holds now, and its blocks' transactions."""
        for block in chain.blocks:
            self.add(block.txs)
        for table in (chain.view.leaves, chain.view.index):
            for key, value in table.items():
                self.add((key, value))

    def add(self, values: Iterable[bytes]) -> None:
        self.seen.update(dict.fromkeys(values))

    def points_of_g2(self) -> list[G2]:
        """Every run of 96 bytes anywhere that is a point of G2, each once: fields' bounds don't matter."""
        found: dict[bytes, G2] = {}
        for value in self.seen:
            for point in _windows(value):
                found[point.encode()] = point
        return list(found.values())


def _windows(value: bytes) -> Iterator[G2]:
    for start in range(len(value) - G2.BYTES + 1):
        if value[start] & _FLAGS != 0x80:  # compressed, and not the identity
            continue
        try:
            yield G2.decode(value[start : start + G2.BYTES])
        except BadPoint:
            continue


def leaks(points: Iterable[G2], public_key: bytes, shares: Iterable[bytes], partials: Iterable[Partial]) -> list[str]:
    """What is wrong with these points. ``public_key`` and ``shares`` are in G1, of one mfa key.

    Found: s*g2 or s_i*g2; s*Q or s_i*Q of a server's base Q; x*g2 or r*g2 of a request in G1.
    """
    keys = {"the key": G1.decode(public_key)} | {f"share {n}": G1.decode(one) for n, one in enumerate(shares)}
    bases, blinding = {}, {}
    for number, (item, partial) in enumerate(partials):
        if len(item.base) == G2.BYTES:
            bases[item.base] = G2.decode(item.base)
        else:
            blinding |= {f"x of {number}": G1.decode(item.transport), f"r of {number}": G1.decode(partial.c1)}
    g1, g2 = G1.generator(), G2.generator()
    wrong = []
    for point in points:
        for name, key in (keys | blinding).items():
            if pairing_check([(key, g2), (-g1, point)]):
                wrong.append(f"{name} times g2")
        for base in bases.values():
            for name, key in keys.items():
                if pairing_check([(key, base), (-g1, point)]):
                    wrong.append(f"{name} times Q")
    return wrong


Partial = tuple[pb.ExtractionItem, pb.PartialRecord]
