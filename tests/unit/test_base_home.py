"""A file is replaced by a file, and nothing else is: not a device, a pipe, a directory or a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dta.base.errors import UsageError
from dta.base.home import replaceable, write_file, write_new_file
from dta.cli import order_release


def test_a_file_is_replaced_and_a_new_one_is_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for content in (b"first", b"second"):
        write_file(path, content)
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write_file(tmp_path / "elsewhere/secret", b"first")
    link = tmp_path / "secret"
    link.symlink_to("elsewhere/secret")
    write_file(link, b"second")
    assert link.is_symlink()
    assert (tmp_path / "elsewhere/secret").read_bytes() == b"second"


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    pipe, directory, nowhere = tmp_path / "pipe", tmp_path / "directory", tmp_path / "nowhere"
    os.mkfifo(pipe)
    directory.mkdir()
    nowhere.symlink_to("there is nothing")
    to_pipe = tmp_path / "to-pipe"
    to_pipe.symlink_to("pipe")
    for path in (pipe, directory, nowhere, to_pipe):
        with pytest.raises(UsageError) as caught:
            write_file(path, b"secret")
        assert caught.value.hint
        with pytest.raises(UsageError):
            write_new_file(path, b"secret", "something")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert nowhere.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["directory", "nowhere", "pipe", "to-pipe"]


def test_a_secret_is_not_asked_for_when_it_is_to_go_over_a_device() -> None:
    for device in (Path("/dev/null"), Path("/dev/stdout")):
        with pytest.raises(UsageError):
            replaceable(device)
        with pytest.raises(UsageError):
            order_release._check_out(None, device, force=True, command="")  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            order_release._check_out(None, device, force=False, command="")  # type: ignore[arg-type]
