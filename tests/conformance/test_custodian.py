"""The custodian that ships, and one of a third party's that is only found by its entry point, under one suite."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from dta.base.secret import SecretBytes
from dta.custodians import registry
from dta.custodians.conformance import CHECKS, Bench
from dta.hsm.keystore import Keystore
from dta.hsm.sealed_file import MIN_LOG2_N
from dta.hsm.software import SoftwareKeystore

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
PASSPHRASE = SecretBytes(b"conformance")


@pytest.mark.parametrize(("name", "contribution_bytes"), [("hsm-realm", 32), ("escrow-note", 36)])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_custodian_keeps_the_protocol(
    name: str,
    contribution_bytes: int,
    check: Callable[[Bench], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(PLUGINS / "escrow_note"))
    numbers = count()

    def new_keystore() -> Keystore:
        path = tmp_path / f"keys-{next(numbers)}"
        SoftwareKeystore.create(path, PASSPHRASE, log2_n=MIN_LOG2_N)
        return SoftwareKeystore(path, PASSPHRASE)

    check(Bench(lambda: registry.custodian(name), name, contribution_bytes, new_keystore))
