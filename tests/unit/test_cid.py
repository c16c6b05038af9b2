"""One block, one name: every other form of a CID is refused."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

import pytest

from abci_app.cid import BadCid, cid_of, cid_of_digest, digest_of, is_cid

NAME = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"


def base32(raw: bytes) -> str:
    return "b" + b32encode(raw).decode().rstrip("=").lower()


def test_the_published_cid_of_hello_is_ours() -> None:
    assert cid_of(b"hello") == NAME
    assert digest_of(NAME) == sha256(b"hello").digest()
    assert is_cid(NAME)


def test_names_and_digests_are_each_others_inverse() -> None:
    for number in range(200):
        digest = sha256(bytes([number])).digest()
        assert digest_of(cid_of_digest(digest)) == digest
        assert len(cid_of_digest(digest)) == 59


def test_the_two_spare_bits_must_be_zero() -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    last = alphabet.index(NAME[-1])
    assert last % 4 == 0
    for spare in (1, 2, 3):
        assert not is_cid(NAME[:-1] + alphabet[last + spare])


DIGEST = sha256(b"hello").digest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        NAME[:-1],
        NAME + "a",
        NAME + "=",
        NAME + "\n",
        " " + NAME[:-1],
        NAME.upper(),
        "B" + NAME[1:].upper(),
        NAME[:20] + NAME[20].upper() + NAME[21:],
        "z" + NAME[1:],
        NAME[:10] + "0" + NAME[11:],
        NAME[:10] + "=" + NAME[11:],
        NAME[:10] + "é" + NAME[11:],
        NAME[:10] + "ı" + NAME[11:],
        NAME[:10] + "\0" + NAME[11:],
        "QmWATWQ7fVPP2EFGu71UkfnqhYXDYH566qy47CnJDgvs8u",
        base32(bytes.fromhex("01701220") + DIGEST),
        base32(bytes.fromhex("00551220") + DIGEST),
        base32(bytes.fromhex("01551320") + DIGEST),
        base32(bytes.fromhex("0155121f") + DIGEST),
        base32(bytes.fromhex("01551220") + DIGEST[:-1]),
        base32(bytes.fromhex("01551220") + DIGEST + b"\0"),
        "f" + (bytes.fromhex("01551220") + DIGEST).hex(),
    ],
)
def test_any_other_form_is_refused(text: str) -> None:
    assert not is_cid(text)
    with pytest.raises(BadCid) as caught:
        digest_of(text)
    assert str(caught.value).isascii()


def test_only_32_bytes_are_a_digest() -> None:
    for length in (0, 31, 33):
        with pytest.raises(ValueError, match="32"):
            cid_of_digest(bytes(length))
