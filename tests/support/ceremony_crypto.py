"""A ceremony without a ledger: its parties' secrets and dealings, seeded, for tests of the cryptography alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from abci_app.crypto import dealing, scalars
from abci_app.crypto.curve import G1
from abci_app.crypto.dealing import Dealing, Party
from abci_app.hashing import u32
from dta.crypto import dealing as prover
from dta.crypto.scalar import SecretScalar

KNOWN = sha256(b"known part").digest()
RECORD = sha256(b"record").digest()


def seeded(name: str) -> Callable[[int], bytes]:
    """Reproducible bytes, other ones for another name and at each call."""
    calls = 0

    def random_bytes(count: int) -> bytes:
        nonlocal calls
        calls += 1
        stream = b"".join(sha256(f"{name}/{calls}/{block}".encode()).digest() for block in range(count // 32 + 1))
        return stream[:count]

    return random_bytes


def scalar(name: str) -> SecretScalar:
    """A scalar that depends on ``name`` alone."""
    return SecretScalar(scalars.from_wide(seeded(name)(48)))


@dataclass(frozen=True)
class World:
    """``members`` with their x, and every dealer's polynomial and dealing. Members deal to members."""

    record: bytes
    threshold: int
    members: list[Party]
    keys: list[SecretScalar]
    polynomials: list[list[SecretScalar]]
    dealings: list[Dealing]

    def encryption_keys(self) -> list[bytes]:
        return [prover.public_key(key).encode() for key in self.keys]

    def share(self, member: int, weights: list[int] | None = None, dealers: list[Party] | None = None) -> SecretScalar:
        """The share of the key of member number ``member`` (from 0), opened from all dealings."""
        dealers = dealers or self.members
        opened = [
            prover.open_share(self.record, dealer, self.members[member], self.keys[member], dealt, member)
            for dealer, dealt in zip(dealers, self.dealings, strict=True)
        ]
        return prover.combine(opened, weights or [1] * len(opened))

    def commitments(self, weights: list[int] | None = None) -> list[G1]:
        columns = [[G1.decode(point) for point in dealt.commitments] for dealt in self.dealings]
        return dealing.combine(columns, weights or [1] * len(columns))


def identity(number: int) -> bytes:
    return sha256(b"fiduciary" + u32(number)).digest()


def ceremony(members: int, threshold: int, record: bytes = RECORD, publishes_g2: bool = False) -> World:
    """A first key of ``members``, all of whom deal honestly."""
    parties = [Party(identity(number), number) for number in range(1, members + 1)]
    polynomials = [
        [scalar(f"{record.hex()}/a/{party.index}/{power}") for power in range(threshold)] for party in parties
    ]
    return dealt_by(record, parties, parties, threshold, polynomials, publishes_g2)


def dealt_by(
    record: bytes,
    dealers: list[Party],
    members: list[Party],
    threshold: int,
    polynomials: list[list[SecretScalar]],
    publishes_g2: bool = False,
) -> World:
    """The dealings of these polynomials to ``members``."""
    keys = [scalar(f"{record.hex()}/x/{party.index}") for party in members]
    addressed = [(party, prover.public_key(key).encode()) for party, key in zip(members, keys, strict=True)]
    dealings = [
        prover.deal(
            record, dealer, addressed, coefficients, scalar(f"{record.hex()}/e/{dealer.index}"), publishes_g2,
            seeded(f"{record.hex()}/{dealer.index}"),
        )
        for dealer, coefficients in zip(dealers, polynomials, strict=True)
    ]  # fmt: skip
    return World(record, threshold, members, keys, polynomials, dealings)
