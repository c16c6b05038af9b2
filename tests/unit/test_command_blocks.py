"""Every block of commands on a page is run by a test, or says why not; and how such blocks are played."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_style import tracked

from tests.support.command_blocks import ROOT, blocks, commands, faults, statements, to_run
from tests.support.command_player import Names, Player

ID = "0123456789abcdef" * 4


def test_every_block_of_commands_is_run_or_says_why_not() -> None:
    pages = [str(path) for path in tracked(ROOT) if path.suffix == ".md"]
    assert [fault for page in pages for fault in faults(ROOT, page)] == []


def test_every_test_that_runs_blocks_finds_some() -> None:
    pages = [path for path in tracked(ROOT) if path.suffix == ".md"]
    runners = {one.runner for page in pages for one in blocks((ROOT / page).read_text()) if one.runner}
    assert {"tests/localnet/test_tour.py", "tests/cli/test_page_commands.py"} <= runners
    assert len(to_run("README.md", "tests/localnet/test_tour.py")) >= 5


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ("```\ndta x\n```\n", "says nothing, not sh"),
        ("```bash\ndta x\n```\n", "says bash, not sh"),
        ("```sh\ndta x\n```\n", "neither run nor says why not"),
        ("<!-- not run: -->\n```sh\ndta x\n```\n", "neither run nor says why not"),
        ("<!-- run by tests/gone.py -->\n```sh\ndta x\n```\n", "which is not there"),
        ("<!-- run by tests/other.py -->\n```sh\ndta x\n```\n", "which does not name the page"),
        ("<!-- run by tests/it.py -->\n\n```sh\ndta x\n```\n", "neither run nor says why not"),
        ("<!-- not run: why -->\n```text\nx\n```\n", "is no block of commands"),
        ("text\n\n    dta x\n", "a command that stands in no fence"),
    ],
)
def test_a_block_that_hides_is_seen(tmp_path: Path, page: str, wrong: str) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/it.py").write_text('to_run("page.md")')
    (tmp_path / "tests/other.py").write_text("")
    (tmp_path / "page.md").write_text(page)
    (said,) = faults(tmp_path, "page.md")
    assert wrong in said


def test_a_block_that_is_run_or_says_why_not_is_right(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/it.py").write_text('to_run("page.md")')
    page = "<!-- run by tests/it.py -->\n```sh\ndta x\n```\n\n"
    page += "1. a\n\n    <!-- not run: b -->\n    ```sh\n    dta y\n    ```\n"
    (tmp_path / "page.md").write_text(page + "\n```text\ndta z\n```\n\n    x = 1\n")
    assert list(faults(tmp_path, "page.md")) == []
    assert [one.text for one in blocks(page)] == ["dta x\n", "dta y\n"]


def test_a_program_in_python_is_typed_into_the_reader_s_python(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/it.py").write_text('to_run("page.md")')
    page = "<!-- run by tests/it.py -->\n```python\nprint(\"a\")\n```\n"
    (tmp_path / "page.md").write_text(page)
    assert list(faults(tmp_path, "page.md")) == []
    (block,) = blocks(page)
    (typed,) = statements(block.typed)
    assert typed.splitlines()[1:2] == ['print("a")']
    (tmp_path / "page.md").write_text(page.replace("it.py", "gone.py"))
    (said,) = faults(tmp_path, "page.md")
    assert "which is not there" in said


def test_a_block_is_typed_by_what_a_shell_runs_at_once() -> None:
    text = "a 1   # why\n\n# nothing\nb 'x\n\ny'\nc <<END\n# kept\nEND\nd \\\n  e\nfor i in 1; do\n  f\ndone\ng 'open\n"
    wanted = ["a 1   # why", "b 'x\n\ny'", "c <<END\n# kept\nEND", "d \\\n  e", "for i in 1; do\n  f\ndone", "g 'open"]
    assert [one.rstrip("\n") for one in statements(text)] == wanted


def test_a_line_that_goes_on_is_one_command() -> None:
    assert commands("dta a \\\n    b\n\n# c\ndta d\n") == ["dta a      b", "# c", "dta d"]


def test_a_page_is_played_in_the_homes_of_those_whom_it_names() -> None:
    ran: list[tuple[str, list[str]]] = []

    def run(who: str, words: list[str]) -> tuple[int, str]:
        ran.append((who, words))
        return (1, "error: no\n") if "refused" in words else (0, f"vault  {ID}\nopened height 5\n")

    player = Player({"alice", "bob"}, "alice", run)
    player.play("dta vault open   # once\n# nothing\ndta show VAULT 'a b'  # bob looks\n")
    assert ran == [("alice", ["vault", "open"]), ("bob", ["show", ID, "a b"])]
    several = Player({"alice", "bob"}, "alice", run, {"each of us": ["bob", "alice"]})
    ran.clear()
    several.play("dta vote  # each of us, in turn\ndta vote  # each\n")
    assert ran == [("bob", ["vote"]), ("alice", ["vote"]), ("alice", ["vote"])]
    with pytest.raises(AssertionError, match="no command before it printed a order"):
        player.play("dta show ORDER\n")
    with pytest.raises(AssertionError, match="alice: dta refused\nended with 1:\nerror: no"):
        player.play("dta refused\n")
    with pytest.raises(AssertionError, match="plays dta alone"):
        player.play("rm -r x\n")


def test_the_last_id_that_was_printed_after_a_word_counts() -> None:
    names = Names()
    names.learn(f"order {'a' * 64}\nsigning order {ID}\norder abc\n")
    assert names.put_in("ORDER of 2of:alice") == f"{ID} of 2of:alice"
    assert names.put_known_in("ORDER PATH") == f"{ID} PATH"
