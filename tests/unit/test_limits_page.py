"""What pages say is not there yet is not there: whoever builds it finds here the sentence that goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dta.cli.commands import COMMANDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
MISSING = [
    ("limits.md", "There is no page that verifies", "explorer" in COMMANDS),
    ("limits.md", "no login page", "login" in COMMANDS),
    ("comparison.md", "only a command, no page and no phone", "login" in COMMANDS),
]
"""(page, what it says, whether there is such a thing by now)"""


@pytest.mark.parametrize(("page", "says", "is_there"), MISSING)
def test_what_a_page_says_is_missing_is_missing(page: str, says: str, is_there: bool) -> None:
    text = " ".join((DOCS / page).read_text().split())
    assert (says in text) == (not is_there), f"docs/{page}: there is such a thing now" if is_there else "it is unsaid"
