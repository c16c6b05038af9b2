"""What must not be committed: places on somebody's machine, hosts of package registries, kills by name.

Each rule is shown to fail on a tree that breaks it. Forbidden words are put together here, so as not to be found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_style import repository, tracked

from tests.support.command_blocks import blocks

ROOT = Path(__file__).resolve().parents[2]

PLACES = ("ro" + "ot", "wo" + "rk", "ho" + "me", "Us" + "ers")
HOSTS = (
    "pypi" + ".org",
    "files.pythonhosted" + ".org",
    "proxy.golang" + ".org",
    "sum.golang" + ".org",
    "crates" + ".io",
    "registry.npmjs" + ".org",
    "repo.maven.apache" + ".org",
    "deb.debian" + ".org",
)
MACHINE_PATHS = re.compile(rf"(?<![\w.{{}}$/-])/(?:{'|'.join(PLACES)})(?:/|\b)")
PACKAGE_HOSTS = re.compile("|".join(map(re.escape, HOSTS)))
KILLS_BY_NAME = re.compile(r"\b(?:p" + r"kill|kill" + r"all)\b")
# A lone & that ends a command. What it starts has to be stopped, so only start_process may write it.
IN_BACKGROUND = re.compile(r"(?<![&|<>\\])&\s*(?:#.*)?$")
STARTS_PROCESSES = "scripts/lib/processes.sh"


def text_of(path: Path) -> str | None:
    """None for what is not text: images, key files in binary."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def lines_matching(root: Path, rule: re.Pattern[str], files: list[Path]) -> Iterator[str]:
    for path in files:
        for number, line in enumerate((text_of(root / path) or "").splitlines(), 1):
            if rule.search(line):
                yield f"{path}:{number} {line.strip()[:80]}"


def links_out(root: Path) -> Iterator[str]:
    """What is committed as a link and leads out of the tree: a place of one machine, which no text names."""
    listed = subprocess.run(["git", "ls-files", "--stage", "-z"], cwd=root, capture_output=True, text=True, check=True)
    for entry in filter(None, listed.stdout.split("\0")):
        mode, name = entry.split()[0], entry.partition("\t")[2]
        if mode == "120000":
            target = (root / name).readlink()
            if target.is_absolute() or not (root / name).resolve().is_relative_to(root.resolve()):
                yield f"{name} -> {target}"


def scripts(root: Path) -> list[Path]:
    """Everything in shell."""
    return [path for path in tracked(root) if path.suffix == ".sh" or path.as_posix() == ".ci/run"]


def programs(root: Path) -> list[Path]:
    """What runs: the rule against kills by name is quoted in the documents."""
    return [path for path in tracked(root) if path.suffix in (".py", ".sh") or path.as_posix() == ".ci/run"]


def unstopped_starts(root: Path) -> Iterator[str]:
    others = [path for path in scripts(root) if path.as_posix() != STARTS_PROCESSES]
    return (line for line in lines_matching(root, IN_BACKGROUND, others) if not line.split(" ", 1)[1].startswith("#"))


def test_nothing_committed_names_a_place_on_somebodys_machine() -> None:
    assert list(lines_matching(ROOT, MACHINE_PATHS, tracked(ROOT))) == []


def test_nothing_committed_is_a_link_out_of_the_tree() -> None:
    assert list(links_out(ROOT)) == []


def test_nothing_committed_names_the_host_of_a_package_registry() -> None:
    assert list(lines_matching(ROOT, PACKAGE_HOSTS, tracked(ROOT))) == []


def test_nothing_kills_processes_by_their_name() -> None:
    assert list(lines_matching(ROOT, KILLS_BY_NAME, programs(ROOT))) == []


def test_scripts_start_processes_only_where_their_pid_is_kept() -> None:
    assert list(unstopped_starts(ROOT)) == []


