"""What a command loads, and that what is listed of a command without loading it is what the command says of itself.

No time is asserted: `scripts/bench.sh startup` measures it (docs/bench.md). What takes the time is importing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.core import TyperOption

from dta.cli import commands, loading, main
from dta.cli.commands import Command, Entry, Group
from tests.support.patience import PATIENCE_S
from tests.support.pretended_dta_node import pretended, stopped

# What every command stands on, beside the standard library and what `import typer` brings.
FRAME = frozenset({
    "abci_app", "abci_app.limits", "abci_app.text",
    "dta", "dta.base", "dta.base.address", "dta.base.config", "dta.base.errors", "dta.base.home",
    "dta.base.keystore_config", "dta.base.place", "dta.base.secret",
    "dta.cli", "dta.cli.commands", "dta.cli.loading", "dta.cli.main", "dta.cli.session",
    "dta.hsm", "dta.hsm.errors", "dta.hsm.pin",
})  # fmt: skip
# Of the standard library, what is large, and of no use to a command that lists or looks.
LARGE = frozenset({
    "asyncio", "concurrent", "email", "http", "importlib.metadata", "multiprocessing", "ssl", "urllib.request",
})  # fmt: skip

# Runs each command line in one process, and says after each what was imported since the one before.
PROBE = """
import contextlib, io, json, os, sys
import typer
known = set(sys.modules)
from dta.cli.main import run
said = []
for words, environment in json.loads(sys.argv[1]):
    os.environ.update(environment)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        run(words)
    for name in environment:
        del os.environ[name]
    said.append([out.getvalue(), sorted(set(sys.modules) - known)])
    known = set(sys.modules)
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Line:
    """A command line, or with ``environment`` what a shell asks when it completes one."""

    words: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        completed = self.environment.get("COMP_WORDS")
        return f"completion of `{completed}`" if completed else f"`dta {' '.join(self.words)}`"


def completion(path: list[str]) -> Line:
    line = " ".join(["dta", *path, ""])
    return Line([], {"_DTA_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(path) + 1)})


def groups(entries: dict[str, Entry], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Group]]:
    for name, entry in entries.items():
        if isinstance(entry, Group):
            yield (*path, name), entry
            yield from groups(dict(entry.commands), (*path, name))


def leaves(entries: dict[str, Entry], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Command]]:
    for name, entry in entries.items():
        if isinstance(entry, Command):
            yield " ".join((*path, name)), entry
        else:
            yield from leaves(dict(entry.commands), (*path, name))


GROUPS = [list(path) for path, _ in groups(dict(commands.COMMANDS))]
LEAVES = dict(leaves(dict(commands.COMMANDS)))


def imported_by(lines: list[Line]) -> list[tuple[Line, str, set[str]]]:
    """Each line, what it printed, and what it was the first to import."""
    asked = json.dumps([[line.words, line.environment] for line in lines])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DTA_", "_DTA_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, asked],
        env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    answers = json.loads(done.stdout)
    return [(line, said, set(modules)) for line, (said, modules) in zip(lines, answers, strict=True)]


def foreign(modules: set[str]) -> set[str]:
    """Those that are neither of the standard library nor Typer's own; of the standard library's, the large ones."""
    found = set()
    for module in modules:
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names:
            found |= {name for name in LARGE if module == name or module.startswith(name + ".")}
        elif top in ("dta", "abci_app"):
            found.add(module)
        elif top != "typer":
            found.add(top)
    return found


def test_what_lists_commands_loads_none_of_them() -> None:
    lines = [
        Line(["--help"]), completion([]), Line(["no-such-command"]), Line(["ordr"]),
        *(Line([*path, "--help"]) for path in GROUPS),
        *(completion(path) for path in GROUPS),
        *(Line([*path, "no-such-command"]) for path in GROUPS),
    ]  # fmt: skip
    seen = imported_by(lines)
    assert all(said for _, said, _ in seen)
    too_much = {str(line): sorted(foreign(modules) - FRAME) for line, _, modules in seen if foreign(modules) - FRAME}
    assert not too_much, f"these load more than lists commands: {too_much}"


def test_looking_at_a_node_loads_nothing_that_runs_one(tmp_path: Path) -> None:
    others = {
        "aiohttp", "asyncio", "pkcs11", "grpc", "plyvel", "py_arkworks_bls12381", "pyblst", "cryptography", "nacl",
        "google", "abci_app.server.main", "dta.node.supervisor", "dta.client.ledger.ledger",
    }  # fmt: skip
    status = Line(["--home", str(tmp_path), "status"])
    stopped(tmp_path)
    [(_, said, modules)] = imported_by([status])
    assert "not running" in said
    loaded = sorted(foreign(modules) & {*others, "httpx"})
    assert not loaded, f"{status} of a node that does not run loads {loaded}"
    with pretended(tmp_path):
        [(_, said, modules)] = imported_by([status])
    assert "healthy" in said
    assert "httpx" in modules  # it asked; else nothing was shown
    loaded = sorted(foreign(modules) & others)
    assert not loaded, f"{status} of a node that runs loads {loaded}"


@pytest.mark.parametrize("path", LEAVES)
def test_what_is_listed_of_a_command_is_what_it_says_of_itself(path: str) -> None:
    entry = LEAVES[path]
    listed = loading.Listed(path.split()[-1], entry)
    command = listed.loaded()
    for width in (*range(20, 120, 9), 1000):
        assert listed.get_short_help_str(width) == command.get_short_help_str(width), (
            f"dta/cli/commands.py says of `dta {path}` {entry.help!r}, and {entry.at} {command.help!r}"
        )


@pytest.mark.parametrize("path", LEAVES)
def test_a_default_that_is_kept_is_what_typer_would_have_made_of_it(path: str) -> None:
    command = loading.Listed(path.split()[-1], LEAVES[path]).loaded()
    with command.make_context(path, [], resilient_parsing=True) as context:
        for option in command.get_params(context):
            if isinstance(option, loading.KeptDefault) and not option.required and option.callback is None:
                made = TyperOption.process_value(option, context, option.default)
                # Of an option that repeats Typer makes () here, and None of that for the function.
                assert (None if made == () else made) == option.default, f"`dta {path}`, --{option.name}"


def test_an_interrupt_while_dta_still_loads_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "dta", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_an_interrupt_while_a_command_loads_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "import_module", interrupted)
    assert main.run(["order", "list"]) == 130


def test_what_a_shell_completes_by_ends_well_with_every_command() -> None:
    asked = {"_DTA_COMPLETE": "complete_bash", "COMP_WORDS": "dta ", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "dta"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, b"")
    assert {path.split()[0] for path in LEAVES} <= set(done.stdout.decode().split())
