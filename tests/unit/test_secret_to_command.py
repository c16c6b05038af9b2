"""A secret goes to a program by a pipe: whole, once, and by nothing else; and whether it was taken is said."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from dta.base.errors import EXIT_COMMAND, UsageError
from dta.base.secret import SecretBytes
from dta.cli.secret_to_command import CommandFailed, hand_over, words_of

SECRET = SecretBytes(b"the treasure is under the oak")
LARGE = SecretBytes(b"9" * 900_000)  # many times what a pipe holds


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("secret", [SECRET, LARGE], ids=["short", "longer-than-a-pipe"])
@pytest.mark.parametrize("source", ["sys.stdin.buffer", "open(int(sys.argv[1]), 'rb')"], ids=["stdin", "descriptor"])
def test_a_program_reads_the_whole_secret(tmp_path: Path, secret: SecretBytes, source: str) -> None:
    out = tmp_path / "digest"
    read = f"import sys, hashlib; open({str(out)!r}, 'w').write(hashlib.sha256({source}.read()).hexdigest())"
    hand_over([*python(read), *(["{fd}"] if "argv" in source else [])], secret)
    assert out.read_text() == sha256(secret.reveal()).hexdigest()


def test_the_secret_is_in_no_argument_and_no_environment_and_the_pipe_is_all_that_is_inherited(tmp_path: Path) -> None:
    look = (
        "import os, sys; os.read(int(sys.argv[1]), 100); "
        "held = open('/proc/self/cmdline', 'rb').read() + open('/proc/self/environ', 'rb').read(); "
        "names = [n for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n)]; "
        f"open({str(tmp_path / 'seen')!r}, 'wb').write(held); "
        f"open({str(tmp_path / 'open')!r}, 'w').write(' '.join(sorted(n for n in names if int(n) > 2)))"
    )
    with (tmp_path / "other").open("w") as other:
        hand_over([*python(look), "{fd}"], SECRET)
        assert str(other.fileno()) not in (tmp_path / "open").read_text().split()
    assert SECRET.reveal() not in (tmp_path / "seen").read_bytes()
    assert len((tmp_path / "open").read_text().split()) == 1


@pytest.mark.parametrize(
    ("code", "status", "signal"),
    [("raise SystemExit(3)", 3, 0), ("import os; os.kill(os.getpid(), 9)", 0, 9)],  # both after reading all of it
    ids=["status", "signal"],
)
def test_a_program_that_fails_is_named_with_how_it_ended(code: str, status: int, signal: int) -> None:
    with pytest.raises(CommandFailed) as caught:
        hand_over(python(f"import sys; sys.stdin.buffer.read(); {code}"), SECRET)
    assert (caught.value.data["status"], caught.value.data["signal"]) == (status, signal)
    assert caught.value.data["was_read"] is True
    assert caught.value.exit_code == EXIT_COMMAND


@pytest.mark.parametrize("secret", [SECRET, LARGE], ids=["short", "longer-than-a-pipe"])
@pytest.mark.parametrize("code", ["pass", "import sys; sys.stdin.buffer.raw.read(5)"], ids=["nothing", "a-part"])
def test_a_program_that_ends_well_without_reading_has_not_taken_the_secret(secret: SecretBytes, code: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        hand_over(python(code), secret)
    assert (caught.value.data["status"], caught.value.data["was_read"]) == (0, False)


def test_descriptors_are_closed_whatever_becomes_of_the_program() -> None:
    before = os.listdir("/proc/self/fd")
    hand_over(["cat", "/dev/fd/{fd}"], SECRET, stdout_to_stderr=False)
    with pytest.raises(CommandFailed):
        hand_over(python("raise SystemExit(1)"), LARGE)
    with pytest.raises(OSError):
        hand_over(["/no/such/program"], SECRET)
    assert os.listdir("/proc/self/fd") == before


def test_a_command_that_can_not_be_run_is_refused_before_anything_is_asked_for() -> None:
    assert words_of("sh -c 'cat /dev/fd/{fd}'") == ["sh", "-c", "cat /dev/fd/{fd}"]
    for wrong in ("", "  ", "no-such-program --x", "sh -c 'unfinished"):
        with pytest.raises(UsageError):
            words_of(wrong)
