"""What the tree's tests compare with: the tree's definition, written as plainly as it can be."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from abci_app.block import Changes

TOOL = Path(__file__).parents[2] / "tools" / "ics23check"


def plain_root(content: Mapping[bytes, bytes]) -> bytes:
    """The root over ``content``, by the definition and nothing else."""
    leaves = {sha256(key).digest(): sha256(value).digest() for key, value in content.items()}

    def root(hashes: list[bytes], depth: int) -> bytes:
        if not hashes:
            return b"SPARSE_MERKLE_PLACEHOLDER_HASH__"
        if len(hashes) == 1:
            return sha256(b"JMT::LeafNode" + hashes[0] + leaves[hashes[0]]).digest()
        halves: tuple[list[bytes], list[bytes]] = ([], [])
        for key_hash in hashes:
            halves[int.from_bytes(key_hash, "big") >> (255 - depth) & 1].append(key_hash)
        return sha256(b"JMT::IntrnalNode" + root(halves[0], depth + 1) + root(halves[1], depth + 1)).digest()

    return root(list(leaves), 0)


def changes(leaves: Mapping[bytes, bytes | None], index: Mapping[bytes, bytes | None] | None = None) -> Changes:
    """A block's changes from dictionaries."""
    return Changes(tuple(sorted(leaves.items())), tuple(sorted((index or {}).items())))


def ics23check(lines: Sequence[str]) -> list[str]:
    """What the Go ICS23 library says to each line; skips the test where there is no Go."""
    answer = subprocess.run(
        [_built_tool()], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True, timeout=120
    )
    return answer.stdout.splitlines()


def _built_tool() -> Path:
    sources = sorted(path for path in TOOL.iterdir() if path.is_file())
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dta"
    target = cache / f"ics23check-{digest}"
    if not target.exists():
        go = shutil.which("go")
        if go is None:
            pytest.skip("no Go toolchain to build tools/ics23check with")
        cache.mkdir(parents=True, exist_ok=True)
        built = target.with_name(f"{target.name}.{os.getpid()}")
        subprocess.run([go, "build", "-trimpath", "-o", built, "."], cwd=TOOL, check=True, timeout=600)
        built.rename(target)
    return target
