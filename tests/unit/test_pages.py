"""What says again what the code declares is made of it by scripts/pages.sh: parts of docs/spec and docs/howto."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import pages


def copied(root: Path) -> Path:
    for name in pages.wanted():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pages.ROOT / name, root / name)
    return root


def test_the_pages_are_what_the_code_declares() -> None:
    assert pages.stale() == [], "run scripts/pages.sh"


@pytest.mark.parametrize(("page", "part"), pages.PARTS)
def test_a_page_that_says_something_else_is_seen(tmp_path: Path, page: str, part: str) -> None:
    place = copied(tmp_path) / "docs" / page
    line = pages.PARTS[page, part]()[2]
    assert line in place.read_text()
    place.write_text(place.read_text().replace(line, line + " and more", 1))
    assert pages.stale(tmp_path) == [f"docs/{page}"]


@pytest.mark.parametrize("mark", ["<!-- made by scripts/pages.sh: codes -->\n", "<!-- end of codes -->\n"])
def test_a_page_without_its_marks_is_refused(mark: str) -> None:
    text = (pages.ROOT / "docs/spec/codes.md").read_text()
    for wrong in (text.replace(mark, ""), text + mark):
        with pytest.raises(ValueError, match="has not the two marks of codes"):
            pages.made("spec/codes.md", wrong)
