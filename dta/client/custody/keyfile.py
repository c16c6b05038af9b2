"""A request's one-time keys, kept from asking until receipt: sealed under the identity's root, erased afterwards.

``requests/<request id>.json``, mode 0600: what the ledger will see in clear, and the private keys sealed with
ChaCha20-Poly1305 under a key derived from the root PRF key for this request alone (dta/hsm/derive.py). Erasing
deletes the file; docs/spec/threats.md says what a disk may still hold.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from abci_app import canonical
from abci_app.crypto import scalars
from abci_app.crypto.curve import SCALAR_BYTES
from abci_app.hashing import tagged
from abci_app.limits import ID_BYTES
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.errors import KeystoreFailure, NotFound, UsageError
from dta.base.home import make_directory, read_file, write_file
from dta.base.secret import SecretBytes
from dta.crypto.hpke import SEED_BYTES, HpkePrivateKey
from dta.crypto.scalar import SecretScalar
from dta.hsm import labels
from dta.hsm.derive import derive
from dta.hsm.keystore import Keystore

PURPOSE: Final = "request-keys"
_MAX_BYTES: Final = 262_144
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_REMEMBERED: Final = 131_072


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request of this home. ``keys``: fiduciary id -> private key. ``message`` is what goes on the ledger.

    ``transport``: the x of its transport key, instead of keys, for a request under an authority key.
    """

    request: bytes
    message: tx_pb2.RequestSecret
    keys: dict[bytes, HpkePrivateKey]
    transport: SecretScalar | None = None


def _path(directory: Path, request: bytes) -> Path:
    return directory / "requests" / f"{request.hex()}.json"


def _cipher(root: Keystore, gid: bytes, request: bytes) -> ChaCha20Poly1305:
    key = derive(root, labels.root(), PURPOSE, gid + request, 32)
    return ChaCha20Poly1305(key.reveal())


def _bound(gid: bytes, request: bytes, message: bytes) -> bytes:
    return tagged("DTA-v1-request-file", gid, request, message)


def save(directory: Path, root: Keystore, gid: bytes, opened: OpenRequest) -> None:
    """Writes the file, durably: before anything of the request is uploaded or sent."""
    message = opened.message.SerializeToString(deterministic=True)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    plain = b"".join(fiduciary + key.seed.reveal() for fiduciary, key in opened.keys.items())
    if opened.transport is not None:
        plain = scalars.encode(opened.transport.reveal())
    sealed = nonce + _cipher(root, gid, opened.request).encrypt(nonce, plain, _bound(gid, opened.request, message))
    content = {
        "request": opened.request.hex(),
        "message": b64encode(message).decode("ascii"),
        "sealed_keys": b64encode(sealed).decode("ascii"),
    }
    make_directory(directory / "requests")
    write_file(_path(directory, opened.request), json.dumps(content, indent=1).encode())


def load(directory: Path, root: Keystore, gid: bytes, request: bytes) -> OpenRequest:
    """The request with its keys. Raises NotFound, UsageError (not such a file), KeystoreFailure (another root)."""
    path = _path(directory, request)
    if not path.exists():
        raise NotFound(
            f"this home has no keys for the request {request.hex()}",
            hint="they are made by `dta order request` and erased on receipt; make a new request",
        )
    message_bytes, sealed = _read(path)
    cipher = _cipher(root, gid, request)
    try:
        plain = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(gid, request, message_bytes))
    except InvalidTag:
        raise KeystoreFailure(
            f"the keys of the request {request.hex()} do not open with this identity's root key",
            hint="the file is damaged, or belongs to another identity of this home",
        ) from None
    message = tx_pb2.RequestSecret.FromString(message_bytes)
    if message.transport_key:
        return OpenRequest(request, message, {}, SecretScalar(scalars.decode(plain)))
    keys = {}
    for start in range(0, len(plain), 32 + SEED_BYTES):
        entry = plain[start : start + 32 + SEED_BYTES]
        keys[entry[:32]] = HpkePrivateKey.from_seed(SecretBytes(entry[32:]))
    return OpenRequest(request, message, keys)


