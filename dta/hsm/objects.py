"""A token's objects, as functions on an open session: finding a key by its label, making one, destroying it.

All raise python-pkcs11's errors as they come; :meth:`dta.hsm.module.TokenSession.run` translates them.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType, Mechanism

from dta.hsm import selftest
from dta.hsm.errors import AbsenceUnproved, KeyAmbiguous, KeyIncomplete, KeyMissing, LabelInvalid, TokenFailure
from dta.hsm.keystore import PRF_BYTES, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, checked_label

Kind = Literal["signing", "prf"]

REQUIRED_MECHANISMS = (
    Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
    Mechanism.EDDSA,
    Mechanism.GENERIC_SECRET_KEY_GEN,
    Mechanism.SHA256_HMAC,
)

_PASSING_LABEL = "passing"
_NOTHING = b"DTA-v1-keystore-self-test"

# PKCS#11 v3.0, section 2.3.5: the curve by its object identifier (RFC 8410) or by its name; modules take one or both.
_CURVE_PARAMETERS = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
_NEVER_LEAVES = {Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
_KEY_TYPES = {
    ObjectClass.PRIVATE_KEY: (KeyType.EC_EDWARDS,),
    ObjectClass.PUBLIC_KEY: (KeyType.EC_EDWARDS,),
    ObjectClass.SECRET_KEY: (KeyType.GENERIC_SECRET, KeyType.SHA256_HMAC),
}


@dataclass(frozen=True)
class Found:
    """The one key under a label: ``key`` signs or answers; ``public_key`` (32 bytes) is a signing key's."""

    kind: Kind
    key: Any
    public_key: bytes = b""


def search(session: Any, label: str, relied_on: str) -> Found | None:
    """The key under ``label``, or None. Raises KeyAmbiguous for two, KeyIncomplete for half a pair.

    None and half a pair are readings of absence, and count as :func:`prove_absence` says. Raises AbsenceUnproved.
    """
    found = _shown(session, label)
    if isinstance(found, Found):
        return found
    prove_absence(session, relied_on)
    if found is None:
        return None
    raise KeyIncomplete(f"of the signing key {label!r} only the {found} half is there", label=label)


def prove_absence(session: Any, relied_on: str) -> None:
    """Whatever this session was not shown is not in the token: it has just used a key that the token shows only to
    those who are logged in. That is the one under ``relied_on``; where that is empty, one made for the session alone.

    A session that lost its login finds nothing, without an error. Raises AbsenceUnproved; of python-pkcs11 what a use
    without a login raises.
    """
    if not relied_on:
        made = _make_secret(session, _PASSING_LABEL, store=False)
        answer(Found("prf", made), _NOTHING)
        made.destroy()
        return
    found = _shown(session, relied_on)
    if not isinstance(found, Found):
        raise AbsenceUnproved(f"the token does not show {relied_on!r}, which must be there", label=relied_on)
    if not found.key[Attribute.PRIVATE]:
        raise AbsenceUnproved(
            f"the token shows {relied_on!r} without a login too", label=relied_on,
            hint="this key was not made by dta: what it stands for is no proof. Replace the token",
        )  # fmt: skip
    answer(found, _NOTHING)


def _shown(session: Any, label: str) -> Found | str | None:
    """The key under ``label``; which half of it, where one is missing; None where nothing is shown.

    Alone it says nothing of what is not there.
    """
    items = _labelled(session, label)
    private, public, secret = ([item for item in items if item.object_class == name] for name in _KEY_TYPES)
    if max(len(private), len(public), len(secret)) > 1 or (secret and (private or public)):
        raise KeyAmbiguous(f"several keys carry the label {label!r}", label=label)
    for item in items:
        if not _ours(item):
            raise KeyAmbiguous(f"the label {label!r} is on a key of another type or use", label=label)
    if secret:
        return Found("prf", secret[0])
    if not private and not public:
        return None
    if not private or not public:
        return "public" if public else "private"
    return Found("signing", private[0], _raw_point(public[0], label))


def required(found: Found | None, label: str, kind: Kind) -> Found:
    """``found`` when it is there and of ``kind``. Raises KeyMissing, KeyAmbiguous."""
    if found is None:
        raise KeyMissing(f"there is no {kind} key {label!r} in the token", label=label)
    return of_kind(found, label, kind)


def of_kind(found: Found, label: str, kind: Kind) -> Found:
    """``found`` when it is of ``kind``. Raises KeyAmbiguous."""
    if found.kind != kind:
        raise KeyAmbiguous(f"the key {label!r} is a {found.kind} key, not a {kind} key", label=label)
    return found


def answer(found: Found, data: bytes) -> bytes:
    """The signature of a signing key (64 bytes), the HMAC of a PRF key (32 bytes). Raises TokenFailure."""
    signing = found.kind == "signing"
    output: bytes = found.key.sign(data, mechanism=Mechanism.EDDSA if signing else Mechanism.SHA256_HMAC)
    if len(output) != (SIGNATURE_BYTES if signing else PRF_BYTES):
        raise TokenFailure(f"the token answered {len(output)} bytes for a {found.kind} key", step="self-test")
    return output


