"""``dta dev`` before anything runs: what it refuses to touch, and what it makes anew."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from dta.base.errors import EXIT_USAGE, UsageError
from dta.cli.main import run
from dta.localnet import development
from dta.localnet.network import Plan

NO_COMET = "no-such-cometbft"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def made_as(root: Path, chain_id: str, *, ready: bool, port: int = 28_000) -> Path:
    """A directory as a network leaves it, without a node that ever ran."""
    (root / "pins").mkdir(parents=True)
    (root / "network.json").write_text(json.dumps(asdict(Plan(1, "software", chain_id, port, "cometbft"))))
    if ready:
        (root / "ready.json").write_text("{}")
    return root


def up(root: Path, port: int = 0, comet: str = NO_COMET) -> None:
    development.up(root, port, comet)


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="something else in it"):
        up(tmp_path, comet="true")
    for forget in (False, True):
        with pytest.raises(UsageError, match="nothing to stop"):
            development.down(tmp_path, forget=forget)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("ready", [False, True])
def test_a_localnet_of_somebody_s_is_neither_started_nor_deleted(tmp_path: Path, ready: bool) -> None:
    """(!) Half made or not: only what `dta dev` made is its own."""
    root = made_as(tmp_path / "localnet", "dta-localnet", ready=ready)
    with pytest.raises(UsageError, match="not one of"):
        up(root)
    for forget in (False, True):
        with pytest.raises(UsageError, match="not one of"):
            development.down(root, forget=forget)
    assert (root / "network.json").exists()


def test_what_was_broken_off_while_it_was_made_is_made_anew(tmp_path: Path) -> None:
    root = made_as(tmp_path / "dev", development.CHAIN_ID, ready=False)
    (root / "node0").mkdir()
    with pytest.raises(UsageError, match="no CometBFT called"):
        up(root)
    assert not root.exists()


def test_what_is_forgotten_is_deleted_and_what_is_stopped_is_not(tmp_path: Path) -> None:
    root = made_as(tmp_path / "dev", development.CHAIN_ID, ready=False)
    assert not development.down(root, forget=True)
    assert not root.exists()
    assert list(tmp_path.iterdir()) == []


def test_without_a_cometbft_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        up(tmp_path / "dev")
    assert "ensure_cometbft" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_named_before_anything_is_made(tmp_path: Path, taken: int) -> None:
    for first in (taken, taken - 2):
        with pytest.raises(UsageError, match=f"port {taken} is taken"):
            up(tmp_path / "dev", first, "true")
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_with_other_ports_keeps_them(tmp_path: Path) -> None:
    root = made_as(tmp_path / "dev", development.CHAIN_ID, ready=True, port=28_100)
    with pytest.raises(UsageError, match="from port 28100 on"):
        up(root, 28_000)


def test_the_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert run(["dev", "up", "--directory", str(tmp_path), "--comet-binary", "true"]) == EXIT_USAGE
    assert "error: " in capsys.readouterr().err
    assert run(["dev", "down", "--directory", str(tmp_path)]) == EXIT_USAGE
