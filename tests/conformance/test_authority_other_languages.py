"""Signatures and proofs of ours, checked by libraries of others: py-ecc, arkworks, and gnark-crypto in Go."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from abci_app.crypto import bls, dealing
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.extraction import Answerer, Asked
from abci_app.crypto.proofs import Equation, Statement
from dta.crypto import extraction
from dta.crypto.proofs import prove
from tests.support.ceremony_crypto import ceremony
from tests.support.curve_backends import BACKENDS, Backend
from tests.support.go_tools import built_tool
from tests.vectors.authority import generate

VECTORS = Path(__file__).parents[1] / "vectors"
MESSAGE = b"a message that three of four sign"


def threshold_signature() -> tuple[bytes, bytes]:
    """(s*g2, the signature over MESSAGE) by members 1, 2 and 4 of four."""
    world = ceremony(4, 3)
    asked = Asked(bytes(32), "bls", 3, 5, bytes(32), 1, bytes(32), 0)
    base = G1.hash(MESSAGE, bls.MIN_SIG_TAG)
    answers = []
    for number in (0, 1, 3):
        share = world.share(number)
        public = (G1.generator() * share.reveal()).encode()
        answers.append((Answerer(number + 1, public), extraction.multiply(asked, number + 1, share, base)))
    secret = sum(polynomial[0].reveal() for polynomial in world.polynomials)
    signature = extraction.combine_unblinded(asked, 3, base, answers)
    return (G2.generator() * secret).encode(), signature.encode()


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_a_threshold_signature_verifies_with_every_library(backend: Backend) -> None:
    key, signature = threshold_signature()
    point, public = backend.g1.decode(signature), backend.g2.decode(key)
    good = (backend.g1.hash(MESSAGE, bls.MIN_SIG_TAG), public)
    assert backend.pairing_check([good, (-point, backend.g2.generator())])
    other = (backend.g1.hash(b"another message", bls.MIN_SIG_TAG), public)
    assert not backend.pairing_check([other, (-point, backend.g2.generator())])


def in_go(*arguments: object, said: str = "") -> tuple[int, list[str]]:
    program = [built_tool("authority-verifier"), *arguments]
    done = subprocess.run(program, input=said, capture_output=True, text=True, check=False, timeout=300)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_signatures_verify_in_go_and_false_ones_do_not() -> None:
    key, signature = (part.hex() for part in threshold_signature())
    beacon = json.loads((VECTORS / "outside" / "drand-quicknet.json").read_text())
    tag = bls.MIN_SIG_TAG.decode()
    lines = [f"min-sig {tag} {key} {MESSAGE.hex()} {signature}", f"min-sig {tag} {key} {MESSAGE.hex()}00 {signature}"]
    for entry in beacon["rounds"]:
        message = sha256(entry["round"].to_bytes(8, "big")).hexdigest()
        lines.append(f"min-sig {beacon['dst']} {beacon['public_key']} {message} {entry['signature']}")
    lines.append(f"min-sig {tag} c0{'00' * 95} {MESSAGE.hex()} {signature}")
    code, said = in_go("signatures", said="\n".join(lines))
    assert code == 1
    assert [verdict.split(":")[0] for verdict in said] == ["valid", "invalid", "valid", "valid", "invalid"]


def test_go_and_we_decide_wycheproofs_signatures_alike() -> None:
    suite = json.loads((VECTORS / "outside" / "wycheproof-bls_sig_g2_aggregate_verify_test.json").read_text())
    lines, ours = [], []
    for group in suite["testGroups"]:
        for case in group["tests"]:
            if len(case["pubkeys"]) == len(case["messages"]) == 1 and case["pubkeys"][0] and case["sig"]:
                parts = [case["pubkeys"][0], case["messages"][0] or "-", case["sig"]]
                lines.append(" ".join(["min-pk", group["ciphersuite"], *parts]))
                ours.append(case["result"])
    assert ours
    _, said = in_go("signatures", said="\n".join(lines))
    assert [verdict.split(":")[0] for verdict in said] == ours


def test_every_proof_verifies_in_go() -> None:
    path = VECTORS / "authority" / "proofs.json"
    code, said = in_go("proofs", path)
    assert said == [f"{case['name']}: valid" for case in json.loads(path.read_text())["cases"]]
    assert code == 0


def test_a_changed_proof_or_statement_does_not_verify_in_go(tmp_path: Path) -> None:
    cases = json.loads((VECTORS / "authority" / "proofs.json").read_text())["cases"]
    for case in cases:
        case["proof"] = case["proof"][:-1] + format(int(case["proof"][-1], 16) ^ 1, "x")
    path = tmp_path / "proofs.json"
    path.write_text(json.dumps({"cases": cases}))
    code, said = in_go("proofs", path)
    assert code == 1
    assert all(verdict.endswith("invalid: an equation does not hold") for verdict in said)


def test_a_dealing_that_proves_its_first_coefficient_alone_does_not_verify_in_go(tmp_path: Path) -> None:
    """(!) As it was once enough: everything else holds, and the other commitments can be of no known coefficients."""
    made = generate.dealings()[0]
    dealer, images = generate.MEMBERS[0], [G1.decode(one) for one in (made.commitments[0], made.ephemeral)]
    whole = dealing.dealing_statement(
        generate.RECORD, dealer, made, [G1.decode(one) for one in made.commitments], images[1]
    )
    equations = tuple(Equation(image, ((G1.generator(), number),)) for number, image in enumerate(images))
    short = Statement(whole.tag, whole.context, equations)
    witnesses = [generate.scalar("a_1_0"), generate.scalar("e_1")]
    path = tmp_path / "proofs.json"
    path.write_text(json.dumps({"cases": [generate.proof_case("short", {}, short, prove(short, witnesses))]}))
    assert in_go("proofs", path) == (1, ["short: invalid: not every coefficient is proved"])
