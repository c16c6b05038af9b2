"""A member's partials and a receiver's side: transport keys, opening (docs/spec/authority.md, Extraction)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from abci_app.crypto import extraction
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.extraction import Answerer, Asked, Blinded, Unblinded, name_of
from abci_app.hashing import u32
from dta.base.errors import EXIT_NOT_VERIFIED, DtaError
from dta.crypto.proofs import FRESH_BYTES, RandomBytes, hedged, prove
from dta.crypto.scalar import SecretScalar

P = TypeVar("P", G1, G2)


class TooFewPartials(DtaError):
    """Fewer good partials than the threshold. ``bad`` are the members (by index) whose partial does not verify."""

    kind = "too-few-partials"
    exit_code = EXIT_NOT_VERIFIED

    def __init__(self, good: int, threshold: int, bad: Sequence[int]) -> None:
        named = f"; those of members {', '.join(map(str, bad))} are wrong" if bad else ""
        super().__init__(
            f"{good} of {threshold} partials are there{named}",
            hint="wait for more members to answer, and see who has",
            data={"good": good, "threshold": threshold, "bad": list(bad)},
        )
        self.good = good
        self.threshold = threshold
        self.bad = tuple(bad)


@dataclass(frozen=True, slots=True)
class Transport:
    """A receiver's key for one item of one request: T = x*B1 and the proof of possession."""

    secret: SecretScalar
    point: bytes
    proof: bytes


def make_transport(
    group: type[P],
    gid: bytes,
    use: int,
    request: bytes,
    subject: bytes,
    item_subject: bytes,
    secret: SecretScalar | None = None,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> Transport:
    """A fresh transport key (or that of ``secret``), bound to the request as its statement says."""
    x = SecretScalar.random() if secret is None else secret
    point = group.generator() * x.reveal()
    statement = extraction.possession_statement(gid, use, request, subject, item_subject, point)
    return Transport(x, point.encode(), prove(statement, [x], random_bytes))


def blind(
    asked: Asked,
    index: int,
    share: SecretScalar,
    base: P,
    transport: P,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> Blinded:
    """Member ``index``'s partial for one item, which only the holder of x of ``transport`` can open.

    r is fresh for each item of each request: it binds all of the statement, the share and 32 fresh random bytes. (One
    r for two items hands a client the difference of two secrets.)
    """
    group = type(base)
    public = G1.generator() * share.reveal()
    bound = (*asked.parts(), u32(index), name_of(group), public.encode(), base.encode(), transport.encode())
    r = hedged("DTA-v1-blinding", bound, [share], 0, random_bytes(FRESH_BYTES))
    c1 = group.generator() * r.reveal()
    c3 = base * share.reveal() + transport * r.reveal()
    statement = extraction.blinded_statement(asked, index, public, base, transport, c1, c3)
    return Blinded(c1.encode(), c3.encode(), prove(statement, [share, r], random_bytes))


def multiply(
    asked: Asked, index: int, share: SecretScalar, base: G1, random_bytes: RandomBytes = secrets.token_bytes
) -> Unblinded:
    """Member ``index``'s partial in clear: of signing keys, and of permits, which are public."""
    public, value = G1.generator() * share.reveal(), base * share.reveal()
    statement = extraction.unblinded_statement(asked, index, public, base, value)
    return Unblinded(value.encode(), prove(statement, [share], random_bytes))


def open_blinded(
    asked: Asked,
    threshold: int,
    base: P,
    transport: Transport,
    answers: Sequence[tuple[Answerer, Blinded]],
) -> P:
    """s*base out of ``threshold`` good partials: proofs checked again, c3 - x*c1 each, combined by Lagrange.

    The answerers' public shares come from verified state, not from whoever gave the answers. Raises
    :class:`TooFewPartials`.
    """
    group, base_bytes = type(base), base.encode()
    opened: dict[int, P] = {}
    for by, partial in answers:
        if extraction.blinded_holds(asked, by, base_bytes, transport.point, partial):
            c1, c3 = group.decode(partial.c1), group.decode(partial.c3)
            opened[by.index] = c3 - c1 * transport.secret.reveal()
    return _combined(group, threshold, opened, [by for by, _ in answers])


def combine_unblinded(
    asked: Asked, threshold: int, base: G1, answers: Sequence[tuple[Answerer, Unblinded]]
) -> G1:
    """s*base out of ``threshold`` good partials in clear. Raises :class:`TooFewPartials`."""
    values = {
        by.index: G1.decode(partial.value)
        for by, partial in answers
        if extraction.unblinded_holds(asked, by, base.encode(), partial)
    }
    return _combined(G1, threshold, values, [by for by, _ in answers])


def _combined(group: type[P], threshold: int, points: dict[int, P], answered: Sequence[Answerer]) -> P:
    """By index, so that a member that answered twice counts once."""
    if threshold < 1 or len(points) < threshold:
        raise TooFewPartials(len(points), threshold, sorted({by.index for by in answered} - points.keys()))
    return extraction.combine(group, sorted(points.items())[:threshold])
