"""The shell in which pages are played: what fails in it is seen, and nothing outlives it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_shell import Shell
from tests.support.patience import PATIENCE_S

ID = "0123456789abcdef" * 4


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path, dict(os.environ), command_s=PATIENCE_S)
    yield shell
    shell.close()


def test_what_is_set_in_it_stays_and_what_is_printed_has_a_name(shell: Shell, tmp_path: Path) -> None:
    shell.type("word=there; cd /")
    assert shell.type("echo $word; pwd").split() == ["there", "/"]
    assert shell.type("printf unended") == "unended\n"
    shell.type(f"echo order {ID}")
    assert shell.type("echo ORDER NOT_ORDER ORDERED").split() == [ID, "NOT_ORDER", "ORDERED"]
    assert shell.type('ORDER="its own"; echo "$ORDER" "${ORDER}"; echo --order=ORDER').split("\n")[:2] == [
        "its own its own", f"--order={ID}",
    ]  # fmt: skip
    shell.type(f"cat >{tmp_path}/file <<'END'\na\n'b'\nEND")
    assert (tmp_path / "file").read_text() == "a\n'b'\n"


@pytest.mark.parametrize("failing", ["false", "cat there-is-none", "(exit 3)   # a comment"])
def test_a_command_that_fails_is_seen_and_said(shell: Shell, failing: str) -> None:
    with pytest.raises(AssertionError, match=r"ended with [123]:"):
        shell.type(failing)
    assert shell.type("echo on") == "on\n\n"


def test_a_command_that_reads_does_not_get_what_is_typed_after_it(shell: Shell) -> None:
    assert shell.type("cat").strip() == ""
    assert shell.type("echo on").strip() == "on"


def test_a_command_that_never_ends_is_ended(tmp_path: Path) -> None:
    shell = Shell(tmp_path, dict(os.environ), command_s=0.5)
    with pytest.raises(AssertionError, match=r"ended with nothing: .* 0 s were over"):
        shell.type("sleep 600")
    shell.close()


def test_what_is_in_its_background_ends_with_it(tmp_path: Path) -> None:
    shell = Shell(tmp_path, dict(os.environ))
    background = int(shell.type("sleep 600 & echo $!").split()[-1])
    shell.close()
    deadline = time.monotonic() + PATIENCE_S
    while is_running(background):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is not one that ended and waits to be asked for its code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
