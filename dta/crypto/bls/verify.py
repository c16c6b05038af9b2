"""``python -m dta.crypto.bls.verify``: check any BLS signature on BLS12-381, of this network or another.

Prints ``valid`` (exit 0) or ``invalid: REASON`` (exit 1); a wrong use of the options exits with 2. Points are in
ZCash's compressed encoding. Everything here is public, so that it may stand on a command line.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Final

from abci_app.crypto import bls
from abci_app.crypto.curve import G1, G1_BYTES, G2, G2_BYTES, BadPoint

MIN_SIG: Final = "min-sig"
MIN_PK: Final = "min-pk"

_HEX: Final = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2})*)", re.ASCII)
_EXAMPLE: Final = """example, a round of drand's quicknet (its message is SHA-256 of the round, 8 bytes big-endian):
  python -m dta.crypto.bls.verify --scheme min-sig --dst BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_ \\
      --public-key 83cf... --message f652... --signature b446..."""


class Invalid(Exception):
    """The signature is not good: ``str`` says why."""


def from_hex(name: str, text: str) -> bytes:
    """The bytes of hexadecimal ``text``, with or without ``0x``. Raises :class:`Invalid`."""
    match = _HEX.fullmatch(text)
    if match is None:
        raise Invalid(f"the {name} is not hexadecimal with an even number of digits")
    return bytes.fromhex(match[1])


def check_point(name: str, group: type[G1] | type[G2], data: bytes) -> None:
    """Raises :class:`Invalid`, with the reason, unless ``data`` encodes a point of ``group`` but the identity."""
    if len(data) != group.BYTES:
        raise Invalid(f"the {name} has {len(data)} bytes, not the {group.BYTES} of a point of {group.__name__}")
    if data == group.identity().encode():
        raise Invalid(f"the {name} is the identity point")
    try:
        group.decode(data)
    except BadPoint:
        reason = f"the {name} is not the canonical encoding of a point of the subgroup of {group.__name__}"
        raise Invalid(reason) from None


def check(scheme: str, tag: bytes, public_key: bytes, message: bytes, signature: bytes) -> None:
    """Raises :class:`Invalid` unless ``signature`` over ``message`` is good under ``public_key`` and ``tag``.

    ``min-sig``: keys of 96 bytes in G2, signatures of 48 in G1; ``min-pk``: the other way round.
    """
    if scheme == MIN_SIG:
        check_point("public key", G2, public_key)
        check_point("signature", G1, signature)
        good = bls.verify_min_sig(public_key, message, signature, tag)
    else:
        check_point("public key", G1, public_key)
        check_point("signature", G2, signature)
        good = bls.verify(public_key, message, signature, tag)
    if not good:
        raise Invalid("the signature is not by this key over this message under this tag")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dta.crypto.bls.verify",
        description="Check a BLS signature on BLS12-381.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    sizes = f"min-sig: {G1_BYTES}-byte signatures, {G2_BYTES}-byte keys; min-pk: the other way round"
    parser.add_argument("--scheme", required=True, choices=(MIN_SIG, MIN_PK), help=sizes)
    parser.add_argument("--dst", required=True, metavar="TAG", help="the ciphersuite's domain separation tag")
    parser.add_argument("--public-key", required=True, metavar="HEX")
    parser.add_argument("--message", required=True, metavar="HEX", help='the bytes signed; "" for none')
    parser.add_argument("--signature", required=True, metavar="HEX")
    options = parser.parse_args(arguments)
    tag = os.fsencode(options.dst)
    if not tag:
        parser.error("--dst must not be empty")
    try:
        public_key = from_hex("public key", options.public_key)
        message = from_hex("message", options.message)
        check(options.scheme, tag, public_key, message, from_hex("signature", options.signature))
    except Invalid as reason:
        print(f"invalid: {reason}")
        return 1
    print("valid")
    return 0


if __name__ == "__main__":
    sys.exit(main())
