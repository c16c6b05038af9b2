"""What an exception remembers of the calls that it came through."""

from __future__ import annotations

import traceback


def forget_locals(error: BaseException) -> None:
    """Clear the variables of all calls that have ended, of ``error`` and of what it was raised in the course of.

    Whoever keeps an exception keeps them too, and one that refers to itself by them is kept until cycles are collected:
    a key or a share must not be among them. Where it was raised stays known.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            traceback.clear_frames(one.__traceback__)
            left += [one.__context__, one.__cause__]
