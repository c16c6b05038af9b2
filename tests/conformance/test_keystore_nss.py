"""A third PKCS#11 module, NSS's softokn: what of the suite it can pass, and what the doctor says of the rest.

Before 3.103 or so it has no Ed25519: a module that an operator may well try, and must be told about.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pkcs11
import pytest

from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.hsm import conformance, objects
from dta.hsm.doctor import diagnose
from dta.hsm.keystore import open_keystore
from tests.support import faulty_token

PIN = SecretBytes(b"conformance pin")
TOKEN = "NSS Certificate DB"
MODULE = next(
    (path for root in ("/usr/lib", "/usr/lib64") for path in sorted(Path(root).rglob("libsoftokn3.so"))), None
)
pytestmark = pytest.mark.skipif(
    MODULE is None or faulty_token.compiler() is None, reason="NSS (Debian: libnss3) or a C compiler is missing"
)
WITHOUT_ED25519 = (
    conformance.check_ensuring_a_prf_key_says_whether_it_was_made_now,
    conformance.check_the_prf_differs_by_label_and_by_data,
    conformance.check_absence_counts_only_beside_a_key_that_must_be_there,
    conformance.check_what_one_opener_changes_the_other_sees,
    conformance.check_closing_one_opener_leaves_the_other_working,
    conformance.check_a_missing_key_is_refused_with_a_hint,
    conformance.check_a_closed_store_refuses,
)


@pytest.fixture
def config(tmp_path: Path) -> KeystoreConfig:
    """softokn wants a string at initialising, which the module around it gives; its database begins without a PIN."""
    assert MODULE is not None
    module = faulty_token.build(tmp_path / "module", MODULE).path
    (tmp_path / "database").mkdir()
    module.with_name("parameters").write_text(
        f"configdir='sql:{tmp_path / 'database'}' certPrefix='' keyPrefix='' secmod='' flags="
    )
    library = pkcs11.lib(str(module))
    session = library.get_token(token_label=TOKEN).open(rw=True, so_pin="")
    session.init_pin(PIN.reveal().decode())
    session.close()
    library.finalize()
    (tmp_path / "pin").write_bytes(PIN.reveal())
    (tmp_path / "pin").chmod(0o600)
    return KeystoreConfig("pkcs11", module=module, token_label=TOKEN, pin_file=tmp_path / "pin")


def lacking(config: KeystoreConfig) -> list[str]:
    """The mechanisms that this version has not."""
    library = pkcs11.lib(str(config.module))
    offered = library.get_token(token_label=TOKEN).slot.get_mechanisms()
    library.finalize()
    return [mechanism.name for mechanism in objects.REQUIRED_MECHANISMS if mechanism not in offered]


def test_the_doctor_names_what_it_lacks(config: KeystoreConfig) -> None:
    absent = lacking(config)
    steps = {step.name: step for step in diagnose(config)}
    assert (steps["mechanisms"].status == "failure") is bool(absent)
    assert all(name in steps["mechanisms"].detail for name in absent)
    assert (steps["limits"].status == "failure") is bool(absent)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_it_passes_what_it_has_the_mechanisms_for(check: Callable[..., None], config: KeystoreConfig) -> None:
    if lacking(config) and check not in WITHOUT_ED25519:
        pytest.skip("this version of NSS has no Ed25519")
    check(lambda: open_keystore(config))
