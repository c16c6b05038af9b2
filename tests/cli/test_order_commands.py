"""``dta vault``, ``dta order`` and ``dta policy`` as people and programs run them, over real proofs and real HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from order_world import ServedWorld, served_world
from transcript import play

from dta.cli.main import run

SECRET = b"-----BEGIN OPENSSH PRIVATE KEY-----\nbm90IHJlYWxseQ==\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as world:
        yield world


class Typist:
    """Runs command lines in people's homes, and keeps everything that was ever printed."""

    def __init__(self, world: ServedWorld, captured: Any) -> None:
        self.world = world
        self.captured = captured
        self.printed = ""

    def __call__(self, who: str, words: list[str]) -> tuple[int, str, str]:
        self.captured.readouterr()
        code = run(["--home", str(self.world.directory / who), *words])
        said = self.captured.readouterr()
        self.printed += said.out + said.err
        return code, said.out, said.err

    def json(self, who: str, *words: str, exit_code: int = 0) -> Any:
        code, out, _ = self(who, ["--json", *words])
        assert code == exit_code, out
        return json.loads(out)


@pytest.fixture
def dta(world: ServedWorld, capsys: Any, monkeypatch: Any) -> Typist:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return Typist(world, capsys)


def test_the_commands_do_what_their_transcript_says(world: ServedWorld, dta: Typist) -> None:
    secret, out, out3 = (world.directory / name for name in ("secret", "received", "received3"))
    secret.write_bytes(SECRET)
    names = {
        "SECRET": str(secret), "OUT": str(out), "OUT3": str(out3), "DRAFT": str(world.directory / "draft.json"),
        "BOB": world.people["bob"].hex(), "CAROL": world.people["carol"].hex(), "BYTES": str(len(SECRET)),
    }  # fmt: skip
    play(Path(__file__).with_name("orders.txt"), dta, names)
    assert out.read_bytes() == out3.read_bytes() == SECRET
    assert out.stat().st_mode & 0o777 == 0o600
    assert "bm90IHJlYWxseQ" not in dta.printed
