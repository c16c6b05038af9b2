"""Who writes and receives envelopes in these tests. Keys are derived from names: the same in every run."""

from __future__ import annotations

from hashlib import sha256

from abci_app import canonical
from abci_app.crypto import statements
from abci_app.envelope import DecodedEnvelope, decode
from abci_app.pb.dta.v1 import envelope_pb2
from dta.base.secret import SecretBytes
from dta.crypto import shamir
from dta.crypto.bls import BlsPrivateKey
from dta.crypto.hpke import HpkePrivateKey
from dta.envelope import Draft, RecordRecipient, ShareRecipient, seal_order, seal_record, sign

GID = sha256(b"gid").digest()
TIME_S = 1_790_000_000


def stretched(name: str, length: int) -> SecretBytes:
    blocks = [sha256(f"{name}/{count}".encode()).digest() for count in range(length // 32 + 1)]
    return SecretBytes(b"".join(blocks)[:length])


class Person:
    """An identity with a BLS and an HPKE key."""

    def __init__(self, name: str) -> None:
        self.id = sha256(name.encode()).digest()
        self.bls = BlsPrivateKey.from_seed(stretched(name + " bls", 48))
        self.hpke = HpkePrivateKey.from_seed(stretched(name + " hpke", 96))


SENDER = Person("principal")
PEOPLE = [Person(f"fiduciary {number}") for number in range(24)]
KEYS = {person.id: person.bls.public_key for person in [SENDER, *PEOPLE]}
CONTEXT = statements.order_context(GID, b"v" * 32, SENDER.id, b"n" * 32, b"p" * 32)


def record_draft(plaintext: bytes = b"a record", recipients: int = 3) -> Draft:
    return seal_record(
        gid=GID,
        sender=SENDER.id,
        time_s=TIME_S,
        recipients=[RecordRecipient(person.id, person.hpke.public) for person in PEOPLE[:recipients]],
        plaintext=SecretBytes(plaintext),
    )


def record(plaintext: bytes = b"a record", recipients: int = 3) -> DecodedEnvelope:
    return decode(sign(record_draft(plaintext, recipients), GID, {SENDER.id: SENDER.bls}))


class Order:
    """A sealed order of ``count`` shares, any ``threshold`` of which open it."""

    def __init__(self, secret: bytes = b"the secret", threshold: int = 2, count: int = 3) -> None:
        self.threshold, self.count = threshold, count
        self.key = shamir.random_scalar()
        self.shares = shamir.split(self.key, threshold, count)
        self.infos = [
            statements.share_seal_info(
                CONTEXT, share.index, statements.share_commitment(CONTEXT, share.index, share.value.reveal())
            )
            for share in self.shares
        ]
        self.recipients = [
            ShareRecipient(person.id, person.hpke.public, info, share.value)
            for person, info, share in zip(PEOPLE[:count], self.infos, self.shares, strict=True)
        ]
        self.draft = seal_order(
            sender=SENDER.id,
            time_s=TIME_S,
            context=CONTEXT,
            recipients=self.recipients,
            key=self.key,
            secret=SecretBytes(secret),
        )
        self.block = sign(self.draft, GID, {SENDER.id: SENDER.bls})
        self.decoded = decode(self.block)


def signed_anew(header: envelope_pb2.EnvelopeHeader, body: bytes) -> DecodedEnvelope:
    """What a dishonest sender can do: any header and body, rightly signed."""
    return decode(sign(Draft(canonical.encode(header), body), GID, {SENDER.id: SENDER.bls}))


def header_of(decoded: DecodedEnvelope) -> envelope_pb2.EnvelopeHeader:
    """A copy, to be changed."""
    copy = envelope_pb2.EnvelopeHeader()
    copy.CopyFrom(decoded.header)
    return copy
