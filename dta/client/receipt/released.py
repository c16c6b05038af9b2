"""Whether an order was ever released, by a height: by the count of its answers, never by what became of its requests.

Answers to different requests combine to the secret, so two requests that expired may have given it away together.
"""

from __future__ import annotations

from dataclasses import dataclass

from dta.base.errors import JsonValue
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.order import OrderLeaves

SEEN = "an answer that was sent but refused or dropped may have been seen all the same"


@dataclass(frozen=True, slots=True)
class Released:
    """What is proved of an order's answers at the end of block ``height``.

    ``answers``: taken by then, of all requests and epochs; ``answerers``: from so many fiduciaries; ``threshold``: how
    many it takes, the lowest under which one was ever taken (0: none was, and a key's threshold is not in the receipt).
    ``first_height``: of the first answer, or 0.
    """

    order: bytes
    height: int
    answers: int
    answerers: int
    threshold: int
    first_height: int

    @property
    def state(self) -> str:
        """``never``; ``partly``: too few have answered; ``enough``: those who answered can have given it away."""
        if not self.answers:
            return "never"
        return "partly" if self.answerers < self.threshold else "enough"


def at_height(held: OrderLeaves, proved_height: int, height: int | None = None) -> Released:
    """What the whole receipt of an order says about ``height``, without it about its own.

    Raises ReceiptRefused (``claim``) where the receipt is older than that.
    """
    by = proved_height if height is None else height
    if by > proved_height:
        raise ReceiptRefused(
            "claim",
            f"it proves the state of height {proved_height}, which is before height {by}",
            hint="get a newer receipt: it answers for every height before its own",
        )
    given = [(who, at) for who, at in held.given() if at <= by]
    first = min((at for _, at in given), default=0)
    threshold = held.order.answer_threshold or held.order.threshold
    return Released(held.order.id, by, len(given), len({who for who, _ in given}), threshold, first)


def require_never(found: Released) -> None:
    """Raises ReceiptRefused (``claim``) unless nobody had answered by then."""
    if found.state != "never":
        raise ReceiptRefused("claim", _counted(found))


def _counted(found: Released) -> str:
    said = (
        f"by height {found.height} {found.answers} answers were taken, the first at height {found.first_height}, "
        f"from {found.answerers} fiduciaries where it takes {found.threshold}"
    )
    return f"partly answered: {said}" if found.state == "partly" else f"released, or it may be: {said}"


def lines(found: Released) -> list[str]:
    """The same for a person."""
    if found.state == "never":
        return [f"at height {found.height}: never released, no answer was taken", f"  ({SEEN})"]
    return [_counted(found)]


def as_json(found: Released) -> dict[str, JsonValue]:
    """The same for a program. ``note``: what no ledger can rule out."""
    return {
        "order": found.order.hex(), "height": found.height, "state": found.state, "answers": found.answers,
        "answerers": found.answerers, "threshold": found.threshold, "first_answer_height": found.first_height,
        "note": SEEN,
    }  # fmt: skip
