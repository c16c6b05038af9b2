"""A new identity: its keys, its first document, and the request with which somebody else registers it."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from abci_app.crypto import statements
from abci_app.crypto.statements import ZERO_GID
from abci_app.identities import documents
from abci_app.pb.dta.v1 import identity_pb2
from dta.base.errors import UsageError
from dta.base.home import Home, read_file
from dta.base.jsonfile import JsonFile
from dta.base.keystore_config import KeystoreConfig
from dta.client.identity import document
from dta.client.identity.document import Description, KeyPlaces
from dta.client.identity.keyring import Keyring
from dta.client.identity.keys import make_keys, make_software_keystores
from dta.client.identity.profile import Profile, save_profile
from dta.hsm.sealed_file import DEFAULT_LOG2_N

REQUEST_FORMAT = "dta-identity-request-1"


@dataclass(frozen=True, slots=True)
class KeystorePlan:
    """The keystores of a new identity. ``node``: a fiduciary's, which also holds the root; else ``keys`` does."""

    keys: KeystoreConfig
    next_keys: KeystoreConfig
    node: KeystoreConfig | None = None

    def places(self) -> KeyPlaces:
        """Where the first document's keys go. Raises UsageError when one keystore would hold both of a pair."""
        if self.keys == self.next_keys or self.node in (self.keys, self.next_keys):
            raise UsageError(
                "the current key, the next key and a node's key go into keystores of their own",
                hint="who steals one token must not get the key that takes the identity over",
            )
        return KeyPlaces(0, 0, self.keys, self.next_keys, self.node or self.keys, self.node)


def places_of(profile: Profile) -> KeyPlaces:
    """Where the keys of a profile's current document are."""
    return KeyPlaces(
        profile.generation, profile.derived, profile.keys, profile.next_keys, profile.root, profile.node
    )


def prepare(
    home: Home,
    ring: Keyring,
    name: str,
    plan: KeystorePlan,
    said: Description,
    *,
    gid: bytes | None,
    reuse_keys: bool = False,
    scrypt_log2_n: int = DEFAULT_LOG2_N,
) -> tuple[Profile, identity_pb2.IdentityDocument]:
    """Makes the keys and the first document, without proofs; nothing is written but keystores.

    ``name`` is local to this home. ``gid`` None: a founder, before there is a ledger. Raises UsageError,
    KeystoreError.
    """
    if (home.profile_dir(name) / "profile.toml").exists():
        raise UsageError(f"there is an identity {name!r} in {home.path} already", hint="choose another name")
    if ("fiduciary" in said.roles) != (plan.node is not None):
        raise UsageError("a fiduciary has a node key, and nobody else does")
    places = plan.places()
    make_software_keystores(places, ring.prompt_for, scrypt_log2_n)
    make_keys(ring, places, reuse=reuse_keys)
    first = document.build(ring, places, said, ZERO_GID if gid is None else gid)
    profile = Profile(
        name, statements.identity_id(first), said.roles, 0, 0, gid is None,
        places.keys, places.next_keys, places.root, places.node,
    )  # fmt: skip
    return profile, first


def create_profile(
    home: Home,
    ring: Keyring,
    name: str,
    plan: KeystorePlan,
    said: Description,
    *,
    gid: bytes,
    time_s: int,
    reuse_keys: bool = False,
    scrypt_log2_n: int = DEFAULT_LOG2_N,
) -> tuple[Profile, bytes]:
    """A new identity of this home for the ledger ``gid``: the profile and its document's block, both saved.

    It is not registered yet. Raises UsageError, KeystoreError.
    """
    profile, first = prepare(
        home, ring, name, plan, said, gid=gid, reuse_keys=reuse_keys, scrypt_log2_n=scrypt_log2_n
    )
    block = document.seal(ring, places_of(profile), first, gid, time_s)
    save_profile(home, profile, block)
    return profile, block


def request_json(profile: Profile, gid: bytes, block: bytes) -> bytes:
    """The request file that a sponsor is handed: public, and good for this ledger only."""
    value = {
        "format": REQUEST_FORMAT,
        "gid": gid.hex(),
        "identity": profile.identity.hex(),
        "document": b64encode(block).decode("ascii"),
    }
    return (json.dumps(value, indent=2) + "\n").encode("ascii")


def read_request(path: Path, gid: bytes) -> tuple[bytes, bytes, documents.ReadDocument]:
    """A request file: (identity id, document's block, document), held to its proofs. Raises UsageError."""
    file = JsonFile.parse(read_file(path, "an identity request", 1 << 16), f"the request {path}", REQUEST_FORMAT)
    file.only("gid", "identity", "document")
    if file.hex("gid", 32) != gid:
        raise UsageError(f"the request {path} is for another ledger", hint="its owner makes it with this genesis")
    block = file.base64("document")
    read = document.check(block, gid)
    identity = statements.identity_id(read.document)
    if read.document.identity or identity != file.hex("identity", 32):
        raise UsageError(f"the request {path} does not hold the first document of the identity it names")
    return identity, block, read
