"""The thinnest run of the state machine."""

from __future__ import annotations

from abci_app.codes import Code
from abci_app.pb.dta.v1 import tx_pb2
from tests.support.actors import Actor
from tests.support.chain import Chain
from tests.support.refusals import refused


def test_a_founder_sponsors_a_principal_who_opens_a_vault() -> None:
    chain = Chain()
    alice = Actor("alice")
    chain.register(alice)
    message = tx_pb2.OpenVault(
        nonce=bytes(32), custodian="hsm-realm", fiduciaries=[founder.identity for founder in chain.founders]
    )
    assert chain.run(alice, message).code == Code.OK
    refused(chain.run(alice, message), Code.DUPLICATE, "vault")
