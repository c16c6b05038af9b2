"""Every transcript beside this file is what the command line really says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.transcript import play

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_transcript_is_what_is_said(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for variable in ("DTA_HOME", "DTA_PIN_FILE", "DTA_DEBUG"):
        monkeypatch.delenv(variable, raising=False)
    # Nobody is there to be asked: what would prompt has to say so.
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    play(path, tmp_path, capsys)


def test_every_transcript_that_needs_a_ledger_is_played() -> None:
    here = Path(__file__).parent
    tests = "".join(file.read_text(encoding="utf-8") for file in here.glob("test_*.py"))
    unplayed = [path.name for path in here.glob("*.transcript") if f'"{path.name}"' not in tests]
    assert not unplayed, f"no test in tests/cli plays {unplayed}"
