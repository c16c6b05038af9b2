"""Messages of every type that ``validate`` takes, with every field of theirs set in one of them at least.

Nobody made what is in them: no proof holds. They are for rules that need no state.
"""

from __future__ import annotations

from google.protobuf.message import Message

from abci_app import cid
from abci_app.authority import checks
from abci_app.crypto import hpke
from abci_app.crypto.curve import G1, G1_BYTES, G2, G2_BYTES, SCALAR_BYTES
from abci_app.crypto.extraction import UNBLINDED_PROOF_BYTES, blinded_proof_bytes, possession_bytes
from abci_app.params import default_params
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, extraction_pb2, governance_pb2, identity_pb2, mfa_pb2, tx_pb2
from tests.support.actors import Actor, seeded

GID = seeded("gid")
ID, OTHER, THIRD = sorted(seeded("id", number) for number in range(3))
CID = cid.cid_of(b"block")


def _document(*, rotated: bool) -> bytes:
    """A fiduciary's document with everything in it that may be."""
    actor = Actor("fiduciary", fiduciary=True, gateway="https://gateway.example:8080/v1")
    document = actor.document(GID, int(rotated))
    document.not_before_s, document.not_after_s = 1, 2**53 - 1
    if rotated:
        document.identity, document.previous_cid = ID, CID
    return actor.sealed_document(GID, document, int(rotated))


def _policy() -> custody_pb2.Policy:
    gate = custody_pb2.PolicyNode(threshold=1, children=[1, 2], group="the board")
    leaves = [custody_pb2.PolicyNode(identity=identity) for identity in (ID, OTHER)]
    return custody_pb2.Policy(nodes=[gate, *leaves], veto_window_s=60, vetoers=[ID])


def _hpke_key() -> identity_pb2.HpkeKey:
    seed = seeded("hpke")
    return hpke.public_key_of(seed + seed, seed)


def _order(**fields: object) -> tx_pb2.PlaceOrder:
    return tx_pb2.PlaceOrder(
        nonce=ID, envelope_cid=CID, policy=_policy(), rule=custody_pb2.BeneficiaryRule(identity=ID), **fields
    )


def _enrolment() -> mfa_pb2.ClientEnrolment:
    return mfa_pb2.ClientEnrolment(
        client=ID, nonce=OTHER, transport_key=bytes(G1_BYTES), proof=bytes(possession_bytes(G1))
    )


def _blinded(group: type[G1] | type[G2]) -> extraction_pb2.BlindedPartial:
    return extraction_pb2.BlindedPartial(
        c1=bytes(group.BYTES), c3=bytes(group.BYTES), proof=bytes(blinded_proof_bytes(group))
    )


def _dealing() -> authority_pb2.Dealing:
    proof = bytes(checks.dealing_proof_bytes(2))
    return authority_pb2.Dealing(
        commitments=[bytes(G1_BYTES)] * 2, ephemeral=bytes(G1_BYTES), shares=[bytes(SCALAR_BYTES)] * 3,
        constant_g2=bytes(G2_BYTES), proof=proof,
    )  # fmt: skip


def _actions() -> list[governance_pb2.Action]:
    members = [ID, OTHER, THIRD]
    terms = mfa_pb2.RealmTerms(name="web", registrar=ID, suite=mfa_pb2.MFA_SUITE_RFC9380)
    return [
        governance_pb2.Action(admit_fiduciary=governance_pb2.AdmitFiduciary(
            identity=ID, validator_key=OTHER, proof=bytes(64), power=1
        )),
        governance_pb2.Action(remove_fiduciary=governance_pb2.RemoveFiduciary(identity=ID)),
        governance_pb2.Action(change_params=governance_pb2.ChangeParams(params=default_params(), base_digest=ID)),
        governance_pb2.Action(revoke_identity=governance_pb2.RevokeByVote(identity=ID)),
        governance_pb2.Action(upgrade=governance_pb2.PlanUpgrade(height=9, protocol_version=2)),
        governance_pb2.Action(create_authority=authority_pb2.CreateAuthority(
            purpose=authority_pb2.PURPOSE_SIGNING, name="key", members=members, threshold=2, nonce=ID
        )),
        governance_pb2.Action(reshare_authority=authority_pb2.ReshareAuthority(
            authority=ID, members=members, threshold=2
        )),
        governance_pb2.Action(set_signing_policy=extraction_pb2.SetSigningPolicy(authority=ID, policy=_policy())),
        governance_pb2.Action(create_realm=mfa_pb2.CreateRealm(terms=terms, members=members, threshold=2, nonce=ID)),
    ]  # fmt: skip


def samples() -> list[Message]:
    """At least one of each type, in no order."""
    return [*_of_custody(), *_of_authorities(), *_of_realms()]


