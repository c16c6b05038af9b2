"""docs/spec says what the code declares: state, codes, events and messages are made by scripts/pages.sh."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import pages


def copied(directory: Path) -> Path:
    for page, _ in pages.PARTS:
        shutil.copy(pages.SPEC / page, directory / page)
    return directory


def test_the_pages_are_what_the_code_declares() -> None:
    assert pages.stale() == [], "run scripts/pages.sh"


@pytest.mark.parametrize(("page", "part"), pages.PARTS)
def test_a_page_that_says_something_else_is_seen(tmp_path: Path, page: str, part: str) -> None:
    directory = copied(tmp_path)
    text = (directory / page).read_text()
    line = pages.PARTS[page, part]()[2]
    assert text.count(line) >= 1
    (directory / page).write_text(text.replace(line, line + " and more", 1))
    assert pages.stale(directory) == [page]


@pytest.mark.parametrize("mark", ["<!-- made by scripts/pages.sh: codes -->\n", "<!-- end of codes -->\n"])
def test_a_page_without_its_marks_is_refused(mark: str) -> None:
    text = (pages.SPEC / "codes.md").read_text()
    for wrong in (text.replace(mark, ""), text + mark):
        with pytest.raises(ValueError, match="has not the two marks of codes"):
            pages.made("codes.md", wrong)
