"""What says again what the code declares is made of it by scripts/pages.sh: parts of docs, and pictures."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from abci_app.custody.lifecycle import ORDER
from abci_app.pb.dta.v1 import custody_pb2
from dta.cli.commands import COMMANDS, Group
from tests.support import pages, pictures


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


def test_a_picture_that_shows_something_else_or_is_gone_is_seen(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / "docs/concepts/order.svg").write_text("<svg/>")
    (root / "docs/concepts/vault.svg").unlink()
    assert pages.stale(root) == ["docs/concepts/order.svg", "docs/concepts/vault.svg"]


def test_the_picture_of_a_life_has_an_arrow_for_each_step_and_no_other() -> None:
    drawn = re.findall(r'data-from="(\w+)" data-to="(\w+)"', (pages.ROOT / "docs/concepts/order.svg").read_text())
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == pictures.steps_of(ORDER, custody_pb2.OrderStatus, "ORDER_STATUS_")


def test_a_step_that_no_picture_shows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "steps_of", lambda *_: {("PLACED", "LOST")})
    with pytest.raises(ValueError, match=r"An order's life: without a label \[\('PLACED', 'LOST'\)\], no step"):
        pictures.order()


def test_the_page_of_commands_has_each_of_them() -> None:
    def words(entry: object, name: str) -> list[str]:
        if isinstance(entry, Group):
            return [word for below, one in entry.commands.items() for word in words(one, f"{name} {below}")]
        return [name]

    wanted = [word for name, entry in COMMANDS.items() for word in words(entry, f"dta {name}")]
    headings = re.findall(r"^### (.*)$", (pages.ROOT / "docs/reference/commands.md").read_text(), re.MULTILINE)
    assert headings == ["dta", *wanted]
