"""Making the proofs that ``abci_app/crypto/proofs.py`` checks."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from hashlib import sha384
from typing import Final

from abci_app.crypto import scalars
from abci_app.crypto.curve import Point
from abci_app.crypto.proofs import Proof, Statement, challenge_of
from abci_app.hashing import tagged, u32
from dta.crypto.scalar import SecretScalar

RandomBytes = Callable[[int], bytes]

FRESH_BYTES: Final = 32


def hedged(
    tag: str, bound: Sequence[bytes], held: Sequence[SecretScalar], number: int, fresh: bytes
) -> SecretScalar:
    """A scalar that nobody can guess who lacks either the secrets ``held`` or the 32 ``fresh`` bytes.

    It changes with everything in ``bound``, so that no two statements ever share a nonce or a blinding, not even
    where the system's randomness repeats itself (a restored snapshot of a machine).
    """
    known = (scalars.encode(scalar.reveal()) for scalar in held)
    return SecretScalar(scalars.from_wide(sha384(tagged(tag, *bound, *known, u32(number), fresh)).digest()))


def prove(
    statement: Statement, witnesses: Sequence[SecretScalar], random_bytes: RandomBytes = secrets.token_bytes
) -> bytes:
    """A proof of ``statement``, which the ``witnesses`` satisfy. ``random_bytes(n)`` gives n bytes.

    Nonces bind the whole statement, the witnesses, and 32 fresh random bytes. Raises ValueError for another number of
    witnesses. That they satisfy the equations is not checked.
    """
    if len(witnesses) != statement.witnesses:
        raise ValueError("a proof takes one witness for each of the statement's")
    fresh = random_bytes(FRESH_BYTES)
    bound = (statement.tag.encode("ascii"), *statement.context)
    nonces = [hedged("DTA-v1-nonce", bound, witnesses, number, fresh) for number in range(len(witnesses))]
    announcements = tuple(_announce(equation.terms, nonces) for equation in statement.equations)
    c = challenge_of(statement, announcements)
    responses = tuple(
        nonce.reveal() + c * witness.reveal() for nonce, witness in zip(nonces, witnesses, strict=True)
    )
    return Proof(announcements, responses).encode()


def _announce(terms: Sequence[tuple[Point, int]], nonces: Sequence[SecretScalar]) -> bytes:
    products = [base * nonces[number].reveal() for base, number in terms]
    total = products[0]
    for product in products[1:]:
        total = total + product
    return total.encode()
