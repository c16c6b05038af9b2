"""For every suite."""

from __future__ import annotations

import sys

import pytest

# py-ecc, the oracle of some tests, raises the limit to 100,000 when it is imported. With that, a decoder that is given
# a hundred thousand brackets overflows the C stack instead of raising RecursionError, as it does in what we ship.
MAX_RECURSION = 5_000


@pytest.fixture(autouse=True)
def _recursion_limit_as_shipped() -> None:
    if sys.getrecursionlimit() > MAX_RECURSION:
        sys.setrecursionlimit(MAX_RECURSION)
