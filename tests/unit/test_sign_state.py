"""A consensus key is used only with a sign-state that says what it signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dta.base.errors import UsageError
from dta.node import doctor, tendermint_config
from dta.node.validator_key import KeyFiles, look_back_blocks, require_sign_state


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    found = KeyFiles(tmp_path)
    for path in (found.key, found.sign_state):
        path.parent.mkdir(exist_ok=True)
    tendermint_config.new_validator_key(found.key)
    tendermint_config.new_sign_state(found.sign_state)
    return found


def test_a_key_with_its_sign_state_may_be_used(files: KeyFiles) -> None:
    require_sign_state(files)
    assert doctor.sign_state(files.comet_home).status == "ok"


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"height": "12', b"{}", b"[]", b"7", b'{"height": null}'])
def test_a_key_whose_sign_state_is_gone_or_damaged_is_not_used(files: KeyFiles, content: bytes | None) -> None:
    if content is None:
        files.sign_state.unlink()
    else:
        files.sign_state.write_bytes(content)
    with pytest.raises(UsageError, match="sign a height twice"):
        require_sign_state(files)
    found = doctor.sign_state(files.comet_home)  # which says so before `dta start` does
    assert (found.status, "restore-a-vote.md" in found.advice) == ("failure", True)


def test_without_a_key_or_with_another_one_that_takes_over_there_is_nothing_to_know(files: KeyFiles) -> None:
    files.sign_state.unlink()
    files.key.rename(files.committed)
    require_sign_state(files)
    files.committed.unlink()
    require_sign_state(files)


@pytest.mark.parametrize("content", [None, b"", b'{"height": "12'])
def test_a_sign_state_without_a_key_is_no_fault_of_this_program(files: KeyFiles, content: bytes | None) -> None:
    files.key.unlink()
    files.sign_state.unlink()
    if content is not None:
        files.sign_state.write_bytes(content)
    assert look_back_blocks(files) == tendermint_config.NEW_PLACE_CHECK_BLOCKS
