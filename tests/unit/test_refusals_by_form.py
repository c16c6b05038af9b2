"""What a message refuses of itself, without state: one fault at a time in a sample that is taken whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message

from abci_app.codes import Code
from abci_app.limits import MAX_ACTION_BYTES, MAX_SEALED_ANSWER_BYTES
from abci_app.messages.registry import SPECS
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2, governance_pb2, tx_pb2
from tests.support.refusals import Because, raised, refused
from tests.support.samples import samples

M = TypeVar("M", bound=Message)
SAMPLES = samples()


def sample(kind: type[M], having: str = "") -> M:
    """A copy of one with this field set."""
    found = next(one for one in SAMPLES if isinstance(one, kind) and (not having or getattr(one, having)))
    made = kind()
    made.CopyFrom(found)
    return made


def longer(part: Any, field: str) -> None:
    """A field, or each item of a list, a byte longer."""
    value = getattr(part, field)
    if isinstance(value, bytes):
        setattr(part, field, value + b"\0")
    else:
        value[0] += b"\0"


def dealing(field: str) -> authority_pb2.DealShares:
    made = sample(authority_pb2.DealShares)
    longer(made.dealing, field)
    return made


def changed(message: M, **values: Any) -> M:
    for name, value in values.items():
        message.ClearField(name)
        if isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def action(**powers: int) -> governance_pb2.Propose:
    made = next(
        one for one in SAMPLES if isinstance(one, governance_pb2.Propose) and one.action.HasField("admit_fiduciary")
    )
    message = governance_pb2.Propose()
    message.CopyFrom(made)
    message.action.admit_fiduciary.power = powers["power"]
    return message


def too_large() -> governance_pb2.Propose:
    made = sample(governance_pb2.Propose)
    made.action.create_authority.members.extend(bytes([n // 256, n % 256]) * 16 for n in range(MAX_ACTION_BYTES // 32))
    return made


def both_answers() -> tx_pb2.FulfilSecret:
    made = next(one for one in SAMPLES if isinstance(one, tx_pb2.FulfilSecret) and one.HasField("partial"))
    message = tx_pb2.FulfilSecret(sealed=b"sealed")
    message.MergeFrom(made)
    return message


def unblinded(field: str) -> extraction_pb2.SubmitUnblinded:
    made = sample(extraction_pb2.SubmitUnblinded)
    longer(made.partials[1], field)
    return made


def blinded(field: str) -> extraction_pb2.SubmitPartials:
    made = sample(extraction_pb2.SubmitPartials)
    longer(made.partials[1], field)
    return made


CASES: dict[str, tuple[Because, Callable[[], Message]]] = {
    "commitments": (Because(Code.DEALING_MALFORMED, "commitments"), lambda: dealing("commitments")),
    "shares": (Because(Code.DEALING_MALFORMED, "shares"), lambda: dealing("shares")),
    "ephemeral": (Because(Code.DEALING_MALFORMED, "ephemeral"), lambda: dealing("ephemeral")),
    "constant in G2": (Because(Code.DEALING_MALFORMED, "ephemeral"), lambda: dealing("constant_g2")),
    "proof of a dealing": (Because(Code.DEALING_MALFORMED, "proof"), lambda: dealing("proof")),
    "no partial": (
        Because(Code.BAD_ITEMS, "partials"), lambda: changed(sample(extraction_pb2.SubmitPartials), partials=[]),
    ),
    "no share": (
        Because(Code.BAD_ITEMS, "unblinded"), lambda: changed(sample(extraction_pb2.SubmitUnblinded), partials=[]),
    ),
    "c1": (Because(Code.BAD_PARTIAL, "blinded-form"), lambda: blinded("c1")),
    "c3": (Because(Code.BAD_PARTIAL, "blinded-form"), lambda: blinded("c3")),
    "proof of a partial": (Because(Code.BAD_PARTIAL, "blinded-form"), lambda: blinded("proof")),
    "share": (Because(Code.BAD_PARTIAL, "unblinded-form"), lambda: unblinded("share")),
    "proof of a share": (Because(Code.BAD_PARTIAL, "unblinded-form"), lambda: unblinded("proof")),
    "no power": (Because(Code.FIELD_INVALID, "power"), lambda: action(power=0)),
    "too much power": (Because(Code.FIELD_INVALID, "power"), lambda: action(power=1_000_001)),
    "a large action": (Because(Code.FIELD_INVALID, "action-size"), too_large),
    "a share and a partial": (Because(Code.FIELD_INVALID, "sealed-or-partial"), both_answers),
    "a large answer": (
        Because(Code.FIELD_INVALID, "sealed-size"),
        lambda: changed(sample(tx_pb2.FulfilSecret, "sealed"), sealed=bytes(MAX_SEALED_ANSWER_BYTES + 1)),
    ),
    "a fiduciary twice": (
        Because(Code.FIELD_INVALID, "order-fiduciaries"),
        lambda: changed(sample(tx_pb2.PlaceOrder, "vault"), fiduciaries=[bytes(32)] * 2),
    ),
    "no fiduciary": (
        Because(Code.FIELD_INVALID, "order-fiduciaries"),
        lambda: changed(sample(tx_pb2.PlaceOrder, "vault"), fiduciaries=[]),
    ),
    "a custodian in capitals": (
        Because(Code.UNKNOWN_CUSTODIAN, "order-name"), lambda: changed(sample(tx_pb2.PlaceOrder), custodian="HSM"),
    ),
    "half an authorisation": (
        Because(Code.AUTHORISATION_INVALID, "length"),
        lambda: changed(sample(tx_pb2.RequestSecret, "authorisation"), authorisation=bytes(63)),
    ),
    "keys with a CID of nothing": (
        Because(Code.BAD_CID, "content"), lambda: changed(sample(tx_pb2.RequestSecret, "keys_cid"), keys_cid="bafy"),
    ),
    "a transport key and keys": (
        Because(Code.BAD_REQUEST_KEYS, "both"),
        lambda: changed(sample(tx_pb2.RequestSecret, "transport_key"), key_digests=[bytes(32)]),
    ),
    "possession of nothing": (
        Because(Code.BAD_REQUEST_KEYS, "possession"),
        lambda: changed(sample(tx_pb2.RequestSecret, "key_digests"), possession=b"some"),
    ),
}  # fmt: skip


def validate(message: Message) -> None:
    next(spec for spec in SPECS.values() if isinstance(message, spec.message)).validate(message)


@pytest.mark.parametrize("name", CASES)
def test_a_message_of_a_wrong_form_is_refused_by_the_part(name: str) -> None:
    expected, make = CASES[name]
    refused(lambda: validate(make()), *expected)


def test_what_is_broken_here_is_taken_whole() -> None:
    assert [raised(lambda one=one: validate(one)) for one in SAMPLES] == [None] * len(SAMPLES)