def test_scripts_stop_at_the_first_error_and_parse() -> None:
    for path in scripts(ROOT):
        subprocess.run(["bash", "-n", str(ROOT / path)], check=True)
        text = (ROOT / path).read_text()
        if os.access(ROOT / path, os.X_OK) and path.as_posix() != ".ci/run":
            assert text.startswith("#!/usr/bin/env bash\n"), path
            assert "\nset -euo pipefail\n" in text, path


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_are_clean_under_shellcheck() -> None:
    done = subprocess.run(
        ["shellcheck", "-x", *map(str, scripts(ROOT))], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_place_on_a_machine_is_seen(tmp_path: Path) -> None:
    bad = "run /" + "ro" + "ot/x\ncd /" + "wo" + "rk/main\nls '/" + "ho" + "me/me/y'\n"
    tree = repository(tmp_path, {"a.md": bad, "b.py": "x = '/usr/lib'\ny = 'a/workers'\nz = '/store'\n"})
    assert len(list(lines_matching(tree, MACHINE_PATHS, tracked(tree)))) == 3


def test_a_link_out_of_the_tree_is_seen(tmp_path: Path) -> None:
    tree = repository(tmp_path / "tree", {"a/b.md": "text\n"})
    (tree / "inside").symlink_to("a/b.md")
    (tree / "environment").symlink_to(tmp_path)
    (tree / "above").symlink_to("../elsewhere")
    subprocess.run(["git", "add", "-A"], cwd=tree, check=True)
    assert list(links_out(tree)) == ["above -> ../elsewhere", f"environment -> {tmp_path}"]


def test_the_host_of_a_registry_is_seen(tmp_path: Path) -> None:
    tree = repository(tmp_path, {"a.sh": "pip install -i https://pypi" + ".org/simple x\n", "b": "pip install x\n"})
    assert len(list(lines_matching(tree, PACKAGE_HOSTS, tracked(tree)))) == 1


def test_a_kill_by_name_is_seen(tmp_path: Path) -> None:
    tree = repository(tmp_path, {"a.sh": "p" + "kill -f cometbft\n", "b.py": "run('kill" + "all x')\n", "c.md": "x\n"})
    assert len(list(lines_matching(tree, KILLS_BY_NAME, programs(tree)))) == 2


def test_a_process_that_nobody_stops_is_seen(tmp_path: Path) -> None:
    text = "sleep 9 &\ncometbft start >log 2>&1 &  # later\na && b\ntrue &&\n  true\nx 2>&1\n# a & \n"
    tree = repository(tmp_path, {"scripts/a.sh": text, STARTS_PROCESSES: "sleep 9 &\n"})
    assert [line.split(" ")[0] for line in unstopped_starts(tree)] == ["scripts/a.sh:1", "scripts/a.sh:2"]


def test_generated_code_that_is_not_what_proto_says_is_seen(tmp_path: Path) -> None:
    for part in ("proto", "abci_app/pb", "scripts"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    check = [str(tmp_path / "scripts/proto.sh"), "--check"]
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(check, env=environment, check=True, capture_output=True)
    edited = next((tmp_path / "abci_app/pb").rglob("tx_pb2.pyi"))
    edited.write_text(edited.read_text() + "\n# by hand\n")
    assert subprocess.run(check, env=environment, check=False, capture_output=True).returncode != 0


def hash_seed(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts/hash_seed.sh"), sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_output_that_depends_on_the_hash_seed_is_seen() -> None:
    done = hash_seed("from hashlib import sha256; print(sha256(repr({*'abcdefgh'}).encode()).hexdigest())")
    assert done.returncode == 1
    assert "depends on the hash seed" in done.stderr


def test_output_that_does_not_depend_on_the_hash_seed_passes() -> None:
    assert hash_seed("print(sorted({*'abcdefgh'}))").returncode == 0


@pytest.mark.parametrize("program", ["pass", "raise SystemExit(3)"])
def test_a_replay_that_says_nothing_or_fails_is_no_agreement(program: str) -> None:
    assert hash_seed(program).returncode == 1


def test_every_runbook_is_run_by_a_test_that_its_page_names() -> None:
    for page in sorted((ROOT / "docs/runbooks").glob("*.md")):
        named = re.findall(r"tests/localnet/test_\w+\.py", page.read_text())
        assert named, f"{page.name} names no test"
        if any(block.runner for block in blocks(page.read_text())):
            tests = "".join(path.read_text() for path in (ROOT / "tests/localnet").glob("*.py"))
            assert f'"{page.stem}"' in tests, f"nobody runs {page.name}"
