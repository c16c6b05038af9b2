"""An identity's life on the ledger: registered, rotated, suspended, revoked (docs/spec/identities.md).

Each of these may be run again after it was cut short: what is done already is found by a proved read, not repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from abci_app.cid import cid_of
from abci_app.codes import Code
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from abci_app.state.records import IDENTITIES
from dta.base.errors import RefusedByLedger, UsageError
from dta.base.home import Home
from dta.base.keystore_config import KeystoreConfig
from dta.client.identity import document
from dta.client.identity.create import places_of
from dta.client.identity.document import Description
from dta.client.identity.keyring import Keyring, existing_key
from dta.client.identity.keys import make_software_keystores
from dta.client.identity.profile import ROLES, Profile, adopt_pending, discard_pending, load_pending, save_pending
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.tx import Signer
from dta.hsm import labels
from dta.hsm.sealed_file import DEFAULT_LOG2_N

Publish = Callable[[bytes], None]
"""Puts a document's block where the others find it, before the transaction that names it is sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step. ``height``: where it was committed; None where the ledger had it already."""

    identity: bytes
    height: int | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation changes beside the transaction key; None: as it was.

    ``next_keys``: the keystore of the new next key, where it is not the one of the key that goes (which a thief may
    have). ``new_derived``: new BLS and HPKE keys too. ``node``: another keystore for a fiduciary's node key and root,
    so that all keys are new: what the old one held, the keys of its vaults above all, does not come along.
    """

    next_keys: KeystoreConfig | None = None
    new_derived: bool = False
    name: str | None = None
    gateways: tuple[str, ...] | None = None
    not_after_s: int | None = None
    node: KeystoreConfig | None = None


def register(ledger: Ledger, signer: Signer, identity: bytes, block: bytes, publish: Publish) -> Outcome:
    """Registers the document in ``block``: by its own subject where the ledger is open, else by a sponsor.

    ``signer`` is the subject or a fiduciary's operator. Raises RefusedByLedger and what reads and submitting raise.
    """
    if ledger.find(leaves.of(IDENTITIES, identity)) is not None:
        return Outcome(identity, None)
    publish(block)
    try:
        return Outcome(identity, ledger.send(signer, tx_pb2.RegisterIdentity(envelope=block)).height)
    except RefusedByLedger as refused:
        if refused.code == Code.IDENTITY_EXISTS:  # somebody else was faster
            return Outcome(identity, None)
        if refused.code == Code.SPONSOR_REQUIRED:
            refused.hint = "hand request.json to a fiduciary, who runs `dta identity sponsor` on it"
        raise


def suspend(ledger: Ledger, ring: Keyring, profile: Profile) -> Outcome:
    """Suspends the identity by its current key. Only a rotation lifts it. One that is revoked is refused."""
    record = ledger.identity(profile.identity)
    if record.status == identity_pb2.IDENTITY_STATUS_SUSPENDED:
        return Outcome(profile.identity, None)
    return Outcome(profile.identity, ledger.send(ring.signer(profile), tx_pb2.SuspendIdentity()).height)


def revoke(ledger: Ledger, ring: Keyring, profile: Profile) -> Outcome:
    """Revokes the identity by its next key: final."""
    record = ledger.identity(profile.identity)
    if record.status == identity_pb2.IDENTITY_STATUS_REVOKED:
        return Outcome(profile.identity, None)
    signer = ring.next_signer(profile)
    return Outcome(profile.identity, ledger.send(signer, tx_pb2.RevokeIdentity(next_key=signer.public_key)).height)


def rotate(
    home: Home,
    ring: Keyring,
    ledger: Ledger,
    profile: Profile,
    change: Rotation,
    publish: Publish,
    time_s: int,
    scrypt_log2_n: int = DEFAULT_LOG2_N,
    about_to: Publish = lambda _: None,
) -> tuple[Profile, Outcome]:
    """Rotates to the next key, which signs, and commits to another; the profile of the home moves on with it.

    The two keystores swap: the new current key is where the next one was, the new next key is made where the current
    one was, unless ``change`` names another place. A rotation that was cut short is finished, with what it said then.
    ``about_to`` is given the document's block that follows, before anybody else has it.
    """
    record = ledger.identity(profile.identity)
    pending = load_pending(home, profile.name)
    if pending is not None and cid_of(pending[1]) == record.document_cid:
        about_to(pending[1])
        adopt_pending(home, *pending)
        return pending[0], Outcome(profile.identity, None)
    if pending is None or document.read(pending[1]).document.previous_cid != record.document_cid:
        pending = _next(ring, record, profile, change, ledger.trust.gid, time_s, scrypt_log2_n)
        save_pending(home, *pending)
    following, block = pending
    about_to(block)
    publish(block)
    try:
        height: int | None = ledger.send(ring.next_signer(profile), tx_pb2.RotateIdentity(envelope=block)).height
    except RefusedByLedger as refused:
        now = ledger.identity(profile.identity, at_least=refused.height or 0)
        if now.document_cid != cid_of(block):
            discard_pending(home, profile.name)
            raise
        height = None  # an earlier sending of the same document was committed first
    adopt_pending(home, following, block)
    return following, Outcome(profile.identity, height)


def _next(
    ring: Keyring, record: identity_pb2.IdentityRecord, profile: Profile, change: Rotation, gid: bytes, time_s: int,
    scrypt_log2_n: int,
) -> tuple[Profile, bytes]:  # fmt: skip
    """The profile and the document's block that follow."""
    if record.tx_key != existing_key(ring.keystore(profile.keys), profile.key_label):
        raise UsageError(
            "the ledger's current key is not this home's: the identity was rotated elsewhere",
            hint="use the home that did it; if nobody of yours did, revoke with the next key now",
        )
    if change.next_keys == profile.next_keys:
        raise UsageError(
            "the new next key can't go where the new current key is", hint="keep them on different tokens"
        )
    following = replace(
        profile,
        generation=profile.generation + 1,
        derived=profile.derived + (1 if change.new_derived else 0),
        founding=False,
        keys=profile.next_keys,
        next_keys=change.next_keys or profile.keys,
    )
    if change.node is not None:
        following = _with_other_node(following, change.node)
    places = places_of(following)
    make_software_keystores(places, ring.prompt_for, scrypt_log2_n)
    if change.node is not None:
        store = ring.keystore(change.node)
        store.ensure_signing_key(labels.node_key())
        store.ensure_prf_key(labels.root())
    ring.keystore(places.next_keys).ensure_signing_key(labels.operator_key(following.generation + 1))
    names = {number: name for name, number in ROLES.items()}
    said = Description(
        name=record.name if change.name is None else change.name,
        roles=tuple(names[role] for role in record.roles),
        gateways=tuple(record.gateways) if change.gateways is None else change.gateways,
        not_before_s=record.not_before_s,
        not_after_s=record.not_after_s if change.not_after_s is None else change.not_after_s,
    )
    made = document.build(ring, places, said, gid)
    made.identity = profile.identity
    made.previous_cid = record.document_cid
    return following, document.seal(ring, places, made, gid, time_s)


def _with_other_node(profile: Profile, node: KeystoreConfig) -> Profile:
    """The profile with the node key and the root in ``node``. Raises UsageError."""
    if profile.node is None:
        raise UsageError("only a fiduciary has a node key")
    if node in (profile.keys, profile.next_keys):
        raise UsageError("the node's keys go into a keystore of their own", hint="its agent uses it unattended")
    return replace(profile, node=node, root=node, derived=0)
