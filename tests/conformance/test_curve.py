"""The curve that the project uses and both of its oracles, under one suite (tests/support/curve_checks.py)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.curve_backends import BACKENDS, Backend
from tests.support.curve_checks import CHECKS, SEED, scalars


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_back_end_passes(backend: Backend, check: Callable[[Backend], None]) -> None:
    check(backend)


def test_all_back_ends_give_the_same_bytes() -> None:
    print("seed", SEED)
    for scalar in scalars(4):
        for group in ("g1", "g2"):
            curves = [getattr(backend, group) for backend in BACKENDS]
            products = [curve.generator() * scalar for curve in curves]
            hashes = [curve.hash(scalar.to_bytes(32, "big"), b"DTA-v1-conformance") * scalar for curve in curves]
            assert len({point.encode() for point in products}) == 1
            assert len({point.encode() for point in hashes}) == 1
            ours = curves[0].decode(products[0].encode()) + hashes[0]
            assert (products[-1] + hashes[-1]).encode() == ours.encode()
