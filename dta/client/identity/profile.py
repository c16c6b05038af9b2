"""A profile: what this home knows of one identity of its own. Nothing in it is secret (docs/spec/identities.md).

``identities/<name>/profile.toml`` says who, and in which keystores the keys are; ``document.block`` is the current
document's envelope, ``history/<generation>.block`` each one there was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from abci_app.pb.dta.v1 import identity_pb2
from dta.base.config import keystore_from, keystore_to_toml, read_toml
from dta.base.errors import NotFound
from dta.base.home import Home, make_directory, read_file, toml_string, write_file
from dta.base.keystore_config import KeystoreConfig
from dta.base.settings import ProfileFile, checked
from dta.hsm import labels

MAX_BLOCK_BYTES = 16_384
_PROFILE = "profile.toml"
_DOCUMENT = "document.block"
_PENDING_PROFILE = "pending.toml"
_PENDING_DOCUMENT = "pending.block"
ROLES = {
    "principal": identity_pb2.ROLE_PRINCIPAL,
    "fiduciary": identity_pb2.ROLE_FIDUCIARY,
    "beneficiary": identity_pb2.ROLE_BENEFICIARY,
}
"""The names of roles, as profiles and the command line spell them."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One identity of this home.

    ``generation`` counts rotations: the transaction key is ``operator-<generation>`` in ``keys``, the next one
    ``operator-<generation + 1>`` in ``next_keys``. ``derived`` numbers the BLS and HPKE keys derived from the PRF
    key ``root`` in ``root``. ``node``: a fiduciary's keystore of the node key. ``founding``: the current document
    committed to its next key before the ledger had a gid.
    """

    name: str
    identity: bytes
    roles: tuple[str, ...]
    generation: int
    derived: int
    founding: bool
    keys: KeystoreConfig
    next_keys: KeystoreConfig
    root: KeystoreConfig
    node: KeystoreConfig | None = None

    @property
    def key_label(self) -> str:
        """The current transaction key's label in ``keys``."""
        return labels.operator_key(self.generation)

    @property
    def next_key_label(self) -> str:
        """The next transaction key's label in ``next_keys``."""
        return labels.operator_key(self.generation + 1)


def load_profile(home: Home, name: str) -> Profile:
    """The profile called ``name``. Raises NotFound, UsageError."""
    path = home.profile_dir(name) / _PROFILE
    if not path.exists():
        known = ", ".join(home.profile_names()) or "none"
        raise NotFound(f"there is no identity {name!r} in {home.path}", hint=f"there is: {known}")
    return _load(path)


def _load(path: Path) -> Profile:
    file, base = checked(ProfileFile, read_toml(path), path), path.parent
    return Profile(
        name=file.name, identity=bytes.fromhex(file.identity), roles=tuple(file.roles), generation=file.generation,
        derived=file.derived, founding=file.founding, keys=keystore_from(file.keys, base),
        next_keys=keystore_from(file.next, base), root=keystore_from(file.root, base),
        node=None if file.node is None else keystore_from(file.node, base),
    )  # fmt: skip


def save_profile(home: Home, profile: Profile, block: bytes = b"") -> None:
    """Writes the profile and, where ``block`` is given, its current document. The document goes first."""
    directory = make_directory(home.profile_dir(profile.name))
    if block:
        history = make_directory(directory / "history")
        write_file(history / f"{profile.generation}.block", block)
        write_file(directory / _DOCUMENT, block)
    write_file(directory / _PROFILE, _to_toml(home, profile).encode("utf-8"))


def _to_toml(home: Home, profile: Profile) -> str:
    def keystore(config: KeystoreConfig) -> str:
        return keystore_to_toml(config, home.profile_dir(profile.name), home.path)

    roles = ", ".join(toml_string(role) for role in profile.roles)
    text = f"""# An identity of this home, and where its keys are. Nothing here is secret.
name = {toml_string(profile.name)}
identity = "{profile.identity.hex()}"
roles = [{roles}]
generation = {profile.generation}
derived = {profile.derived}
founding = {"true" if profile.founding else "false"}

# The current transaction key, {profile.key_label}.
[keys]
{keystore(profile.keys)}
# The next one, {profile.next_key_label}: it alone can rotate or revoke. Keep it apart from the current one.
[next]
{keystore(profile.next_keys)}
# The root, from which the BLS and HPKE keys are derived.
[root]
{keystore(profile.root)}"""
    if profile.node is not None:
        text += f"""
# The node key, with which the agent signs results.
[node]
{keystore(profile.node)}"""
    return text


def save_pending(home: Home, profile: Profile, block: bytes) -> None:
    """Keeps a rotation that is about to be sent: what this profile and its document are once it is committed."""
    directory = home.profile_dir(profile.name)
    write_file(directory / _PENDING_DOCUMENT, block)
    write_file(directory / _PENDING_PROFILE, _to_toml(home, profile).encode("utf-8"))


def load_pending(home: Home, name: str) -> tuple[Profile, bytes] | None:
    """The rotation that was being sent when this home last stopped, or None."""
    path = home.profile_dir(name) / _PENDING_PROFILE
    if not path.exists():
        return None
    block = read_file(path.with_name(_PENDING_DOCUMENT), "an identity document's block", MAX_BLOCK_BYTES)
    return _load(path), block


def adopt_pending(home: Home, profile: Profile, block: bytes) -> None:
    """The rotation was committed: its profile becomes the profile."""
    save_profile(home, profile, block)
    discard_pending(home, profile.name)


def discard_pending(home: Home, name: str) -> None:
    """Forgets a rotation that was adopted, or refused for good."""
    directory = home.profile_dir(name)
    (directory / _PENDING_PROFILE).unlink(missing_ok=True)
    (directory / _PENDING_DOCUMENT).unlink(missing_ok=True)


def load_document_block(home: Home, name: str) -> bytes:
    """The current document's envelope block. Raises NotFound (a founder before genesis), UsageError."""
    path = home.profile_dir(name) / _DOCUMENT
    if not path.exists():
        raise NotFound(
            f"the identity {name!r} has no signed document yet",
            hint="a founder's is signed by `dta genesis sign`",
        )
    return read_file(path, "an identity document's block", MAX_BLOCK_BYTES)