def _read(path: Path) -> tuple[bytes, bytes]:
    try:
        value = json.loads(read_file(path, "a request's keys", _MAX_BYTES))
        message = b64decode(value["message"], validate=True)
        canonical.decode(tx_pb2.RequestSecret, message, _MAX_BYTES)
        return message, b64decode(value["sealed_keys"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"{path} is not the file of a request's keys") from None


def keep_only(directory: Path, root: Keystore, gid: bytes, opened: OpenRequest, fiduciaries: list[bytes]) -> None:
    """Erases every key but those of ``fiduciaries``; the whole file where none is left."""
    left = {fiduciary: key for fiduciary, key in opened.keys.items() if fiduciary in fiduciaries}
    if left:
        save(directory, root, gid, replace(opened, keys=left))
    else:
        _path(directory, opened.request).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """Of whose request this home has keys, and of which order. ``is_whole``: it has every key, to receive by.

    After receipt only the keys of bad answers are left, for their reports: the length of what is sealed says how many.
    ``written_ns``: when the file was.
    """

    beneficiary: bytes
    order: bytes
    is_whole: bool
    written_ns: int


def kept(directory: Path, request: bytes) -> Kept | None:
    """What this home has of one request; None where it has no keys. Opens no keystore, and no other request's file.

    A file that this process has read, and that is as it was, is not opened again.
    """
    path = _path(directory, request)
    try:
        seen = path.stat()
    except FileNotFoundError:
        return None
    return _kept(path, seen.st_ino, seen.st_mtime_ns, seen.st_size)


@lru_cache(maxsize=_REMEMBERED)
def _kept(path: Path, _inode: int, written_ns: int, _size: int) -> Kept:
    content, sealed = _read(path)
    message = tx_pb2.RequestSecret.FromString(content)
    whole = len(message.key_digests) * (ID_BYTES + SEED_BYTES) or SCALAR_BYTES
    return Kept(message.beneficiary, message.order, len(sealed) == _NONCE_BYTES + whole + _TAG_BYTES, written_ns)


def is_of(directory: Path, beneficiary: bytes, request: bytes) -> bool:
    """Whether this home has keys of that request, and it is that identity's."""
    found = kept(directory, request)
    return found is not None and found.beneficiary == beneficiary


def asked_by(directory: Path, beneficiary: bytes, begins: str = "") -> dict[bytes, bytes]:
    """The requests of one identity whose keys this home still has: request id -> order id. Opens no keystore.

    ``begins``: the first digits of their ids; no other's file is opened.
    """
    return {request: one.order for request, one in _of(directory, beneficiary, begins)}


def to_receive(directory: Path, beneficiary: bytes, order: bytes | None = None) -> list[bytes]:
    """The requests of one identity (of that order) that this home can still receive by. Sorted; opens no keystore."""
    every = _of(directory, beneficiary, "")
    return [request for request, one in every if one.is_whole and order in (None, one.order)]


def held(directory: Path, beneficiary: bytes) -> dict[bytes, bytes]:
    """The requests of one identity that this home can still receive by: request id -> order id. Opens no keystore."""
    return {request: one.order for request, one in _of(directory, beneficiary, "") if one.is_whole}


def newest(directory: Path, beneficiary: bytes, order: bytes) -> list[bytes]:
    """The requests of one identity of that order that this home can still receive by, the newest first."""
    every = [one for one in _of(directory, beneficiary, "") if one[1].is_whole and one[1].order == order]
    return [request for request, _ in sorted(every, key=lambda one: (-one[1].written_ns, one[0]))]


def erase(directory: Path, beneficiary: bytes, request: bytes) -> None:
    """Erases all keys of one identity's request, which no answer is for."""
    if is_of(directory, beneficiary, request):
        _path(directory, request).unlink(missing_ok=True)


def _of(directory: Path, beneficiary: bytes, begins: str) -> Iterator[tuple[bytes, Kept]]:
    digits = begins.strip().lower()
    for request in pending(directory):
        if request.hex().startswith(digits):
            found = kept(directory, request)
            if found is not None and found.beneficiary == beneficiary:
                yield request, found


def pending(directory: Path) -> list[bytes]:
    """The ids of the requests whose keys this home still has, sorted."""
    return sorted(bytes.fromhex(path.stem) for path in (directory / "requests").glob("*.json") if len(path.stem) == 64)


def authorised(opened: OpenRequest, authorisation: bytes) -> OpenRequest:
    """The same request with the principal's signature (64 bytes) in it."""
    message = tx_pb2.RequestSecret()
    message.CopyFrom(opened.message)
    message.authorisation = authorisation
    return replace(opened, message=message)
