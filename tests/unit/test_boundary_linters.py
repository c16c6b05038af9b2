"""Ruff and import-linter hold the boundary between the packages, and are seen to fail when it is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of both packages and the linters' settings, to be broken."""
    for package in ("abci_app", "dta"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def add_line(path: Path, line: str) -> None:
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n{line}\n")


def lint_imports(tree: Path) -> tuple[int, str]:
    # The copy must be what is read, not the installed packages.
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [TOOLS / "lint-imports", "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def ruff_banned(tree: Path) -> str:
    done = subprocess.run(
        [TOOLS / "ruff", "check", "--no-cache", "--select", "TID251", "--output-format", "concise", "abci_app", "dta"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_import_linter_accepts_the_code_as_it_is(tree: Path) -> None:
    code, said = lint_imports(tree)
    assert code == 0, said


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("abci_app/hashing.py", "import time", "sees no clock"),
        ("abci_app/messages/broken.py", "from datetime import datetime", "sees no clock"),
        ("abci_app/state/broken.py", "import os.path", "sees no clock"),
        ("abci_app/crypto/broken.py", "def draw():\n    import secrets", "sees no clock"),
        ("abci_app/hashing.py", "import dta.base.secret", "never imports dta"),
        ("abci_app/server/broken.py", "from dta.base.secret import SecretBytes", "never imports dta"),
        ("abci_app/messages/broken.py", "import abci_app.storage", "only two modules"),
        ("dta/cli/broken.py", "from abci_app import storage", "only two modules"),
        ("dta/base/secret.py", "import abci_app.server", "only two modules"),
        ("dta/mpin/broken.py", "def ask():\n    import httpx", "reach no network"),
        ("dta/node/hooks/plan.py", "import subprocess", "reach no network"),
        ("dta/login/server.py", "import dta.client.ledger.reads", "an authentication server knows neither"),
        ("dta/login/broken.py", "def ask():\n    import dta.node.gateway", "an authentication server knows neither"),
        ("dta/node/door/broken.py", "def seal():\n    import dta.hsm.software", "the public door knows no keystore"),
        ("dta/node/doctor.py", "import pkcs11", "the token is the keystores' alone"),
        ("abci_app/state/broken.py", "import plyvel", "the database the storage's"),
    ],
)
def test_import_linter_names_the_contract_that_an_import_breaks(
    tree: Path, module: str, line: str, contract: str
) -> None:
    add_line(tree / module, line)
    code, said = lint_imports(tree)
    assert code != 0
    broken = [row for row in said.splitlines() if " BROKEN" in row]
    assert len(broken) == 1, said
    assert contract in broken[0]


def floors(container: str) -> list[list[str]]:
    """The rooms of a container, from the top floor down, as pyproject.toml has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (found,) = (contract for contract in settings["contracts"] if contract.get("containers") == [container])
    return [[room.strip() for room in floor.replace(":", "|").split("|")] for floor in found["layers"]]


def module_in(tree: Path, container: str, room: str) -> Path:
    """A module of a room: the room itself, where it is one file."""
    place = tree.joinpath(*container.split("."), room)
    return place.with_suffix(".py") if place.with_suffix(".py").exists() else place / "__init__.py"


@pytest.mark.parametrize("container", ["abci_app", "dta", "dta.client", "dta.node"])
def test_each_floor_is_refused_an_import_from_the_floor_above_it(tree: Path, container: str) -> None:
    rooms = floors(container)
    for above, below in pairwise(rooms):
        add_line(module_in(tree, container, below[0]), f"import {container}.{above[0]}")
    code, said = lint_imports(tree)
    assert code != 0
    for above, below in pairwise(rooms):
        assert f"{container}.{below[0]} is not allowed to import {container}.{above[0]}" in said, said


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("abci_app/custody/orders.py", "import abci_app.mfa.realms", "abci_app.custody is not allowed to import"),
        ("dta/blocks/store.py", "import dta.custodians.plugin", "dta.blocks is not allowed to import dta.custodians"),
        ("dta/client/receipt/verify.py", "import dta.client.custody.orders", "dta.client.receipt is not allowed"),
        ("dta/node/founding/join.py", "import dta.node.agent.jobs", "dta.node.founding is not allowed to import"),
        ("dta/attic/broken.py", "import dta.base.errors", "attic"),
    ],
)
def test_rooms_beside_each_other_are_apart_and_a_new_one_has_to_find_its_place(
    tree: Path, module: str, line: str, said: str
) -> None:
    add_line(tree / module, line)
    if not (tree / module).with_name("__init__.py").exists():
        (tree / module).with_name("__init__.py").touch()
    code, printed = lint_imports(tree)
    assert code != 0
    assert said in printed


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("dta/node/supervisor.py", "from abci_app.server.main import EXIT_UPGRADE"),
        ("dta/node/state_diff.py", "from abci_app.storage import diff"),
        ("abci_app/server/broken.py", "import time, abci_app.storage"),
        ("abci_app/storage/broken.py", "import os"),
    ],
)
def test_import_linter_lets_the_edges_do_their_work(tree: Path, module: str, line: str) -> None:
    add_line(tree / module, line)
    code, said = lint_imports(tree)
    assert code == 0, said


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from time import monotonic",
        "import datetime as clock",
        "from random import choice",
        "import secrets",
        "import os.path",
        "import socket",
        "from pathlib import Path",
        "import math",
    ],
)
def test_ruff_refuses_what_the_replicated_part_may_not_see(tree: Path, line: str) -> None:
    assert ruff_banned(tree) == "All checks passed!\n"
    add_line(tree / "abci_app/messages/broken.py", line)
    said = ruff_banned(tree)
    assert "abci_app/messages/broken.py" in said
    assert "TID251" in said


@pytest.mark.parametrize("module", ["abci_app/server/broken.py", "abci_app/storage/broken.py", "dta/broken.py"])
def test_ruff_leaves_the_clock_to_what_runs_around_the_ledger(tree: Path, module: str) -> None:
    add_line(tree / module, "import time")
    assert ruff_banned(tree) == "All checks passed!\n"
