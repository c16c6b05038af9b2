"""docs/spec/authority.md against the code: the domain tags of its cryptography, both ways."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from abci_app.authority import bases, extractions
from abci_app.authority.proofs import group_of
from abci_app.crypto import extraction
from abci_app.crypto.curve import G1, ORDER
from abci_app.pb.dta.v1.authority_pb2 import Purpose
from abci_app.pb.dta.v1.extraction_pb2 import Use
from dta.crypto import ibe

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/spec/authority.md").read_text()
MODULES = (
    "abci_app/crypto/dealing.py",
    "abci_app/crypto/extraction.py",
    "dta/crypto/proofs.py",
    "dta/crypto/dealing.py",
    "dta/crypto/extraction.py",
    "dta/crypto/ibe.py",
)


def tags_of(path: str) -> set[str]:
    return set(re.findall(r'"(DTA-v1-[a-z0-9-]+)"', (ROOT / path).read_text()))


@pytest.mark.parametrize("path", MODULES)
def test_every_tag_of_the_code_is_on_the_page(path: str) -> None:
    missing = {tag for tag in tags_of(path) if tag not in PAGE}
    assert not missing


def test_every_proof_and_encryption_on_the_page_is_in_the_code() -> None:
    described = set(re.findall(r"DTA-v1-(?:proof|ibe)-[a-z]+", PAGE))
    assert described == {tag for path in MODULES for tag in tags_of(path) if re.match("DTA-v1-(proof|ibe)-", tag)}


def test_the_numbers_on_the_page_are_the_code_s() -> None:
    assert f"{ORDER:#x}" in PAGE
    assert f"{ibe.OVERHEAD_BYTES} bytes longer" in PAGE
    assert extraction.name_of(G1) == b"G1"


def test_suites_bases_and_uses_on_the_page_are_the_code_s() -> None:
    for text in (bases.CUSTODY_SUITE, bases.SIGNING_SUITE, bases.CUSTODY_TAG.decode("ascii")):
        assert text in PAGE
    for tag in ("DTA-v1-custody-identity", "DTA-v1-signed"):
        assert tag in PAGE
        assert tag in (ROOT / "abci_app/crypto/statements.py").read_text()
    rows = re.findall(r"^\| (\d) \| ([a-z]+).*? \| (\d), ([a-z]+) \| (G\d) ", PAGE, re.MULTILINE)
    assert len(rows) == len(extractions.PURPOSE)
    for number, name, purpose, purpose_name, group in rows:
        use = int(number)
        assert Use.Name(use).removeprefix("USE_").lower() in (name, name.replace("signature", "sign"))
        assert extractions.PURPOSE[use] == int(purpose)
        assert Purpose.Name(int(purpose)) == f"PURPOSE_{purpose_name.upper()}"
        assert group_of(use).__name__ == group


def test_every_derivation_on_the_page_is_the_code_s() -> None:
    purposes = set(re.findall(r'"(ceremony-[a-z]+)"', (ROOT / "dta/crypto/dealing.py").read_text()))
    assert len(purposes) == 3
    assert purposes == set(re.findall(r"`(ceremony-[a-z]+)`", PAGE))
