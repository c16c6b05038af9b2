"""The parts of the doctor's walk that every back end shares: are the node's keys there, and do they answer rightly?"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from abci_app.hashing import tagged
from dta.hsm import labels
from dta.hsm.errors import KeyMissing, KeystoreError, TokenFailure
from dta.hsm.keystore import LONGEST_MESSAGE_BYTES, LONGEST_PRF_INPUT_BYTES, PRF_BYTES, CheckStep, Keystore

MIN_FREE_BYTES = 1 << 20
_TAG = "DTA-v1-keystore-self-test"


def failed(name: str, error: KeystoreError) -> CheckStep:
    """The step that ``error`` makes of ``name``."""
    return CheckStep(name, "failure", str(error), error.hint)


def check_keys(store: Keystore) -> CheckStep:
    """Which keys are there, and whether the node's two are among them."""
    try:
        present = store.labels()
    except KeystoreError as error:
        return failed("keys", error)
    absent = [label for label in (labels.node_key(), labels.root()) if label not in present]
    detail = f"{len(present)} keys"
    if not absent:
        return CheckStep("keys", "ok", f"{detail}, {labels.node_key()} and {labels.root()} among them")
    return CheckStep(
        "keys",
        "warning",
        f"{detail}, but no {' and no '.join(absent)}",
        "`dta start` makes them on a new node; on a node that ran before this is another token or an older file",
    )


def check_free_space(directory: Path) -> CheckStep:
    """Whether the file system has room to write the store once more."""
    figures = os.statvfs(directory)
    free_bytes = figures.f_bavail * figures.f_frsize
    if free_bytes < MIN_FREE_BYTES:
        return CheckStep("capacity", "failure", f"{free_bytes} bytes free on disk", "make room on the disk")
    return CheckStep("capacity", "ok", f"{free_bytes >> 20} MiB free on disk")


def check_answers(store: Keystore) -> list[CheckStep]:
    """Uses the node's own two keys, where they are: signs a meaningless statement and checks it, asks the PRF twice."""
    steps: list[CheckStep] = []
    try:
        public_key = store.signing_public_key(labels.node_key())
        if public_key is not None:
            steps.append(_check_signature(store, public_key))
        if store.has_prf_key(labels.root()):
            steps.append(_check_prf(store))
    except KeystoreError as error:
        steps.append(failed("self-test", error))
    return steps


def check_limits(store: Keystore) -> CheckStep:
    """Makes a key of each kind under the longest label, has it answer the longest message, and destroys it."""
    try:
        for left_over in (label for label in store.labels() if label.startswith(labels.TRIAL)):
            store.destroy(left_over)  # of a doctor that was interrupted
        unique = secrets.token_hex(16)
        return _use_at_the_limits(store, labels.trial(f"5{unique}"), labels.trial(f"f{unique}"))
    except KeystoreError as error:
        advice = f"a token must bear what docs/howto/hsm.md lists; this one does not ({error.hint})"
        return CheckStep("limits", "failure", str(error), advice)


def _use_at_the_limits(store: Keystore, signing: str, prf: str) -> CheckStep:
    message = tagged(_TAG, b"").ljust(LONGEST_MESSAGE_BYTES, b"\0")
    data = message[:LONGEST_PRF_INPUT_BYTES]
    try:
        public_key = store.ensure_signing_key(signing)
        is_good = signature_is_good(public_key, message, store.sign(signing, message))
        store.ensure_prf_key(prf)
        is_good = is_good and store.prf(prf, data) == store.prf(prf, data) != store.prf(prf, data[:-1])
    finally:
        gone = [store.destroy(label) for label in (signing, prf)]
    if is_good and all(gone):
        return CheckStep(
            "limits", "ok",
            f"labels of {labels.LONGEST_CHARS} characters, signatures of {LONGEST_MESSAGE_BYTES} bytes, "
            f"PRF of {LONGEST_PRF_INPUT_BYTES}",
        )  # fmt: skip
    return CheckStep("limits", "failure", "a key under a long label answers wrongly", "do not use this token")


def require_node_keys(store: Keystore) -> None:
    """Uses both of a node's own keys. Raises KeyMissing, TokenFailure for a wrong answer, and what using them raises.

    That a key is shown says little: a public one is shown without a login, and a session may be stuck.
    """
    public_key = store.signing_public_key(labels.node_key())
    if public_key is None:
        raise KeyMissing(f"the keystore has no {labels.node_key()}", label=labels.node_key())
    if not store.has_prf_key(labels.root()):
        raise KeyMissing(f"the keystore has no {labels.root()}", label=labels.root())
    for step in (_check_signature(store, public_key), _check_prf(store)):
        if step.status != "ok":
            raise TokenFailure(step.detail, step="self-test", hint=step.advice)


def signature_is_good(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is Ed25519 over ``message`` by the 32-byte ``public_key``."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _check_signature(store: Keystore, public_key: bytes) -> CheckStep:
    # Under a tag that no verifier accepts, so that the signature is good for nothing else.
    message = tagged(_TAG, secrets.token_bytes(32))
    if signature_is_good(public_key, message, store.sign(labels.node_key(), message)):
        return CheckStep("signs", "ok", f"{labels.node_key()} signs, and its public key agrees")
    return CheckStep(
        "signs",
        "failure",
        f"what {labels.node_key()} signs does not verify under its public key",
        "the public and private objects do not belong together, or the token's EDDSA is not RFC 8032's Ed25519",
    )


def _check_prf(store: Keystore) -> CheckStep:
    data = tagged(_TAG, secrets.token_bytes(32))
    first, again = store.prf(labels.root(), data), store.prf(labels.root(), data)
    other = store.prf(labels.root(), data + b"\0")
    if len(first) == PRF_BYTES and first == again and first != other:
        return CheckStep("PRF", "ok", f"{labels.root()} answers the same twice")
    return CheckStep("PRF", "failure", f"{labels.root()} does not answer as HMAC-SHA256 would", "do not use this token")
