"""What the tree's tests compare with: the tree's definition, written as plainly as it can be."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256

from abci_app.block import Changes
from tests.support.go_tools import built_tool
from tests.support.patience import PATIENCE_S


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
    asked = "\n".join(lines) + "\n"
    program = [built_tool("ics23check")]
    answer = subprocess.run(program, input=asked, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return answer.stdout.splitlines()
