"""The authority's known answers, checked as a second implementation would: from the files and docs/spec/authority.md
alone, with another library (arkworks; py-ecc for the pairing's bytes) and with hashing written out here."""

from __future__ import annotations

import json
from hashlib import sha256, sha384
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from py_ecc import optimized_bls12_381 as ecc

from tests.support.curve_backends import ArkG1, ArkG2, EccG1, EccG2, ark_pairing_check
from tests.vectors.authority import generate

HERE = Path(__file__).parent / "authority"
ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
GROUPS: dict[str, Any] = {"G1": ArkG1, "G2": ArkG2}


def load(name: str) -> Any:
    return json.loads((HERE / name).read_text())


def covered(tag: str, *parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in (tag.encode(), *parts))


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def unhex(*values: str) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


CASES = {case["name"]: case for case in load("proofs.json")["cases"]}


def expected_context(name: str, case: dict[str, Any]) -> list[bytes]:
    """The challenge's parts before the announcements, by docs/spec/authority.md."""
    f = case["fields"]
    images = [bytes.fromhex(equation["image"]) for equation in case["equations"]]
    if name == "accept":
        return [*unhex(f["known"], f["fiduciary"]), images[0]]
    if name == "confirm":
        return [*unhex(f["record"], f["fiduciary"]), u32(f["index"]), images[0]]
    if name == "accusation":
        who = [*unhex(f["dealer"]), u32(f["dealer_index"]), *unhex(f["accuser"]), u32(f["accuser_index"])]
        ephemeral = bytes.fromhex(case["equations"][1]["terms"][0]["base"])
        return [*unhex(f["record"]), *who, images[0], ephemeral, *unhex(f["opened"])]
    if name == "dealing":
        dealt = load("dealing.json")["dealings"][0]
        sent = [u32(2), *unhex(*dealt["commitments"], dealt["ephemeral"]), u32(3), *unhex(*dealt["shares"])]
        return [*unhex(f["record"], f["dealer"]), u32(f["dealer_index"]), *sent, *unhex(dealt["constant_g2"])]
    if name.startswith("transport"):
        about = unhex(f["request"], f["subject"], f["item_subject"])
        return [*unhex(f["gid"]), u32(f["use"]), *about, name[-2:].encode(), images[0]]
    asked = [*unhex(f["gid"]), f["suite"].encode(), u32(f["purpose"]), u32(f["use"]), *unhex(f["authority"])]
    asked += [u32(f["epoch"]), *unhex(f["request"]), u32(f["item"]), u32(f["index"])]
    if name == "unblinded":
        return [*asked, b"G1", images[0], *unhex(f["base"], f["value"])]
    return [*asked, name[-2:].encode(), images[0], *unhex(f["base"], f["transport"], f["c1"], f["c3"])]


def test_the_files_are_what_the_generator_makes() -> None:
    for name, content in generate.files().items():
        assert (HERE / name).read_text() == content, f"{name} differs: a transcript or an encoding has changed"


@pytest.mark.parametrize("name", CASES)
def test_a_second_verifier_takes_every_proof(name: str) -> None:
    case = CASES[name]
    context = unhex(*case["context"])
    assert context == expected_context(name, case)
    proof, offset, announcements = bytes.fromhex(case["proof"]), 0, []
    for equation in case["equations"]:
        size = GROUPS[equation["group"]].BYTES
        announcements.append(proof[offset : offset + size])
        offset += size
    responses = [int.from_bytes(proof[at : at + 32], "big") for at in range(offset, len(proof), 32)]
    assert all(response < ORDER for response in responses)
    transcript = covered(case["tag"], *context, *announcements)
    assert transcript.hex() == case["transcript"]
    c = int.from_bytes(sha384(transcript).digest(), "big") % ORDER
    assert c.to_bytes(32, "big").hex() == case["challenge"]
    for equation, announcement in zip(case["equations"], announcements, strict=True):
        group = GROUPS[equation["group"]]
        left = group.sum(
            group.decode(bytes.fromhex(term["base"])) * responses[term["witness"]] for term in equation["terms"]
        )
        assert left == group.decode(announcement) + group.decode(bytes.fromhex(equation["image"])) * c


def test_a_dealing_proves_every_coefficient_and_its_ephemeral_each_by_a_response_of_its_own() -> None:
    dealt, case = load("dealing.json")["dealings"][0], CASES["dealing"]
    images = [*dealt["commitments"], dealt["ephemeral"]]
    assert [equation["image"] for equation in case["equations"]] == images
    g1 = ArkG1.generator().encode().hex()
    terms = [equation["terms"] for equation in case["equations"]]
    assert terms == [[{"base": g1, "witness": number}] for number in range(len(images))]
    assert len(bytes.fromhex(dealt["proof"])) == len(images) * (48 + 32)
    assert dealt["proof"] == case["proof"]


