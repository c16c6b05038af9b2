"""The terminal at which pages are played: what is asked is answered, and what does not end is ended."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.command_terminal import at_a_terminal

ASKS = """
import getpass, sys
assert sys.stdin.isatty()
if input("Go on? ") != "yes":
    sys.exit(3)
print("secret", getpass.getpass("PIN: "), getpass.getpass("PIN: "))
sys.exit(4)
"""


def test_what_is_asked_is_answered_each_time_and_nothing_else(tmp_path: Path) -> None:
    answers = {"Go on? ": "yes", "PIN: ": "1234"}
    code, said = at_a_terminal([sys.executable, "-c", ASKS], tmp_path, os.environ, answers, 60)
    assert code == 4
    assert "secret 1234 1234" in said
    assert at_a_terminal([sys.executable, "-c", ASKS], tmp_path, os.environ, {"Go on? ": "no"}, 60)[0] == 3


def test_it_is_where_it_should_be_and_a_program_that_is_not_there_fails(tmp_path: Path) -> None:
    assert at_a_terminal(["pwd"], tmp_path, os.environ, {}, 60) == (0, f"{tmp_path}\n")
    assert at_a_terminal(["there-is-no-such-program"], tmp_path, os.environ, {}, 60)[0] == 127


ASKS_AT_WORK = """
from pathlib import Path
from types import SimpleNamespace
from dta.base.home import Home
from dta.cli import custody
from dta.cli.session import Session
from dta.client.custody.session import Step
session = Session(Home(Path()))
with custody._shown(session) as progress:
    progress(Step("seal", "sealing", 1, 2))
    custody.ask(SimpleNamespace(session=session, pause=progress.pause), "Really?", False)
    progress(Step("send", "sending", 1, 2))
print("done")
"""


@pytest.mark.parametrize("terminal", ["dumb", "xterm"])
def test_no_progress_is_drawn_over_a_question(tmp_path: Path, terminal: str) -> None:
    environment = {**os.environ, "TERM": terminal}
    code, said = at_a_terminal(
        [sys.executable, "-c", ASKS_AT_WORK], tmp_path, environment, {"Type yes to go on: ": "yes"}, 60
    )
    assert code == 0, said
    assert "Really?\nType yes to go on: yes\n" in said
    assert said.endswith("done\n")


def test_what_nobody_answers_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="not over after 1 s:\nGo on"):
        at_a_terminal([sys.executable, "-c", ASKS], tmp_path, os.environ, {}, 1)
