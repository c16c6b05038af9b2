"""mypy in strict mode is part of the suite, and is seen to fail when its rule is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("source", "exit_code"),
    [
        ("def double(value: int) -> int:\n    return value * 2\n", 0),
        ("def double(value):\n    return value * 2\n", 1),
        ("def double(value: int) -> int:\n    return str(value)\n", 1),
    ],
    ids=["typed", "without types", "with a wrong type"],
)
def test_strict_types_are_demanded(tmp_path: Path, source: str, exit_code: int) -> None:
    module = tmp_path / "module.py"
    module.write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir",
         str(tmp_path / "cache"), str(module)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stdout
