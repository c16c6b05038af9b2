"""What the place refuses is no fault of this program: disks, permissions, closed outputs, terminals, interrupts."""

from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from dta.base import place
from dta.base.errors import EXIT_PLACE, EXIT_USAGE, UsageError
from dta.base.home import Home, default_home
from dta.cli import main
from dta.cli.session import Session
from dta.light.trust import TrustFile
from tests.support.light_chain import Chain, members
from tests.support.patience import PATIENCE_S

DTA = [sys.executable, "-m", "dta"]
TREE = Path(__file__).parents[2]


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``line`` by a shell, in which ``dta`` is this program."""
    said = line.replace("dta", " ".join(DTA))
    return subprocess.run(
        ["bash", "-c", said], cwd=TREE, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=PATIENCE_S, errors="surrogateescape",
    )  # fmt: skip


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_errno_is_an_error_with_an_exit_code_and_no_fault_of_this_program(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/some/where")

    monkeypatch.setattr(Home, "profile_names", refused)
    code = main.run(["identity", "list", "--json"])
    out = capsys.readouterr().out
    if number in (errno.EPIPE, errno.ESHUTDOWN):  # BrokenPipeError: the reader of a pipe went away
        assert code == 130
        return
    said = json.loads(out)["error"]
    assert code in (EXIT_USAGE, EXIT_PLACE)
    assert said["kind"] != "internal"
    assert "/some/where" in said["message"]
    assert said["data"]["errno"] == errno.errorcode[number]


@pytest.mark.parametrize("number", [
    errno.ENOENT, errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.EBADF,
])  # fmt: skip
def test_what_an_operator_meets_has_a_hint(number: int) -> None:
    assert place.failure(OSError(number, "x")).hint


def test_a_database_that_can_not_be_used_is_of_the_place_too(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(tmp_path / "none" / "db")
    assert place.database_failure(caught.value) is not None
    assert place.database_failure(ValueError()) is None


@pytest.mark.parametrize("error", [
    ssl.SSLError(9, "PEM lib"), ssl.SSLError(1, "x"), socket.gaierror(-2, "no such name"), socket.herror(1, "x"),
])  # fmt: skip
def test_numbers_that_are_no_errno_have_no_hint_of_one(error: OSError) -> None:
    made = place.failure(error)
    assert (made.hint, made.exit_code) == ("", EXIT_PLACE)
    assert made.data["errno"] == ""


@pytest.mark.parametrize(("name", "number"), [
    ("SQLITE_IOERR_WRITE", "EIO"), ("SQLITE_READONLY_DIRECTORY", "EROFS"), ("SQLITE_READONLY", "EROFS"),
    ("SQLITE_FULL", "ENOSPC"), ("SQLITE_CANTOPEN", ""),
])  # fmt: skip
def test_what_a_database_names_finer_has_the_hint_of_its_kind(name: str, number: str) -> None:
    error = sqlite3.OperationalError()
    error.sqlite_errorname = name
    made = place.database_failure(error)
    assert made is not None
    assert made.data["errno"] == number


@pytest.mark.parametrize("words", ["--help", "config explain", "--json config explain", "order --help"])
@pytest.mark.parametrize(("output", "said"), [("/dev/full", "No space left"), ("&-", "Bad file descriptor")])
def test_an_output_that_can_not_be_written_is_said_on_the_other(words: str, output: str, said: str) -> None:
    done = shell(f"dta {words} >{output}")
    assert done.returncode == EXIT_PLACE
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_with_no_stream_open_at_all_the_exit_code_still_says_it() -> None:
    assert shell("dta config explain <&- >&- 2>&-").returncode == EXIT_PLACE
    assert shell("dta config explain <&-").returncode == 0
    assert shell("dta nonsense 2>&-").returncode == EXIT_USAGE


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = shell("dta config explain | head -1; echo ${PIPESTATUS[0]}")
    assert done.stdout.splitlines()[-1] in ("0", "130")
    assert done.stderr == ""


def test_a_terminal_without_the_characters_shows_escapes(tmp_path: Path) -> None:
    done = shell(f"dta --home {tmp_path}/\u00e9 config check", PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert done.returncode == EXIT_USAGE
    assert "\\xe9" in done.stderr
    source = "import sys; from dta.cli.main import run; from dta.cli import config; " \
        "config.spoken = lambda value: '\\u2192'; sys.exit(run(['config', 'explain']))"  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-c", source], cwd=TREE, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert b"\\u2192" in shown.stdout


def test_a_word_that_is_no_text_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["config", "explain", "\udce9"]) == EXIT_USAGE
    assert "LANG" in capsys.readouterr().err


def test_without_a_home_directory_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DTA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(UsageError, match="HOME is not set"):
        default_home()
    assert main.run(["config", "check"]) == EXIT_USAGE
    assert "give --home, or set DTA_HOME" in capsys.readouterr().err
    with pytest.raises(UsageError, match="nobody's home"):
        Home(Path("~nobody-of-that-name"))


def test_what_can_not_be_kept_of_a_read_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real trust file on a disk that takes no writes: what makes one there is told so."""
    really = os.open

    def read_only(path: os.PathLike[str], flags: int, *rest: object, **more: object) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return really(path, flags, *rest, **more)  # type: ignore[arg-type]

    trust = Chain(members(3)).trust_file()
    monkeypatch.setattr(os, "open", read_only)
    Session(Home(tmp_path))._keep_trust(trust)
    monkeypatch.undo()
    assert "warning: what was verified is not kept" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    Session(Home(tmp_path))._keep_trust(trust)
    assert TrustFile.load(tmp_path / "trust.json") == trust


@pytest.mark.parametrize("module", ["typer", "resource", "json"])
def test_an_interrupt_during_any_import_is_no_traceback(module: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt\n")
    source = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = ['--help']; " \
        "from dta.__main__ import main; main()"  # fmt: skip
    done = subprocess.run([sys.executable, "-S", "-c", source], cwd=TREE, capture_output=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
