"""For every suite."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from dta.http.logs import OneAMinute

# py-ecc, the oracle of some tests, raises the limit to 100,000 when it is imported. With that, a decoder that is given
# a hundred thousand brackets overflows the C stack instead of raising RecursionError, as it does in what we ship.
MAX_RECURSION = 5_000

# Suites that only compute run beside a localnet, at the lowest priority: how long a thing takes says nothing of it.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _recursion_limit_as_shipped() -> None:
    if sys.getrecursionlimit() > MAX_RECURSION:
        sys.setrecursionlimit(MAX_RECURSION)


@pytest.fixture(autouse=True)
def _nobody_s_lines_are_counted_from_the_test_before() -> Iterator[None]:
    """A program that is run in this process sets logging up as it does in its own."""
    yield
    for handler in logging.getLogger().handlers:
        for counted in [one for one in handler.filters if isinstance(one, OneAMinute)]:
            handler.removeFilter(counted)
