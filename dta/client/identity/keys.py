"""Making an identity's keys: the keystores that are asked for, and the keys in them, each made once."""

from __future__ import annotations

from pathlib import Path

from dta.base.errors import UsageError
from dta.base.home import make_directory
from dta.base.keystore_config import KeystoreConfig
from dta.client.identity.document import KeyPlaces
from dta.client.identity.keyring import Keyring, PromptFor
from dta.hsm import labels, softhsm
from dta.hsm.errors import PinFileMissing
from dta.hsm.keystore import Keystore, kinds
from dta.hsm.pin import read_pin
from dta.hsm.sealed_file import DEFAULT_LOG2_N
from dta.hsm.software import SoftwareKeystore

KINDS = ("software", "pkcs11", "softhsm")
"""How keystores that ship are asked for, those of other packages by the names of their entry points. ``softhsm`` is
``pkcs11`` with SoftHSM2's module where distributions put it."""


def place(kind: str, *, path: Path, module: Path | None, token_label: str, pin_file: Path | None) -> KeystoreConfig:
    """A keystore's configuration. ``path`` is a software keystore's, ``module`` and ``token_label`` a token's.

    A back end of another package gets all of them and takes what it needs. Raises UsageError.
    """
    pin_file = pin_file.expanduser().absolute() if pin_file is not None else None
    if kind == "software":
        return KeystoreConfig(kind, path=path.absolute(), pin_file=pin_file)
    if kind not in KINDS:
        if kind not in (offered := kinds()):
            hint = "kinds: " + ", ".join(dict.fromkeys([*KINDS, *offered]))
            raise UsageError(f"there is no keystore of kind {kind!r}", hint=hint)
        own_module = module.absolute() if module is not None else None
        return KeystoreConfig(kind, path.absolute(), own_module, token_label, pin_file)
    found = module or (softhsm.find_module() if kind == "softhsm" else None)
    if found is None:
        hint = "install softhsm2, or give --module" if kind == "softhsm" else "give the token's PKCS#11 --module"
        raise UsageError("which PKCS#11 module?", hint=hint)
    return KeystoreConfig("pkcs11", module=found.absolute(), token_label=token_label, pin_file=pin_file)


def make_software_keystores(
    places: KeyPlaces, prompt_for: PromptFor, scrypt_log2_n: int = DEFAULT_LOG2_N
) -> None:
    """Makes the files of the software keystores among ``places`` that are not there yet. A token must exist.

    Raises PinFileMissing (no source of a passphrase), PinUnusable.
    """
    for config in dict.fromkeys((places.keys, places.next_keys, places.root, places.node)):
        if config is None or config.kind != "software" or config.path is None or config.path.exists():
            continue
        make_directory(config.path.parent)
        try:
            passphrase = read_pin(config, prompt=prompt_for(config))
        except PinFileMissing as error:
            error.hint = "give --pin-file (mode 0600), or run it on a terminal to be asked"
            raise
        SoftwareKeystore.create(config.path, passphrase, log2_n=scrypt_log2_n)


def make_keys(ring: Keyring, places: KeyPlaces, *, reuse: bool = False) -> None:
    """Makes the keys of a new identity. Unless ``reuse``, none may be there yet: a token holds one identity.

    ``reuse`` is for a home that was lost and whose keystores were not. Raises UsageError, KeystoreError.
    """
    wanted: list[tuple[Keystore, str, bool]] = [
        (ring.keystore(places.keys), labels.operator_key(places.generation), True),
        (ring.keystore(places.next_keys), labels.operator_key(places.generation + 1), True),
        (ring.keystore(places.root), labels.root(), False),
    ]
    if places.node is not None:
        wanted.append((ring.keystore(places.node), labels.node_key(), True))
    if not reuse:
        for store, label, signs in wanted:
            if store.signing_public_key(label) is not None if signs else store.has_prf_key(label):
                raise UsageError(
                    f"there is a key {label!r} in this keystore already: it belongs to another identity",
                    hint="use another keystore, or --reuse-keys to make a lost home again from its own keystores",
                )
    for store, label, signs in wanted:
        if signs:
            store.ensure_signing_key(label)
        else:
            store.ensure_prf_key(label)
