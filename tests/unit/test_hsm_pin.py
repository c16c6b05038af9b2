"""PINs and passphrases come from private places, and are never shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dta.base.secret import SecretBytes
from dta.hsm.errors import PinFileMissing, PinFileUnsafe, PinUnusable
from dta.hsm.keystore import KeystoreConfig
from dta.hsm.pin import PIN_FILE_VARIABLE, read_pin


@pytest.fixture(autouse=True)
def _no_inherited_pin_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PIN_FILE_VARIABLE, raising=False)


def pin_file(path: Path, content: bytes = b"1234\n", mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"1234", b"1234\n", b"1234\r\n"])
def test_a_pin_file_gives_its_line_without_the_line_end(tmp_path: Path, content: bytes) -> None:
    config = KeystoreConfig("pkcs11", pin_file=pin_file(tmp_path / "pin", content))
    assert read_pin(config).reveal() == b"1234"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_pin_file_that_others_reach_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    path = pin_file(tmp_path / "pin", mode=mode)
    with pytest.raises(PinFileUnsafe) as caught:
        read_pin(KeystoreConfig("pkcs11", pin_file=path))
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("owner", [1, 12_345])
def test_a_pin_file_of_another_user_is_refused_though_nobody_else_may_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int
) -> None:
    """Whoever owns it may change it at any time."""
    path, real = pin_file(tmp_path / "pin"), os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        found = list(real(descriptor))
        found[stat.ST_UID] = owner
        return os.stat_result(found)

    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(PinFileUnsafe) as caught:
        read_pin(KeystoreConfig("pkcs11", pin_file=path))
    assert caught.value.hint != f"chmod 600 {path}", "what others may read has that hint"
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert read_pin(KeystoreConfig("pkcs11", pin_file=path)).reveal() == b"1234"


def test_a_missing_pin_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(PinFileMissing):
            read_pin(KeystoreConfig("pkcs11", pin_file=path))


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 2000, b"\xff\xfe12"])
def test_an_unusable_pin_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(PinUnusable) as caught:
        read_pin(KeystoreConfig("pkcs11", pin_file=pin_file(tmp_path / "pin", content)))
    assert caught.value.__cause__ is None
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbf1234\n", "byte order mark"),
        (b"1234\n5678\n", "more than one line"),
        (b"1234\n\n", "more than one line"),
        (b"\n1234\n", "more than one line"),
        (b"1234\xe2\x80\xa85678\n", "more than one line"),
        (b"1234 \n", "white space"),
        (b" 1234\n", "white space"),
        (b"1234\t\n", "white space"),
        (b"1234\xc2\xa0", "white space"),
        (b"12\x0034", "control character"),
    ],
)
def test_what_an_editor_adds_is_refused_before_it_is_tried(tmp_path: Path, content: bytes, said: str) -> None:
    """A token that locks counts each try."""
    path = pin_file(tmp_path / "pin", content)
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    for config in (KeystoreConfig("pkcs11", pin_file=path), KeystoreConfig("pkcs11", pin_fd=reader)):
        with pytest.raises(PinUnusable) as caught:
            read_pin(config)
        assert said in str(caught.value)
        assert "1234" not in str(caught.value) + caught.value.hint
    os.close(reader)
    with pytest.raises(PinUnusable):
        read_pin(KeystoreConfig("pkcs11"), prompt=lambda: SecretBytes(content))


def test_white_space_inside_a_pin_is_the_pins(tmp_path: Path) -> None:
    path = pin_file(tmp_path / "pin", "två ord 1\n".encode())
    assert read_pin(KeystoreConfig("pkcs11", pin_file=path)).reveal() == "två ord 1".encode()


def test_a_pin_comes_from_a_file_descriptor() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe\n")
    os.close(writer)
    try:
        assert read_pin(KeystoreConfig("pkcs11", pin_fd=reader)).reveal() == b"from a pipe"
    finally:
        os.close(reader)


def test_a_closed_file_descriptor_is_refused() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(PinFileMissing):
        read_pin(KeystoreConfig("pkcs11", pin_fd=reader))


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN_FILE_VARIABLE, str(pin_file(tmp_path / "pin")))
    assert read_pin(KeystoreConfig("pkcs11")).reveal() == b"1234"
    other = pin_file(tmp_path / "other", b"5678")
    assert read_pin(KeystoreConfig("pkcs11", pin_file=other)).reveal() == b"5678"


def test_the_prompt_is_asked_last_and_without_it_there_is_no_source(tmp_path: Path) -> None:
    config = KeystoreConfig("pkcs11")
    assert read_pin(config, prompt=lambda: SecretBytes(b"typed")).reveal() == b"typed"
    with pytest.raises(PinFileMissing) as caught:
        read_pin(config)
    assert PIN_FILE_VARIABLE in caught.value.hint
    with pytest.raises(PinUnusable):
        read_pin(config, prompt=lambda: SecretBytes(b""))
