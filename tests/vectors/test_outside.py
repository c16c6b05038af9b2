"""Vectors that others made (tests/vectors/outside), and the verifying command on them."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from abci_app.crypto import bls
from abci_app.crypto.curve import G1, G2
from dta.crypto.bls import verify
from tests.support.curve_checks import encoded_point

OUTSIDE = Path(__file__).parent / "outside"


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((OUTSIDE / name).read_text())
    return loaded


@pytest.mark.parametrize(("name", "group"), [("rfc9380-bls12381g1.json", G1), ("rfc9380-bls12381g2.json", G2)])
def test_rfc_9380_hashes_match(name: str, group: type[G1] | type[G2]) -> None:
    suite = load(name)
    assert len(suite["vectors"]) == 5
    for case in suite["vectors"]:
        expected = encoded_point(case["P"]["x"], case["P"]["y"])
        assert group.hash(case["msg"].encode(), suite["dst"].encode()).encode() == expected


def test_wycheproof_hashes_to_g2_are_decided_as_it_says() -> None:
    suite = load("wycheproof-bls_hash_to_g2_test.json")
    seen = 0
    for group in suite["testGroups"]:
        for case in group["tests"]:
            point = G2.hash(bytes.fromhex(case["msg"]), group["dst"].encode())
            assert (point.encode().hex() == case["expected"]) == (case["result"] == "valid"), case["comment"]
            seen += 1
    assert seen == suite["numberOfTests"]


def test_wycheproof_aggregates_are_decided_as_it_says() -> None:
    suite = load("wycheproof-bls_sig_g2_aggregate_verify_test.json")
    verdicts = []
    for group in suite["testGroups"]:
        for case in group["tests"]:
            keys = [bytes.fromhex(key) for key in case["pubkeys"]]
            messages = [bytes.fromhex(message) for message in case["messages"]]
            verdict = bls.aggregate_verify(keys, messages, bytes.fromhex(case["sig"]), group["ciphersuite"].encode())
            assert verdict == (case["result"] == "valid"), case["comment"]
            verdicts.append(verdict)
    assert len(verdicts) == suite["numberOfTests"]
    assert {True, False} == set(verdicts)


def quicknet(round_number: int) -> tuple[str, str, str]:
    """Public key, message and signature of a round, in hexadecimal."""
    network = load("drand-quicknet.json")
    signature = next(entry["signature"] for entry in network["rounds"] if entry["round"] == round_number)
    return network["public_key"], sha256(round_number.to_bytes(8, "big")).hexdigest(), signature


def command(scheme: str, key: str, message: str, signature: str, dst: str = bls.MIN_SIG_TAG.decode()) -> list[str]:
    options = {"--scheme": scheme, "--dst": dst, "--public-key": key, "--message": message, "--signature": signature}
    return [part for option in options.items() for part in option]


@pytest.mark.parametrize("round_number", [123, 1000])
def test_a_randomness_beacon_is_verified(round_number: int, capsys: pytest.CaptureFixture[str]) -> None:
    key, message, signature = quicknet(round_number)
    assert verify.main(command("min-sig", key, message, signature)) == 0
    assert capsys.readouterr() == ("valid\n", "")
    assert verify.main(command("min-sig", "0x" + key.upper(), message, "0X" + signature)) == 0


def test_a_beacon_of_another_round_or_tag_is_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    key, message, signature = quicknet(123)
    other = quicknet(1000)
    reason = "invalid: the signature is not by this key over this message under this tag\n"
    for arguments in (
        command("min-sig", key, other[1], signature),
        command("min-sig", key, message, other[2]),
        command("min-sig", key, "", signature),
        command("min-sig", key, message, signature, "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"),
        command("min-sig", key, message, signature, "x" * 300),
        command("min-sig", key, message, signature, "tägli"),
    ):
        assert verify.main(arguments) == 1
        assert capsys.readouterr() == (reason, "")


def test_a_wycheproof_signature_is_verified_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    singles = 0
    for group in load("wycheproof-bls_sig_g2_aggregate_verify_test.json")["testGroups"]:
        for case in group["tests"]:
            if len(case["pubkeys"]) != 1 or len(case["messages"]) != 1:
                continue
            singles += 1
            arguments = command("min-pk", case["pubkeys"][0], case["messages"][0], case["sig"], group["ciphersuite"])
            code = verify.main(arguments)
            printed, _ = capsys.readouterr()
            assert code == (0 if case["result"] == "valid" else 1), case["comment"]
            assert printed.startswith("valid\n" if code == 0 else "invalid: ")
    assert singles


_KEY, _MESSAGE, _SIGNATURE = quicknet(123)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("zz", _MESSAGE, _SIGNATURE), "the public key is not hexadecimal"),
        ((_KEY[:-1], _MESSAGE, _SIGNATURE), "the public key is not hexadecimal"),
        ((_KEY, "a b c d", _SIGNATURE), "the message is not hexadecimal"),
        ((_KEY, "٠٠", _SIGNATURE), "the message is not hexadecimal"),
        ((_KEY, _MESSAGE, _SIGNATURE + "\n"), "the signature is not hexadecimal"),
        ((_KEY[:-2], _MESSAGE, _SIGNATURE), "the public key has 95 bytes, not the 96 of a point of G2"),
        ((_SIGNATURE, _MESSAGE, _SIGNATURE), "the public key has 48 bytes, not the 96 of a point of G2"),
        ((_KEY, _MESSAGE, ""), "the signature has 0 bytes, not the 48 of a point of G1"),
        (("c0" + "00" * 95, _MESSAGE, _SIGNATURE), "the public key is the identity point"),
        ((_KEY, _MESSAGE, "c0" + "00" * 47), "the signature is the identity point"),
        ((_KEY, _MESSAGE, "e0" + "00" * 47), "the signature is not the canonical encoding"),
        ((_KEY, _MESSAGE, "80" + "00" * 46 + "04"), "the signature is not the canonical encoding"),
        ((_KEY, _MESSAGE, "ff" * 48), "the signature is not the canonical encoding"),
        (("00" * 96, _MESSAGE, _SIGNATURE), "the public key is not the canonical encoding"),
    ],
)
def test_malformed_input_is_invalid_and_says_why(
    arguments: tuple[str, str, str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.main(command("min-sig", *arguments)) == 1
    printed, errors = capsys.readouterr()
    assert printed.startswith(f"invalid: {reason}")
    assert not errors


def test_a_wrong_use_of_the_options_exits_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    good = command("min-sig", *quicknet(123))
    no_tag = command("min-sig", *quicknet(123), dst="")
    for arguments in (good[2:], ["--scheme", "other", *good[2:]], [*good, "--more"], no_tag):
        with pytest.raises(SystemExit) as caught:
            verify.main(arguments)
        assert caught.value.code == 2
        assert "usage:" in capsys.readouterr().err


def test_the_command_runs_as_a_module() -> None:
    module = [sys.executable, "-m", "dta.crypto.bls.verify"]
    run = subprocess.run(module + command("min-sig", *quicknet(1000)), capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "valid\n", "")
    not_text = subprocess.run(
        [*module, *command("min-sig", *quicknet(1000))[:-1], b"\xff\xfe"], capture_output=True, text=True, check=False
    )
    assert (not_text.returncode, not_text.stderr) == (1, "")
