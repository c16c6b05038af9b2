"""Known answers for a second implementation of docs/spec/authority.md: ``python -m tests.vectors.authority.generate``.

Writes proofs.json (every kind of proof, with its transcript), dealing.json (a ceremony of three with threshold two,
shares, a dispute, what it adds up to) and ibe.json. All secrets are in them: hashes of their names. The random bytes
that a prover takes are fixed too, so that the files come out the same each time.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from abci_app.crypto import dealing, extraction, proofs, scalars, transcript
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.dealing import Party
from abci_app.crypto.extraction import Asked
from abci_app.crypto.proofs import Statement
from abci_app.hashing import tagged
from dta.base.secret import SecretBytes
from dta.crypto import dealing as dealer_side
from dta.crypto import extraction as member_side
from dta.crypto import ibe
from dta.crypto.scalar import SecretScalar

HERE = Path(__file__).parent
BASE_TAG = b"DTA-v1-vectors-BLS12381_XMD:SHA-256_SSWU_RO_"


def digest(name: str) -> bytes:
    return sha256(name.encode()).digest()


def scalar(name: str) -> SecretScalar:
    return SecretScalar(scalars.from_wide(digest(name) + digest(name + "'")[:16]))


def fixed(count: int) -> bytes:
    """Instead of random bytes: 00 01 02 ..."""
    return bytes(number % 256 for number in range(count))


def hexed(value: Any) -> Any:
    """``value`` as JSON has it: bytes and points in hex, secret scalars as 32 bytes."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, G1 | G2):
        return value.encode().hex()
    if isinstance(value, SecretScalar):
        return scalars.encode(value.reveal()).hex()
    if isinstance(value, dict):
        return {key: hexed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [hexed(each) for each in value]
    return value


def proof_case(name: str, fields: dict[str, Any], statement: Statement, proof: bytes) -> dict[str, Any]:
    """One proof: what it is of, its transcript byte by byte, the challenge."""
    decoded = proofs.decode(statement, proof)
    covered = (*statement.context, *decoded.announcements)
    case = {
        "name": name,
        "fields": fields,
        "tag": statement.tag,
        "equations": [
            {
                "group": type(equation.image).__name__,
                "image": equation.image,
                "terms": [{"base": base, "witness": number} for base, number in equation.terms],
            }
            for equation in statement.equations
        ],
        "context": list(statement.context),
        "transcript": tagged(statement.tag, *covered),
        "challenge": scalars.encode(transcript.challenge(statement.tag, *covered)),
        "proof": proof,
    }
    return dict(hexed(case))


# --- dealing.json -----------------------------------------------------------------------------------------------

KNOWN, RECORD = digest("known part"), digest("record")
MEMBERS = [Party(digest(f"fiduciary {index}"), index) for index in (1, 2, 3)]
KEYS = [scalar(f"x_{index}") for index in (1, 2, 3)]
THRESHOLD = 2


def dealings() -> list[dealing.Dealing]:
    addressed = [(party, (G1.generator() * key.reveal()).encode()) for party, key in zip(MEMBERS, KEYS, strict=True)]
    return [
        dealer_side.deal(
            RECORD, party, addressed, [scalar(f"a_{party.index}_{power}") for power in range(THRESHOLD)],
            scalar(f"e_{party.index}"), publishes_g2=True, random_bytes=fixed,
        )
        for party in MEMBERS
    ]  # fmt: skip


def dealing_file() -> dict[str, Any]:
    dealt = dealings()
    shares = [
        [dealer_side.open_share(RECORD, dealer, member, key, each, place) for place, (member, key) in enumerate(
            zip(MEMBERS, KEYS, strict=True))]
        for dealer, each in zip(MEMBERS, dealt, strict=True)
    ]  # fmt: skip
    combined = dealing.combine([[G1.decode(c) for c in each.commitments] for each in dealt], [1, 1, 1])
    member, key, ephemeral = MEMBERS[1], KEYS[1], G1.decode(dealt[0].ephemeral)
    opened = ephemeral * key.reveal()
    return dict(hexed({
        "record": RECORD,
        "threshold": THRESHOLD,
        "members": [{"fiduciary": party.fiduciary, "index": party.index, "x": x, "key": G1.generator() * x.reveal()}
                    for party, x in zip(MEMBERS, KEYS, strict=True)],
        "dealings": [
            {
                "dealer": party.fiduciary, "dealer_index": party.index, "commitments": each.commitments,
                "ephemeral": each.ephemeral, "shares": each.shares, "constant_g2": each.constant_g2,
                "proof": each.proof, "opened_shares": opened_shares,
            }
            for party, each, opened_shares in zip(MEMBERS, dealt, shares, strict=True)
        ],
        "pad": {
            "dealer_index": 1, "member_index": 2, "opened": opened,
            "pad": dealing.pad(RECORD, MEMBERS[0], member, G1.generator() * key.reveal(), ephemeral, opened),
        },
        "public_key_g1": combined[0],
        "public_key_g2": G2.sum(G2.decode(each.constant_g2) for each in dealt),
        "public_shares": [dealing.public_share(combined, party.index) for party in MEMBERS],
        "shares": [dealer_side.combine([row[place] for row in shares], [1, 1, 1]) for place in range(3)],
        "lagrange_at_zero": {
            "indices": [1, 3, 4], "coefficients": [scalars.encode(c) for c in scalars.lagrange_at_zero([1, 3, 4])],
        },
    }))  # fmt: skip


# --- proofs.json ------------------------------------------------------------------------------------------------

ASKED = Asked(digest("gid"), "MPIN-BLS12381-RFC9380", 1, 1, digest("authority"), 2, digest("request"), 3)
A, Q = G1.hash(b"A", BASE_TAG), G2.hash(b"Q", BASE_TAG)


def ceremony_proofs() -> list[dict[str, Any]]:
    party, key = MEMBERS[1], KEYS[1]
    point, accept_proof = dealer_side.accept(KNOWN, party.fiduciary, key, fixed)
    dealt = dealings()[0]
    dealer, ephemeral = MEMBERS[0], G1.decode(dealt.ephemeral)
    commitments = [G1.decode(one) for one in dealt.commitments]
    opened, accusation = dealer_side.accuse(RECORD, dealer, party, key, dealt, fixed)
    share = scalar("share")
    return [
        proof_case("accept", {"known": KNOWN, "fiduciary": party.fiduciary, "x": key},
                   dealing.accept_statement(KNOWN, party.fiduciary, G1.decode(point)), accept_proof),
        proof_case("dealing", {"record": RECORD, "dealer": dealer.fiduciary, "dealer_index": 1},
                   dealing.dealing_statement(RECORD, dealer, dealt, commitments, ephemeral), dealt.proof),
        proof_case("accusation", {"record": RECORD, "dealer": dealer.fiduciary, "dealer_index": 1,
                                  "accuser": party.fiduciary, "accuser_index": 2, "opened": opened},
                   dealing.accusation_statement(RECORD, dealer, party, G1.decode(point), ephemeral,
                                                G1.decode(opened)), accusation),
        proof_case("confirm", {"record": RECORD, "fiduciary": party.fiduciary, "index": 2, "share": share},
                   dealing.confirm_statement(RECORD, party, G1.generator() * share.reveal()),
                   dealer_side.confirm(RECORD, party, share, fixed)),
    ]  # fmt: skip


def extraction_proofs() -> list[dict[str, Any]]:
    share = scalar("share")
    public = G1.generator() * share.reveal()
    asked = {"gid": ASKED.gid, "suite": ASKED.suite, "purpose": 1, "use": 1, "authority": ASKED.authority,
             "epoch": 2, "request": ASKED.request, "item": 3, "index": 2, "share": share}  # fmt: skip
    cases = []
    for group, base in ((G1, A), (G2, Q)):
        subject, item_subject = digest("realm"), digest("client")
        key = member_side.make_transport(
            group, ASKED.gid, 1, ASKED.request, subject, item_subject, scalar("transport"), fixed
        )
        transport = group.decode(key.point)
        fields = {"gid": ASKED.gid, "use": 1, "request": ASKED.request, "subject": subject,
                  "item_subject": item_subject, "x": key.secret}  # fmt: skip
        statement = extraction.possession_statement(ASKED.gid, 1, ASKED.request, subject, item_subject, transport)
        cases.append(proof_case(f"transport in {group.__name__}", fields, statement, key.proof))
        partial = member_side.blind(ASKED, 2, share, base, transport, fixed)
        c1, c3 = group.decode(partial.c1), group.decode(partial.c3)
        statement = extraction.blinded_statement(ASKED, 2, public, base, transport, c1, c3)
        opened = c3 - c1 * key.secret.reveal()
        fields = {**asked, "base": base, "transport": transport, "c1": c1, "c3": c3, "opened": opened}
        cases.append(proof_case(f"blinded in {group.__name__}", fields, statement, partial.proof))
    clear = member_side.multiply(ASKED, 2, share, A, fixed)
    statement = extraction.unblinded_statement(ASKED, 2, public, A, G1.decode(clear.value))
    cases.append(proof_case("unblinded", {**asked, "base": A, "value": clear.value}, statement, clear.proof))
    return cases


# --- ibe.json ---------------------------------------------------------------------------------------------------


def ibe_file() -> dict[str, Any]:
    master = scalar("master")
    identity, plaintext = digest("order"), b"the treasure is under the oak"
    to = ibe.Recipient(identity, A, digest("authority"), G2.generator() * master.reveal())
    sealed = ibe.encrypt(to, SecretBytes(plaintext), fixed)
    return dict(hexed({
        "identity": identity, "point": A, "authority": to.authority, "public_key": to.public_key,
        "identity_key": A * master.reveal(), "sigma": fixed(32), "data_key": fixed(32), "plaintext": plaintext,
        "u": sealed.u, "v": sealed.v, "w": sealed.w, "body": sealed.body,
    }))  # fmt: skip


def files() -> dict[str, str]:
    """Each file's name and content."""
    contents: dict[str, Any] = {
        "proofs.json": {"base_tag": BASE_TAG.decode(), "cases": [*ceremony_proofs(), *extraction_proofs()]},
        "dealing.json": dealing_file(),
        "ibe.json": ibe_file(),
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in contents.items()}


if __name__ == "__main__":
    for name, content in files().items():
        (HERE / name).write_text(content)