def make(session: Any, label: str, kind: Kind, *, store: bool = True) -> list[Any]:
    """Makes a key, in the token or (``store=False``) for the session alone: its objects, the private one first."""
    return _make_pair(session, label, store) if kind == "signing" else [_make_secret(session, label, store)]


def destroy(session: Any, label: str) -> bool:
    """Destroys every key of ours under ``label`` that is shown, twins and halves too. False when there was none.

    Whether any is left, :func:`search` says.
    """
    doomed = [item for item in _labelled(session, label) if _ours(item)]
    # The public part last: a destruction that is cut short leaves nothing that works.
    for item in sorted(doomed, key=lambda item: item.object_class == ObjectClass.PUBLIC_KEY):
        item.destroy()
    return bool(doomed)


def labels(session: Any, relied_on: str) -> list[str]:
    """The labels of all keys that could be ours, sorted. Raises AbsenceUnproved: what is not listed is not there."""
    names = set()
    for object_class in _KEY_TYPES:
        for item in list(session.get_objects({Attribute.TOKEN: True, Attribute.CLASS: object_class})):
            try:
                names.add(checked_label(item[Attribute.LABEL]))
            except (LabelInvalid, PKCS11Error, UnicodeDecodeError):
                continue  # somebody else's object on a shared token
    prove_absence(session, relied_on)
    return sorted(names)


def extractable(session: Any, relied_on: str) -> list[str]:
    """The labels of keys that the token would hand out: imported or made by other means. Raises AbsenceUnproved."""
    names = set()
    for object_class in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY):
        for item in list(session.get_objects({Attribute.TOKEN: True, Attribute.CLASS: object_class})):
            if _ours(item) and (item[Attribute.EXTRACTABLE] or not item[Attribute.SENSITIVE]):
                names.add(str(item[Attribute.LABEL]))
    prove_absence(session, relied_on)
    return sorted(names)


def _labelled(session: Any, label: str) -> list[Any]:
    """The keys, ours or not, that are kept in the token under ``label``: one search, as a search reads every object."""
    items = list(session.get_objects({Attribute.TOKEN: True, Attribute.LABEL: label}))
    return [item for item in items if getattr(item, "object_class", None) in _KEY_TYPES]


def _ours(item: Any) -> bool:
    # python-pkcs11 gives `sign` to what carries CKA_SIGN.
    usable = item.object_class == ObjectClass.PUBLIC_KEY or hasattr(item, "sign")
    try:
        return usable and item.key_type in _KEY_TYPES[item.object_class]
    except ValueError:  # a vendor's key type that python-pkcs11 has no name for
        return False


def _make_pair(session: Any, label: str, store: bool) -> list[Any]:
    refusal: PKCS11Error | None = None
    for parameters in _CURVE_PARAMETERS:
        curve = session.create_domain_parameters(KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: parameters}, local=True)
        try:
            public, private = curve.generate_keypair(
                label=label,
                id=secrets.token_bytes(16),
                store=store,
                capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                private_template=_NEVER_LEAVES,
            )
        except PKCS11Error as error:
            refusal = error
            continue
        _prove(label, public, private)
        return [private, public]
    assert refusal is not None
    raise refusal


def _prove(label: str, public: Any, private: Any) -> None:
    """A key whose signatures do not verify must never be published."""
    found = Found("signing", private, _raw_point(public, label))
    message = secrets.token_bytes(32)
    try:
        if selftest.signature_is_good(found.public_key, message, answer(found, message)):
            return
    except PKCS11Error:
        with contextlib.suppress(PKCS11Error):
            _destroy_pair(public, private)
        raise
    _destroy_pair(public, private)
    raise TokenFailure("the token's EDDSA is not the Ed25519 of RFC 8032", step="self-test", label=label)


def _destroy_pair(public: Any, private: Any) -> None:
    private.destroy()
    public.destroy()


def _make_secret(session: Any, label: str, store: bool) -> Any:
    return session.generate_key(
        KeyType.GENERIC_SECRET,
        PRF_BYTES * 8,
        label=label,
        id=secrets.token_bytes(16),
        store=store,
        capabilities=MechanismFlag.SIGN,
        mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
        template=_NEVER_LEAVES,
    )


def _raw_point(public: Any, label: str) -> bytes:
    """The 32 bytes of RFC 8032: modules give them bare, in a DER OCTET STRING or in a DER BIT STRING."""
    point: bytes = public[Attribute.EC_POINT]
    for wrapping in (b"", b"\x04\x20", b"\x03\x21\x00"):
        if len(point) == len(wrapping) + PUBLIC_KEY_BYTES and point.startswith(wrapping):
            return point[len(wrapping) :]
    raise KeyAmbiguous(f"the public key {label!r} is not an Ed25519 point", label=label)
