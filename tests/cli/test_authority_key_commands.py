"""``dta order --authority`` and ``dta sign`` as people run them, over real proofs and real HTTP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.records import SIGNING_POLICIES
from dta.cli.main import run
from dta.crypto.bls.verify import main as verify_signature
from tests.cli.order_transcript import play
from tests.cli.order_world import ServedWorld, served_world
from tests.support.authority import CUSTODY, SIGNING
from tests.support.custody import k_of

SECRET = b"the treasure is under the oak"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    """A custody key ``safe``, and a signing key ``seal`` for what alice and bob agree on."""
    with served_world(tmp_path) as world:
        with world.lock:
            world.chain.deal(CUSTODY, name="safe")
            seal = world.chain.deal(SIGNING, name="seal")
            policy = k_of(2, world.people["alice"], world.people["bob"])
            record = extraction_pb2.SigningPolicy(authority=seal.id, policy=policy)
            world.chain.write({SIGNING_POLICIES.key(seal.id): record.SerializeToString()})
            for _ in range(2):
                world.chain.make_block()
        yield world


def test_the_commands_do_what_their_transcript_says(world: ServedWorld, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    files = {name: world.directory / name.lower() for name in ("SECRET", "OUT", "OTHER", "SIGNED", "RAW")}
    files["SECRET"].write_bytes(SECRET)
    files["OTHER"].write_bytes(b"something else")

    def dta(who: str, words: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["--home", str(world.directory / who), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    names = {name: str(path) for name, path in files.items()} | {"BYTES": str(len(SECRET))}
    play(Path(__file__).with_name("authority_keys.transcript"), dta, names)
    assert files["OUT"].read_bytes() == SECRET
    assert files["RAW"].read_bytes().hex() == names["SIGNATURE"]
    key = next(one for one in world.chain.dealt.values() if one.purpose == SIGNING)
    words = ["--scheme", "min-sig", "--dst", "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"]
    words += ["--public-key", key.public_key_g2.hex(), "--message", files["SIGNED"].read_bytes().hex()]
    assert verify_signature([*words, "--signature", names["SIGNATURE"]]) == 0
