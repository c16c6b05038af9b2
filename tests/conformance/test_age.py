"""``age-plugin-dta`` under the real ``age``: files that anybody encrypts, and that a fulfilled policy opens."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dta
from dta.age import bech32
from dta.age.recipient import decode_recipient
from dta.cli.main import run
from tests.cli.order_world import ServedWorld, world_with_key
from tests.support.actors import seeded
from tests.support.go_tools import built
from tests.support.patience import PATIENCE_S

PLAIN = b"the treasure is under the oak\n" * 4_000  # more than one chunk of age's
BOTH = "2of:bob,carol"


@pytest.fixture(scope="module")
def program() -> str:
    return built("age-v*", "DTA_AGE", "scripts/test.sh conformance builds it")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with world_with_key(tmp_path) as made:
        yield made


@pytest.fixture
def made(world: ServedWorld, capsys: Any) -> dict[str, str]:
    """A recipient that bob's approval alone opens."""
    return recipient(world, capsys)


class Age:
    """``age``, and on its PATH the plugin as it is installed; ``home``: whose."""

    def __init__(self, program: str, home: Path) -> None:
        plugins = Path(sys.executable).parent
        assert shutil.which("age-plugin-dta", path=plugins), "it comes with dta"
        self.program = program
        self.environment = {**os.environ, "DTA_HOME": str(home), "PATH": f"{plugins}:{os.environ['PATH']}"}

    def __call__(self, *words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.program, *words], input=stdin, capture_output=True, env=self.environment, timeout=PATIENCE_S,
            check=False, start_new_session=True,
        )  # fmt: skip

    def begin(self, *words: str | Path) -> subprocess.Popen[bytes]:
        """The same, as a group of processes of its own, as a shell starts it."""
        return subprocess.Popen(
            [self.program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment, start_new_session=True,
        )  # fmt: skip

    def encrypted(self, *recipients: str) -> bytes:
        done = self(*(word for one in recipients for word in ("-r", one)), stdin=PLAIN)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout


def recipient(world: ServedWorld, capsys: Any, *words: str) -> Any:
    capsys.readouterr()
    command = ["age", "recipient", "--authority", "safe", "--beneficiary", "bob", *words]
    assert run(["--json", "--home", str(world.directory / "alice"), *command]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def nobody(program: str, world: ServedWorld) -> Age:
    """Who encrypts has no home."""
    return Age(program, world.directory / "nowhere")


@pytest.fixture
def bob(program: str, world: ServedWorld) -> Age:
    return Age(program, world.directory / "bob")


def meant(world: ServedWorld, made: dict[str, str]) -> Path:
    """The order's own identity, in a file: there is no terminal at which age could ask about any order."""
    written = world.directory / "meant.txt"
    written.write_text(made["identity"] + "\n")
    return written


def requests_of(world: ServedWorld, order: str) -> Sequence[dta.Request]:
    with dta.Client(world.directory / "bob") as client:
        return client.orders.requests(order)


def approve(world: ServedWorld, order: str) -> None:
    with dta.Client(world.directory / "carol") as carol:
        [request] = carol.orders.requests(order)
        carol.orders.approve(request)


def told(age: subprocess.Popen[bytes], what: bytes) -> bytes:
    """The first line on standard error in which ``what`` is."""
    assert age.stderr is not None
    for line in age.stderr:
        if what in line:
            return line
    raise AssertionError(f"age ended with {age.wait()} and did not say {what!r}")


def test_anybody_encrypts_offline_and_the_beneficiary_decrypts(
    nobody: Age, bob: Age, world: ServedWorld, made: dict[str, str]
) -> None:
    file = nobody.encrypted(made["recipient"])
    done = bob("-d", "-i", meant(world, made), stdin=file)
    assert (done.returncode, done.stdout) == (0, PLAIN)


def test_for_any_order_a_person_is_asked_or_has_asked_before(
    nobody: Age, bob: Age, world: ServedWorld, made: dict[str, str]
) -> None:
    """(!) Whoever made the file chose the order: without a terminal, and without a request, nothing is asked for."""
    file = nobody.encrypted(made["recipient"])
    done = bob("-d", "-j", "dta", stdin=file)
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"dta order request {made['order']}".encode() in done.stderr
    assert requests_of(world, made["order"]) == []
    with dta.Client(world.directory / "bob") as client:
        client.orders.request(made["order"])
    done = bob("-d", "-j", "dta", stdin=file)
    assert (done.returncode, done.stdout) == (0, PLAIN)


def test_the_printed_identity_opens_it_and_another_s_does_not(
    nobody: Age, bob: Age, world: ServedWorld, made: dict[str, str], capsys: Any
) -> None:
    """The lines that ``dta age recipient`` prints are an identity file as they stand."""
    printed = world.directory / "identity.txt"
    assert run(["--home", str(world.directory / "alice"), "age", "recipient", "--order", made["order"]]) == 0
    printed.write_text(capsys.readouterr().out)
    file = nobody.encrypted(made["recipient"])
    assert bob("-d", "-i", printed, stdin=file).stdout == PLAIN
    again = bob("-e", "-a", "-i", printed, stdin=PLAIN)
    assert bob("-d", "-i", printed, stdin=again.stdout).stdout == PLAIN
    printed.write_text(recipient(world, capsys)["identity"] + "\n")
    done = bob("-d", "-i", printed, stdin=file)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"no identity matched" in done.stderr


def test_a_file_for_others_too_is_opened_by_either(
    nobody: Age, bob: Age, world: ServedWorld, made: Any, capsys: Any
) -> None:
    other = recipient(world, capsys, "--policy", BOTH)
    file = nobody.encrypted(other["recipient"], made["recipient"])
    printed = world.directory / "identity.txt"
    printed.write_text(made["identity"] + "\n")
    assert bob("-d", "-i", printed, stdin=file).stdout == PLAIN
    assert requests_of(world, other["order"]) == [], "nobody was asked for what the identity is not for"


def test_a_policy_that_is_not_fulfilled_says_whom_it_waits_for_and_ends_when_it_is(
    nobody: Age, bob: Age, world: ServedWorld, capsys: Any
) -> None:
    made = recipient(world, capsys, "--policy", BOTH)
    file = world.directory / "plan.age"
    file.write_bytes(nobody.encrypted(made["recipient"]))
    age = bob.begin("-d", "-i", meant(world, made), file)
    with age:
        said = told(age, b"waits for the approval of")
        assert b"carol" in said
        assert b"bob" not in said
        approve(world, made["order"])
        assert age.stdout is not None
        assert age.stdout.read() == PLAIN
    assert age.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_what_was_broken_off_is_repeated_with_the_same_request(
    nobody: Age, bob: Age, world: ServedWorld, capsys: Any, number: signal.Signals
) -> None:
    made = recipient(world, capsys, "--policy", BOTH)
    file, out = world.directory / "plan.age", world.directory / "plan"
    file.write_bytes(nobody.encrypted(made["recipient"]))
    age = bob.begin("-d", "-i", meant(world, made), "-o", out, file)
    with age:
        told(age, b"waits for the approval of")
        os.killpg(age.pid, number)
    assert age.returncode != 0
    assert not out.exists() or out.read_bytes() == b""
    [asked] = requests_of(world, made["order"])
    approve(world, made["order"])
    done = bob("-d", "-j", "dta", "-o", out, file)
    assert done.returncode == 0
    assert out.read_bytes() == PLAIN
    assert [one.id for one in requests_of(world, made["order"])] == [asked.id]


def test_one_release_opens_the_recipient_s_other_files_without_another_request(
    nobody: Age, bob: Age, world: ServedWorld, made: dict[str, str]
) -> None:
    for _ in range(2):
        assert bob("-d", "-i", meant(world, made), stdin=nobody.encrypted(made["recipient"])).stdout == PLAIN
    assert len(requests_of(world, made["order"])) == 1


# --- what is wrong with a file, or with who opens it
def stanza_of(file: bytes) -> list[bytes]:
    """The lines of the header's one stanza: its arguments, then its body."""
    lines = file.split(b"\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(b"-> dta "))
    end = next(number for number, line in enumerate(lines) if line.startswith(b"--- "))
    return lines[start:end]


def with_stanza(file: bytes, lines: Sequence[bytes]) -> bytes:
    return file.replace(b"\n".join(stanza_of(file)), b"\n".join(lines), 1)


def changed(lines: list[bytes]) -> list[bytes]:
    swapped = bytes(lines[2][:1]).translate(bytes.maketrans(b"AB", b"BA"))
    other = swapped if swapped != lines[2][:1] else b"A"
    return [*lines[:2], other + lines[2][1:], *lines[3:]]


WRONG = {
    "changed": (changed, b"dta plugin"),
    "truncated": (lambda lines: [lines[0], *lines[1:-2], b""], b"malformed stanza"),
    "without-an-argument": (lambda lines: [lines[0].rpartition(b" ")[0], *lines[1:]], b"malformed stanza"),
    "of-another-version": (lambda lines: [lines[0].replace(b" 1 ", b" 2 ", 1), *lines[1:]], b"malformed stanza"),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_stanza_that_is_wrong_opens_nothing_and_age_says_so(
    nobody: Age, bob: Age, world: ServedWorld, made: dict[str, str], how: str
) -> None:
    change, said = WRONG[how]
    file = nobody.encrypted(made["recipient"])
    damaged = with_stanza(file, change(stanza_of(file)))
    assert damaged != file
    done = bob("-d", "-i", meant(world, made), stdin=damaged)
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_stanza_of_another_ledger_and_one_of_age_s_own_are_passed_over(
    nobody: Age, bob: Age, world: ServedWorld, made: dict[str, str]
) -> None:
    foreign = replace(decode_recipient(made["recipient"]), gid=seeded("another ledger")).encode()
    # A native recipient is the Bech32 of any X25519 public key.
    native = bech32.encode("age", seeded("somebody's key"))
    for file in (nobody.encrypted(foreign), nobody.encrypted(native)):
        done = bob("-d", "-j", "dta", stdin=file)
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"no identity matched" in done.stderr
    assert requests_of(world, made["order"]) == []


def test_a_recipient_that_is_none_is_refused_when_encrypting(nobody: Age) -> None:
    for wrong in (bech32.encode("age1dta", b"\x01 too short"), "age1dta1qqqqqq"):
        done = nobody("-r", wrong, stdin=PLAIN)
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"age: error" in done.stderr


def test_who_is_not_the_beneficiary_is_told_why(
    nobody: Age, program: str, world: ServedWorld, made: dict[str, str]
) -> None:
    done = Age(program, world.directory / "carol")("-d", "-j", "dta", stdin=nobody.encrypted(made["recipient"]))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"dta plugin: " in done.stderr
    assert requests_of(world, made["order"]) == []


# --- a PIN
def without_pin_file(world: ServedWorld) -> None:
    profile = world.directory / "bob" / "identities" / "bob" / "profile.toml"
    kept = [line for line in profile.read_text().splitlines() if not line.startswith("pin_file")]
    profile.write_text("\n".join(kept) + "\n")


def test_a_pin_that_no_file_has_is_asked_for_at_the_terminal(
    nobody: Age, bob: Age, world: ServedWorld, made: dict[str, str]
) -> None:
    without_pin_file(world)
    file, out = world.directory / "plan.age", world.directory / "plan"
    file.write_bytes(nobody.encrypted(made["recipient"]))
    identity = str(meant(world, made))
    pid, terminal = pty.fork()
    if pid == 0:  # age's: its terminal is the other end
        os.execve(bob.program, [bob.program, "-d", "-i", identity, "-o", str(out), str(file)], bob.environment)
    shown = b""
    with contextlib.suppress(OSError), os.fdopen(terminal, "r+b", buffering=0) as screen:
        while b"PIN or passphrase" not in shown:
            shown += screen.read(1_024)
        while termios.tcgetattr(screen)[3] & termios.ECHO:  # age asks first, then stops the echo
            time.sleep(0.01)
        screen.write(b"a passphrase\r")
        while piece := screen.read(1_024):  # to the end: age has closed it
            shown += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    assert out.read_bytes() == PLAIN
    assert b"a passphrase" not in shown


def test_without_a_terminal_a_pin_that_no_file_has_is_missed(
    nobody: Age, bob: Age, world: ServedWorld, made: dict[str, str]
) -> None:
    without_pin_file(world)
    done = bob("-d", "-i", meant(world, made), stdin=nobody.encrypted(made["recipient"]))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"nobody answered" in done.stderr
