"""Known answers that the pinned libraries must give before a node takes part.

A library that is built, replaced or miscompiled into deciding otherwise would fork the chain: better not to start.
Sources: Ed25519 RFC 8032 section 7.1 (test 2); SHA-256 FIPS 180-4 ("abc"); BLS the signature over 32 zero bytes of
Ethereum's consensus test suite, round 1000 of drand's quicknet and RFC 9380 J.9.1 ("abc"); the HPKE message was sealed
once by us to the key of the seed 00 01 ... 5f.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from abci_app import canonical
from abci_app.cid import cid_of, digest_of
from abci_app.crypto import bls, ed25519, hpke, transcript
from abci_app.crypto.curve import G1, G2, ORDER, BadPoint, Point
from abci_app.pb.dta.v1.tx_pb2 import SignedTx

_ED25519_KEY: Final = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
_ED25519_MESSAGE: Final = b"\x72"
_ED25519_R: Final = bytes.fromhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
_ED25519_S: Final = bytes.fromhex("085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
_ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493

_BLS_KEY: Final = bytes.fromhex(
    "a491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a"
)
_BLS_SIGNATURE: Final = bytes.fromhex(
    "b6ed936746e01f8ecf281f020953fbf1f01debd5657c4a383940b020b26507f6076334f91e2366c96e9ab279fb515809"
    "0352ea1c5b0c9274504f4f0e7053af24802e51e4568d164fe986834f41e55c8e850ce1f98458c0cfc9ab380b55285a55"
)

_RFC_9380_TAG: Final = b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
_RFC_9380_ABC: Final = bytes.fromhex(
    "83567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903"
)
_BEACON_KEY: Final = bytes.fromhex(
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
)
_BEACON_MESSAGE: Final = sha256((1000).to_bytes(8, "big")).digest()
_BEACON_SIGNATURE: Final = bytes.fromhex(
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
)
_CHALLENGE: Final = 0x01F2D3F1D88D101DDF0DFAE9A6377F519A28CD98D10DAB6CC3C8A96B103A8607

_HPKE_SEED: Final = bytes(range(64))
_HPKE_X25519: Final = bytes(range(64, 96))
_HPKE_INFO: Final = b"DTA-v1-selftest"
_HPKE_PLAINTEXT: Final = b"DTA self-test"
_HPKE_SEALED: Final = b64decode(
    "irjhJm4LGnvmEqRrdM+WvA5U7NKVPPxkV7US17Vu+oKWCa7d5mZBGW7aIk7QMQ9qpiy9iwdY5uVoqJwX/cwt2OLng2cq38bEPHXEGvsg"
    "VjG4dErza5U6f9v/bfvpR7B+JYgcMhOLmIf6EbwyOlVWKmR0rVJQNKwVY/MXpuAuEk9QTYrs4LuNS5O1dg8qdFTNaC6Niv/TaevAqSQG"
    "IOrowsmRhqaXB7EbQIa2RlJcaJwiROw1TrWXi2AwIo+hvaTs1buQblIoMBPiZD/AFU0NrhSBWIKZkDtoYtgR8iT6Qj2mlbvyVFulBD6r"
    "zliuEdniDq2hYvvz40T2/oyuGT+Ky+jZu0Ry86bvtO3E+ERIFadC6R2/9RGfiqxSSYH6Grg3N2k+Ox4nG0pJ7wl0WB8W2uDsJ+opsi9Z"
    "a3RJ1r94e2/Cq1+mg/xyqHNRRSopKdO8yGRE30LX0qbRAuW/HHhCugxtPWYappNuWBsGg5tpxA5g0EX191BgNxN9fTPneLeJ/8Ua271S"
    "xIj8ZP5QGGtsHnOt3Q2cUMeFZNKd/pHIxNwR+X+N0LUetx4iKH3ryzyMDLweN6+YvXMU1H82FMZTNLW4v5XUEyImIq2DmHGdGTDqintO"
    "lPhrnptMKGqQPhsMqtcC+LbwT1wxY27c4rgk9zFVBOfkM1cN1T2wl/+Fu+mGrzLMajMDnxfw6r9TpVY+/JSVgAQ6roSUdxN0FJz9eEMU"
    "eohxRYwSbfYTTgQukRlUgmj/tm9rZq7cMvS2DRVwacgWaDRg/Zkz5WgtuVBJHTJ44T/ZRlsKSv5ZOWWm44Eg0ntRA1EfIAX73ZCl02qe"
    "jwFGAhgclKN9HqdjWD4RDusZcpUo2rSheB4INeM0hKS3NxwThJIujLIxdalcSt3RCIt+90O6+DGjkHHINf4WIp2HRtUE3E9bsFa6BFWt"
    "7PysauotXtnio2nsqvtaLTMZ+IyP2PbhJch3U9H6z3vrJwP55+HYdZNcU0uRxdQCSNo+8dwUQwh7MwLBdeN1eDL3PD+j9AQhFjUTkNMy"
    "ForC5f9iCnBMZwWrKo2GJAee2H2WZe+FVmFHbTs4ASFz47GzJpexeNbXrQbc9mA5QMm/3jwJd/4PRUlozP/dFA133omv7knrdTOhY14E"
    "8S3i6+F1891rF9Xms/TsU6bzDynfahMZNGwqIYz9/uaHm8sicfGaWmiuZxPQ9TzlqV71ES0UBDGFP0/52rFnaDdc+yMLJvTap8CxRR4u"
    "dWNhfylr40OTRCRjGb3p954l1AGqtWM4c0W3Rx8o3smfJqwUeEuSwBlFbLclnrgDPbBIhyJsg4rmf/F/uqi7WNF6t1XHZJGfw+2XVbTh"
    "EZstvHlrxjp6oDlKc+ki+/cwwBYm8FzkN/3W/aSJE0kn+J6td6LTP2m8leHhlMfcuTTj56Dzz10dQe+Sibbx3ygvwniQZ5y0hI2b1DUQ"
    "/zZR31jlzc1nv2jxsu2gOVAAAFNHYi5qcwXmAJ13gyt8NGhCb5h1rfzJQgvoN+q4w6XNAATUFRBX"
)


class SelfTestFailed(Exception):
    """A pinned library does not give a known answer. ``library`` and ``case`` name which: the node must not start."""

    def __init__(self, library: str, case: str) -> None:
        super().__init__(library, case)
        self.library = library
        self.case = case

    def __str__(self) -> str:
        return f"self-test: {self.library} fails {self.case}"


def _sha256() -> bool:
    return sha256(b"abc").hexdigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _ed25519_accepts() -> bool:
    return ed25519.verify(_ED25519_KEY, _ED25519_MESSAGE, _ED25519_R + _ED25519_S)


def _ed25519_refuses_a_shifted_s() -> bool:
    shifted = int.from_bytes(_ED25519_S, "little") + _ED25519_ORDER
    return not ed25519.verify(_ED25519_KEY, _ED25519_MESSAGE, _ED25519_R + shifted.to_bytes(32, "little"))


def _ed25519_refuses_a_small_key() -> bool:
    """Key, R = the identity and S = 0 satisfy the equation for every message."""
    identity = b"\x01" + bytes(31)
    return not ed25519.verify(identity, b"", identity + bytes(32)) and not ed25519.valid_public_key(identity)


def _bls_accepts() -> bool:
    return bls.verify(_BLS_KEY, bytes(32), _BLS_SIGNATURE)


def _bls_refuses_another_message() -> bool:
    return not bls.verify(_BLS_KEY, bytes(31), _BLS_SIGNATURE)


def _bls_refuses_a_point_outside_the_subgroup() -> bool:
    return not bls.valid_public_key(b"\x80" + bytes(46) + b"\x04")


def _curve_hashes_to_g1() -> bool:
    return G1.hash(b"abc", _RFC_9380_TAG).encode() == _RFC_9380_ABC


def _curve_accepts_a_beacon() -> bool:
    return bls.verify_min_sig(_BEACON_KEY, _BEACON_MESSAGE, _BEACON_SIGNATURE)


def _curve_refuses_another_beacon() -> bool:
    return not bls.verify_min_sig(_BEACON_KEY, bytes(32), _BEACON_SIGNATURE)


def _group_adds_and_multiplies(group: type[Point]) -> bool:
    """(r - 1) times a point is its opposite; a sum is the identity, which is encoded and never decoded."""
    g = group.generator()
    if g * (ORDER - 1) != -g or not (g * 5 - (g + g + g * 3)).is_identity:
        return False
    try:
        group.decode((g - g).encode())
    except BadPoint:
        return True
    return False


def _curve_adds_and_multiplies() -> bool:
    return _group_adds_and_multiplies(G1) and _group_adds_and_multiplies(G2)


def _challenge() -> bool:
    return transcript.challenge("DTA-v1-selftest", b"a", b"") == _CHALLENGE


def _protobuf_takes_the_canonical() -> bool:
    message = canonical.decode(SignedTx, bytes.fromhex("0a0161120162"), 6)
    return message == SignedTx(body=b"a", signer=b"b")


def _protobuf_refuses_the_rest() -> bool:
    """Fields reordered, a length as an overlong varint, a field twice, a default written out, an unknown field."""
    others = ("1201620a0161", "0a810061120162", "0a01610a0161120162", "0a01611201621a00", "0a0161120162a00601")
    for other in others:
        try:
            canonical.decode(SignedTx, bytes.fromhex(other), 64)
        except canonical.NotCanonical:
            continue
        return False
    return True


def _cid() -> bool:
    name = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
    return cid_of(b"hello") == name and digest_of(name) == sha256(b"hello").digest()


def _hpke_opens() -> bool:
    try:
        return hpke.open_sealed(_HPKE_SEED, _HPKE_X25519, _HPKE_INFO, _HPKE_SEALED) == _HPKE_PLAINTEXT
    except hpke.CannotOpen:
        return False


def _hpke_refuses_other_info() -> bool:
    try:
        hpke.open_sealed(_HPKE_SEED, _HPKE_X25519, b"", _HPKE_SEALED)
    except hpke.CannotOpen:
        return True
    return False


_CASES: Final[tuple[tuple[str, str, Callable[[], bool]], ...]] = (
    ("hashlib", "SHA-256 of abc", _sha256),
    ("pynacl", "RFC 8032 test 2", _ed25519_accepts),
    ("pynacl", "S not below the order", _ed25519_refuses_a_shifted_s),
    ("pynacl", "key of small order", _ed25519_refuses_a_small_key),
    ("pyblst", "known signature", _bls_accepts),
    ("pyblst", "another message", _bls_refuses_another_message),
    ("pyblst", "key outside the subgroup", _bls_refuses_a_point_outside_the_subgroup),
    ("pyblst", "hashing to G1", _curve_hashes_to_g1),
    ("pyblst", "known beacon", _curve_accepts_a_beacon),
    ("pyblst", "another beacon", _curve_refuses_another_beacon),
    ("pyblst", "arithmetic of G1 and G2", _curve_adds_and_multiplies),
    ("hashlib", "challenge of a proof", _challenge),
    ("protobuf", "canonical encoding", _protobuf_takes_the_canonical),
    ("protobuf", "other encodings", _protobuf_refuses_the_rest),
    ("base64", "CID of hello", _cid),
    ("cryptography", "HPKE opening", _hpke_opens),
    ("cryptography", "HPKE with other info", _hpke_refuses_other_info),
)


def run() -> None:
    """Run every case (a few milliseconds). Raises :class:`SelfTestFailed` at the first that fails or raises."""
    for library, case, holds in _CASES:
        try:
            held = holds()
        except (ValueError, TypeError) as error:
            raise SelfTestFailed(library, case) from error
        if not held:
            raise SelfTestFailed(library, case)
