"""The self-test at start: passes here, and notices each library that answers otherwise."""

from __future__ import annotations

import pytest

from abci_app import canonical
from abci_app.crypto import bls, ed25519, hpke, selftest


def test_the_pinned_libraries_pass() -> None:
    selftest.run()


@pytest.mark.parametrize("verdict", [True, False])
@pytest.mark.parametrize(("module", "library"), [(ed25519, "pynacl"), (bls, "pyblst")])
def test_a_verifier_that_says_the_same_to_everything_is_noticed(
    monkeypatch: pytest.MonkeyPatch, module: object, library: str, verdict: bool
) -> None:
    monkeypatch.setattr(module, "verify", lambda *_: verdict)
    with pytest.raises(selftest.SelfTestFailed) as caught:
        selftest.run()
    assert caught.value.library == library


def test_a_decoder_that_takes_everything_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "decode", lambda cls, data, max_bytes: cls.FromString(data))
    with pytest.raises(selftest.SelfTestFailed) as caught:
        selftest.run()
    assert (caught.value.library, caught.value.case) == ("protobuf", "other encodings")


def test_an_opener_that_fails_is_noticed_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise TypeError("another version's arguments")

    monkeypatch.setattr(hpke, "open_sealed", fail)
    with pytest.raises(selftest.SelfTestFailed) as caught:
        selftest.run()
    assert caught.value.library == "cryptography"
    assert isinstance(caught.value.__cause__, TypeError)
    assert str(caught.value) == "self-test: cryptography fails HPKE opening"
