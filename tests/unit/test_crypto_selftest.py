"""The self-test at start: passes here, and notices each library that answers otherwise."""

from __future__ import annotations

from hashlib import sha3_384

import pytest

from abci_app import canonical
from abci_app.crypto import bls, curve, ed25519, hpke, selftest, transcript


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


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("hash", classmethod(lambda cls, message, tag: cls.generator())),
        ("__mul__", lambda point, scalar: point),
        ("__sub__", lambda point, other: point),
        ("decode", classmethod(lambda cls, data: cls.generator())),
    ],
)
def test_a_curve_that_answers_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str, answer: object) -> None:
    monkeypatch.setattr(curve.G1, name, answer)
    with pytest.raises(selftest.SelfTestFailed) as caught:
        selftest.run()
    assert caught.value.library == "pyblst"


@pytest.mark.parametrize("verdict", [True, False])
def test_a_pairing_that_says_the_same_to_everything_is_noticed(monkeypatch: pytest.MonkeyPatch, verdict: bool) -> None:
    monkeypatch.setattr(bls, "pairing_check", lambda pairs: verdict)
    with pytest.raises(selftest.SelfTestFailed):
        selftest.run()


def test_another_way_to_a_challenge_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "sha384", sha3_384)
    with pytest.raises(selftest.SelfTestFailed) as caught:
        selftest.run()
    assert caught.value.case == "challenge of a proof"


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