def _of_custody() -> list[Message]:
    """Identities, vaults, orders and requests; results together."""
    digests = [seeded("digest", number) for number in range(2)]
    seal = bytes(hpke.SEALED_OVERHEAD_BYTES + 32)
    shares = [seeded("share", number) for number in range(2)]
    return [
        tx_pb2.RegisterIdentity(envelope=_document(rotated=False)),
        tx_pb2.RotateIdentity(envelope=_document(rotated=True)),
        tx_pb2.SuspendIdentity(),
        tx_pb2.RevokeIdentity(next_key=ID),
        tx_pb2.RotateValidatorKey(key=ID, proof=bytes(64)),
        tx_pb2.OpenVault(nonce=ID, custodian="hsm-realm", fiduciaries=[ID, OTHER]),
        tx_pb2.PublishVaultKey(vault=ID, key=_hpke_key()),
        tx_pb2.CloseVault(vault=ID),
        tx_pb2.CancelCloseVault(vault=ID),
        tx_pb2.ConfirmVaultErased(vault=ID),
        _order(
            custodian="hsm-realm", vault=ID, fiduciaries=[ID, OTHER], threshold=1, share_commitments=shares,
            key_commitment=THIRD,
        ),
        _order(custodian="mpc-bls", authority=ID),
        tx_pb2.FulfilOrder(order=ID),
        tx_pb2.RejectOrder(order=ID, rejection=1),
        tx_pb2.RequestSecret(
            order=ID, nonce=OTHER, beneficiary=THIRD, keys_cid=CID, key_digests=digests, authorisation=bytes(64)
        ),
        tx_pb2.RequestSecret(
            order=ID, nonce=OTHER, beneficiary=THIRD, transport_key=bytes(G1_BYTES),
            possession=bytes(possession_bytes(G1)),
        ),
        tx_pb2.ApproveRequest(request=ID, content_digest=OTHER),
        tx_pb2.VetoRequest(request=ID, content_digest=OTHER),
        tx_pb2.FulfilSecret(request=ID, sealed=seal),
        tx_pb2.FulfilSecret(request=ID, partial=_blinded(G1), epoch=1),
        tx_pb2.ReportShare(request=ID, fiduciary=OTHER, mlkem768_seed=bytes(64), x25519_private=bytes(32)),
        tx_pb2.CloseOrder(order=ID),
        tx_pb2.SubmitResults(results=[
            tx_pb2.Result(fulfil_order=tx_pb2.FulfilOrder(order=ID)),
            tx_pb2.Result(fulfil_secret=tx_pb2.FulfilSecret(request=OTHER, sealed=seal)),
        ]),
    ]  # fmt: skip


def _of_authorities() -> list[Message]:
    """Proposals, ceremonies, extraction, signing."""
    accusation = authority_pb2.Accusation(dealer=ID, opened=bytes(G1_BYTES), proof=bytes(checks.EQUAL_LOGS_BYTES))
    schnorr = bytes(checks.SCHNORR_BYTES)
    unblinded = extraction_pb2.UnblindedPartial(share=bytes(G1_BYTES), proof=bytes(UNBLINDED_PROOF_BYTES))
    return [
        *(governance_pb2.Propose(nonce=ID, action=action) for action in _actions()),
        governance_pb2.Vote(proposal=ID, content_digest=OTHER),
        governance_pb2.WithdrawProposal(proposal=ID),
        authority_pb2.ConsentCeremony(first=ID, terms=ID),
        authority_pb2.AcceptCeremony(ceremony=ID, receive_key=bytes(G1_BYTES), proof=schnorr),
        authority_pb2.DealShares(ceremony=ID, dealing=_dealing()),
        authority_pb2.DisputeDealings(ceremony=ID, accusations=[accusation]),
        authority_pb2.ConfirmShare(ceremony=ID, proof=schnorr),
        *(
            extraction_pb2.SubmitPartials(request=ID, epoch=1, partials=[_blinded(group)] * 2) for group in (G1, G2)
        ),
        extraction_pb2.SubmitUnblinded(request=ID, epoch=1, partials=[unblinded] * 2),
        extraction_pb2.PlaceSigningOrder(
            nonce=ID, authority=OTHER, kind="release", message=b"m", policy=_policy(), names=9
        ),
        extraction_pb2.PlaceSigningOrder(nonce=ID, authority=OTHER, kind="release", digest=THIRD, names=9),
    ]  # fmt: skip


def _of_realms() -> list[Message]:
    return [
        mfa_pb2.RegisterServer(realm=ID, server=OTHER),
        mfa_pb2.RemoveServer(realm=ID, server=OTHER),
        mfa_pb2.EnrolClients(realm=ID, clients=[_enrolment()], suite=mfa_pb2.MFA_SUITE_AMCL),
        mfa_pb2.ReenrolClients(realm=ID, clients=[_enrolment()], suite=mfa_pb2.MFA_SUITE_AMCL),
        mfa_pb2.RequestServerSecret(
            realm=ID, nonce=OTHER, transport_key=bytes(G2_BYTES), proof=bytes(possession_bytes(G2))
        ),
        mfa_pb2.IssuePermits(realm=ID, day=1, first=0, count=2, suite=mfa_pb2.MFA_SUITE_AMCL),
        mfa_pb2.RevokeClient(realm=ID, client=OTHER),
    ]  # fmt: skip
