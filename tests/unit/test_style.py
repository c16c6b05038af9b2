"""House rules that no linter of ours knows: sizes and names. Each is shown to fail on a tree that breaks it."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# "About" 500 and 60 in CONTRIBUTING.md; the margin keeps an argument about two lines out of a review.
MAX_FILE_LINES = 520
MAX_FUNCTION_LINES = 65
CODE = {".py", ".pyi", ".sh", ".proto", ".go"}
GENERATED = "abci_app/pb/"


def tracked(root: Path) -> list[Path]:
    """What is in the repository, or would be at the next commit; relative to ``root``."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    names = sorted(set(listed.stdout.split("\0")) - {""})
    return [Path(name) for name in names if (root / name).is_file()]


def code_files(root: Path) -> list[Path]:
    return [
        path
        for path in tracked(root)
        if not path.as_posix().startswith(GENERATED) and (path.suffix in CODE or path.as_posix() == ".ci/run")
    ]


def too_long_files(root: Path) -> Iterator[str]:
    for path in code_files(root):
        lines = len((root / path).read_text().splitlines())
        if lines > MAX_FILE_LINES:
            yield f"{path} has {lines} lines, more than {MAX_FILE_LINES}"


def too_long_functions(root: Path) -> Iterator[str]:
    for path in code_files(root):
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse((root / path).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield f"{path}:{node.lineno} {node.name} has {lines} lines, more than {MAX_FUNCTION_LINES}"


def meaningless_names(root: Path) -> Iterator[str]:
    for path in tracked(root):
        if any(part.split(".")[0] in ("util", "utils") for part in path.parts):
            yield f"{path} is named after nothing: say what is in it"


def repository(path: Path, files: dict[str, str]) -> Path:
    subprocess.run(["git", "init", "-q", str(path)], check=True, capture_output=True)
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    assert list(too_long_files(ROOT)) == []


def test_no_function_is_longer_than_a_screen() -> None:
    assert list(too_long_functions(ROOT)) == []


def test_nothing_is_named_utils() -> None:
    assert list(meaningless_names(ROOT)) == []


def test_a_file_that_is_too_long_is_seen(tmp_path: Path) -> None:
    limit = "x = 1\n" * MAX_FILE_LINES
    tree = repository(
        tmp_path, {"a.py": limit, "b.py": limit + "y = 2\n", "c.sh": limit * 2, f"{GENERATED}d.py": limit * 2}
    )
    assert [line.split()[0] for line in too_long_files(tree)] == ["b.py", "c.sh"]


def test_a_function_that_is_too_long_is_seen(tmp_path: Path) -> None:
    body = "    x = 1\n" * (MAX_FUNCTION_LINES - 1)
    source = f"def fits():\n{body}\nasync def too_long():\n{body}    pass\n"
    tree = repository(tmp_path, {"a.py": source})
    assert [line.split()[1] for line in too_long_functions(tree)] == ["too_long"]


def test_a_module_or_package_named_utils_is_seen(tmp_path: Path) -> None:
    tree = repository(tmp_path, {"dta/utils.py": "", "dta/utils/a.py": "", "dta/futile.py": "", "tests/util.py": ""})
    assert len(list(meaningless_names(tree))) == 3