def test_blinded_partials_open_to_the_share_times_the_base() -> None:
    for name in ("blinded in G1", "blinded in G2"):
        fields, group = CASES[name]["fields"], GROUPS[name[-2:]]
        x = int(CASES[f"transport in {name[-2:]}"]["fields"]["x"], 16)
        c1, c3, base = (group.decode(bytes.fromhex(fields[key])) for key in ("c1", "c3", "base"))
        assert c3 - c1 * x == base * int(fields["share"], 16)
        assert (c3 - c1 * x).encode().hex() == fields["opened"]


def test_every_share_of_the_dealings_opens_and_adds_up() -> None:
    world = load("dealing.json")
    g1, g2 = ArkG1.generator(), ArkG2.generator()
    record, threshold = bytes.fromhex(world["record"]), world["threshold"]
    totals = [0] * len(world["members"])
    for dealt in world["dealings"]:
        commitments = [ArkG1.decode(each) for each in unhex(*dealt["commitments"])]
        assert len(commitments) == threshold
        ephemeral = ArkG1.decode(bytes.fromhex(dealt["ephemeral"]))
        assert ark_pairing_check([(commitments[0], g2), (-g1, ArkG2.decode(bytes.fromhex(dealt["constant_g2"])))])
        for place, member in enumerate(world["members"]):
            opened = ephemeral * int(member["x"], 16)
            parts = [
                record, bytes.fromhex(dealt["dealer"]), u32(dealt["dealer_index"]), bytes.fromhex(member["fiduciary"]),
                u32(member["index"]), bytes.fromhex(member["key"]), ephemeral.encode(), opened.encode(),
            ]  # fmt: skip
            pad = sha256(covered("DTA-v1-share-pad", *parts)).digest()
            if (dealt["dealer_index"], member["index"]) == (1, 2):
                assert (pad.hex(), opened.encode().hex()) == (world["pad"]["pad"], world["pad"]["opened"])
            share = int.from_bytes(pad, "big") ^ int(dealt["shares"][place], 16)
            assert share == int(dealt["opened_shares"][place], 16) < ORDER
            powers = [member["index"] ** power for power in range(threshold)]
            assert g1 * share == ArkG1.msm(commitments, powers)
            totals[place] += share
    assert [total % ORDER for total in totals] == [int(share, 16) for share in world["shares"]]
    assert [(g1 * total).encode().hex() for total in totals] == world["public_shares"]
    # By Lagrange at zero over members 1 and 3: (3 * s_1 - s_3) / 2.
    key = (3 * totals[0] - totals[2]) * pow(2, -1, ORDER) % ORDER
    assert (g1 * key).encode().hex() == world["public_key_g1"]
    assert (g2 * key).encode().hex() == world["public_key_g2"]
    assert [int(each, 16) for each in world["lagrange_at_zero"]["coefficients"]] == [2, ORDER - 2, 1]


def gt_bytes(value: Any) -> bytes:
    """The twelve coefficients in the tower Fp2, Fp6, Fp12, of py-ecc's value to the power of -3."""
    coefficients = [int(c) for c in (value**3).inv().coeffs]
    p = ecc.field_modulus
    out = b""
    for i in range(2):
        for j in range(3):
            # (x + y*u) * w^(i + 2j), u = w^6 - 1
            low, high = coefficients[i + 2 * j], coefficients[i + 2 * j + 6]
            out += ((low + high) % p).to_bytes(48, "little") + high.to_bytes(48, "little")
    return out


def test_a_second_implementation_decrypts() -> None:
    f = load("ibe.json")
    sigma, data_key = bytes.fromhex(f["sigma"]), bytes.fromhex(f["data_key"])
    identity, authority = unhex(f["identity"], f["authority"])
    u = EccG2.decode(bytes.fromhex(f["u"]))
    key = EccG1.decode(bytes.fromhex(f["identity_key"]))
    shared = gt_bytes(ecc.pairing(u.value, key.value))
    mask = sha256(covered("DTA-v1-ibe-mask", shared)).digest()
    assert bytes(a ^ b for a, b in zip(bytes.fromhex(f["v"]), mask, strict=True)) == sigma
    sigma_mask = sha256(covered("DTA-v1-ibe-sigma", sigma)).digest()
    assert bytes(a ^ b for a, b in zip(bytes.fromhex(f["w"]), sigma_mask, strict=True)) == data_key
    rho = sha384(covered("DTA-v1-ibe-rho", sigma, data_key, identity, authority)).digest()
    assert (ArkG2.generator() * (int.from_bytes(rho, "big") % ORDER)).encode().hex() == f["u"]
    associated = covered("DTA-v1-ibe-body", identity, authority, *unhex(f["u"], f["v"], f["w"]))
    opened = ChaCha20Poly1305(data_key).decrypt(bytes(12), bytes.fromhex(f["body"]), associated)
    assert opened.hex() == f["plaintext"]
