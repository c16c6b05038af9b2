"""A disk that fills up under the application: the process ends, and what it had not written it never acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_server_process import COMMIT, INFO, INIT, Process, finalize

from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from tests.support.disk import fill, mount_small_disk, unmount

DISK_MIB = 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of a few MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount_small_disk(directory, DISK_MIB)
    yield directory
    unmount(directory)


def block_of(height: int) -> list[pb.Request]:
    return [finalize(height, b"%d=" % height + b"v" * 3_000), COMMIT]


def test_a_full_disk_ends_the_process_before_it_acknowledges_and_room_brings_it_back(small_disk: Path) -> None:
    process = Process(small_disk)
    try:
        process.ready()
        process.ask(INIT, *block_of(1))
        filler = small_disk / "filler"
        fill(filler)
        acknowledged = 1
        while len(process.ask(*block_of(acknowledged + 1))) == 2:
            acknowledged += 1
        code, errors = process.wait()
        assert code == 70
        assert "No space left on device" in errors

        filler.unlink()
        process.ready()
        (answer,) = process.ask(INFO)
        # The block whose write failed stands there whole or not at all; what was acknowledged does.
        stands = answer.info.last_block_height
        assert stands in (acknowledged, acknowledged + 1)
        assert len(process.ask(*block_of(stands + 1))) == 2
    finally:
        assert process.process is not None
        process.process.kill()
        process.process.communicate()
