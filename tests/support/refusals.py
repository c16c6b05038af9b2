"""What a test says of something refused: the code and which check refused, so that no neighbour's check satisfies it.

Every test of a refusal goes through here; ``tests/unit/test_hygiene_refusals.py`` sees to it, and to every check that
refuses having a test that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from abci_app.codes import Code


class Because(NamedTuple):
    """A code, and the reason where several checks refuse with it. ``reason`` as the check gives it."""

    code: int
    reason: str = ""


TAKEN: Final = Because(Code.OK)


def because(answer: Any) -> Because:
    """Of a result (abci_app's, or ABCI's with its ``info``), or of an error that has both."""
    return Because(answer.code, answer.reason if hasattr(answer, "reason") else answer.info)


def raised(do: Callable[[], object]) -> Because | None:
    """What the function is refused with (``Refusal``, ``RefusedByLedger``, ``WouldBeRefused``), or None."""
    try:
        do()
    except Exception as error:
        if not hasattr(error, "reason"):
            raise
        return because(error)
    return None


def fault_of(do: Callable[[], object], refusal: type[Exception]) -> object:
    """The ``fault``, ``reason`` or ``code`` of what the function must raise: which rule it was that refused."""
    try:
        do()
    except refusal as error:
        return next(getattr(error, name) for name in ("fault", "reason", "code") if hasattr(error, name))
    raise AssertionError(f"nothing raised {refusal.__name__}")


def refused(answer: Any, code: int, reason: str = "", *, why: str = "") -> None:
    """It was refused with this code by this check. ``answer``: see :func:`because`, or a function that must raise."""
    found = answer if isinstance(answer, Because) else raised(answer) if callable(answer) else because(answer)
    expected = Because(code, reason)
    assert code != Code.OK
    assert found == expected, f"{told(found)} instead of {told(expected)}. {why}\n{answer}"


def recorded(code: int, expected: Code) -> None:
    """State keeps the code alone: of a proposal that failed, of a result in a bundle. What refuses has a test."""
    assert code == expected, f"{told(Because(code))} instead of {told(Because(expected))}"


def told(what: Because | None) -> str:
    """For people."""
    return "nothing" if what is None else f"{Code(what.code).name} {what.reason!r}"
