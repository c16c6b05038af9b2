"""Part ``hsm``: what a fiduciary's keystore does in a second, in a SoftHSM2 token and in the software keystore."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dta.base.secret import SecretBytes
from dta.hsm import softhsm
from dta.hsm.keystore import Keystore, KeystoreConfig, open_keystore
from dta.hsm.provision import init_token
from dta.hsm.software import SoftwareKeystore

PIN = SecretBytes(b"bench pin")
MESSAGE = bytes(300)


def run(say: Callable[[str], None], *, seconds: float = 2.0) -> dict[str, Any]:
    """Operations a second, one after another on one thread; SoftHSM2's are left out where it is not installed."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="dta-bench-") as directory:
        for kind in ("pkcs11", "software"):
            with _opened(kind, Path(directory)) as store:
                if store is None:
                    say("SoftHSM2 is not installed: its rates are left out")
                    continue
                name = "softhsm" if kind == "pkcs11" else kind
                for operation, rate in _rates(store, seconds).items():
                    figures[f"{name}_{operation}_per_s"] = rate
                said = ", ".join(f"{key} {value:.0f}/s" for key, value in figures.items() if key.startswith(name))
                say(said.replace(f"{name}_", "").replace("_per_s", ""))
    return figures


@contextmanager
def opened(directory: Path) -> Iterator[Keystore]:
    """A fresh keystore under ``directory``: a SoftHSM2 token where that is installed, else the software one."""
    with _opened("pkcs11", directory) as token:
        if token is not None:
            yield token
            return
    with _opened("software", directory) as store:
        assert store is not None
        yield store


@contextmanager
def _opened(kind: str, directory: Path) -> Iterator[Keystore | None]:
    pin_file = directory / "pin"
    pin_file.write_bytes(PIN.reveal() + b"\n")
    pin_file.chmod(0o600)
    if kind == "software":
        SoftwareKeystore.create(directory / "keys", PIN)
        config = KeystoreConfig("software", path=directory / "keys", pin_file=pin_file)
    else:
        module = softhsm.find_module()
        if module is None:
            yield None
            return
        os.environ[softhsm.CONFIG_VARIABLE] = str(softhsm.make_home(directory / "tokens"))
        init_token(module, "bench", SecretBytes(b"bench so pin"), PIN)
        config = KeystoreConfig("pkcs11", module=module, token_label="bench", pin_file=pin_file)
    store = open_keystore(config, notice=lambda _: None)
    try:
        yield store
    finally:
        store.close()


def _rates(store: Keystore, seconds: float) -> dict[str, float]:
    store.ensure_signing_key("node-key")
    store.ensure_prf_key("root")
    made = 0

    def make_and_destroy() -> None:
        nonlocal made
        made += 1
        store.ensure_prf_key(f"vault-{made}")
        store.destroy(f"vault-{made}")

    return {
        "sign": _rate(lambda: store.sign("node-key", MESSAGE), seconds),
        "derive": _rate(lambda: store.prf("root", MESSAGE), seconds),
        "make_and_destroy": _rate(make_and_destroy, seconds),
    }


def _rate(operation: Callable[[], object], seconds: float) -> float:
    operation()
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        operation()
        count += 1
    return count / elapsed
