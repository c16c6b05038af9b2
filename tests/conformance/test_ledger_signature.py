"""A signature that the ledger stored, verified by py-ecc, by arkworks and blst, and in Go by gnark-crypto."""

from __future__ import annotations

import subprocess
from functools import cache

import pytest

from abci_app.authority.bases import SIGNING_SUITE
from abci_app.custody.releases import signed_bytes
from abci_app.pb.dta.v1 import extraction_pb2, tx_pb2
from abci_app.state.records import AUTHORITIES, REQUESTS, SIGNINGS
from tests.support.actors import seeded
from tests.support.authority import SIGNING, answer, install_new
from tests.support.chain import Chain
from tests.support.curve_backends import BACKENDS, Backend
from tests.support.go_tools import built_tool


@cache
def signed() -> tuple[bytes, bytes, bytes]:
    """(public key, bytes signed, signature): asked for by one, approved by three operators, by 3 of 4 with one down."""
    chain = Chain(4)
    dealt = install_new(chain, SIGNING)
    message = extraction_pb2.PlaceSigningOrder(
        nonce=seeded("n"), authority=dealt.id, kind="release", message=b"release 1.0", names=4
    )
    request = chain.run(chain.founders[0], message).data
    digest = REQUESTS.get(chain.view, request).content_digest
    for founder in chain.founders[1:3]:
        assert chain.run(founder, tx_pb2.ApproveRequest(request=request, content_digest=digest)).code == 0
    for founder in (chain.founders[0], chain.founders[2], chain.founders[3]):
        assert answer(chain, dealt, founder, request).code == 0
    record = SIGNINGS.get(chain.view, request)
    public_key = AUTHORITIES.get(chain.view, dealt.id).public_key_g2
    return public_key, signed_bytes(chain.gid, record), record.signature


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_a_signature_of_the_ledger_verifies_with_every_library(backend: Backend) -> None:
    public_key, message, signature = signed()
    point, key = backend.g1.decode(signature), backend.g2.decode(public_key)
    for said, good in ((message, True), (message + b"!", False)):
        hashed = backend.g1.hash(said, SIGNING_SUITE.encode())
        assert backend.pairing_check([(hashed, key), (-point, backend.g2.generator())]) is good


def test_a_signature_of_the_ledger_verifies_in_go() -> None:
    public_key, message, signature = (part.hex() for part in signed())
    lines = [f"min-sig {SIGNING_SUITE} {public_key} {said} {signature}" for said in (message, message + "00")]
    program = [built_tool("authority-verifier"), "signatures"]
    said = "\n".join(lines) + "\n"
    done = subprocess.run(program, input=said, capture_output=True, text=True, check=False, timeout=300)
    verdicts = done.stdout.splitlines()
    assert verdicts[0].startswith("valid"), done
    assert verdicts[1].startswith("invalid"), done
