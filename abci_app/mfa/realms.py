"""What several messages do with a realm: find it, check who asks, ask the authority's members for partials."""

from __future__ import annotations

from abci_app import limits, text
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.context import Context
from abci_app.hashing import tagged_hash
from abci_app.mfa.points import SUITES
from abci_app.pb.dta.v1 import mfa_pb2 as pb
from abci_app.state.records import REALM_SERVERS, REALMS


def realm_id(gid: bytes, authority: bytes) -> bytes:
    """The id of the one realm that an mfa key serves. 32 bytes."""
    return tagged_hash("DTA-v1-realm", gid, authority)


def check_terms(terms: pb.RealmTerms) -> None:
    """Refuse terms that are malformed (BAD_REALM_TERMS)."""
    if not text.is_label(terms.name, limits.MAX_REALM_NAME_CHARS):
        raise Refusal(Code.BAD_REALM_TERMS, "name: lower-case letters, digits and -._", reason="name")
    if len(terms.registrar) != limits.ID_BYTES:
        raise Refusal(Code.BAD_REALM_TERMS, "registrar: an identity's id", reason="registrar")
    if terms.suite not in SUITES:
        raise Refusal(Code.BAD_REALM_TERMS, "suite: unknown", reason="suite")
    _require_at_most("max_attempts", terms.max_attempts, limits.MAX_REALM_ATTEMPTS)
    _require_at_most("lockout_s", terms.lockout_s, limits.MAX_REALM_LOCKOUT_S)
    _require_at_most("one_pass_max_age_s", terms.one_pass_max_age_s, limits.MAX_ONE_PASS_AGE_S)


def _require_at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise Refusal(Code.BAD_REALM_TERMS, f"{name}: 0 to {most}", reason=name)


def get(context: Context, realm: bytes) -> pb.RealmRecord:
    """The realm, refused with UNKNOWN_REALM where there is none."""
    record = REALMS.find(context.state, realm)
    if record is None:
        raise Refusal(Code.UNKNOWN_REALM, realm.hex())
    return record


def get_as_registrar(context: Context, realm: bytes) -> pb.RealmRecord:
    """The realm, if the signer is its registrar."""
    record = get(context, realm)
    context.require(context.signer == record.terms.registrar, Code.NOT_REGISTRAR, context.signer.hex(), reason="realm")
    return record


def require_suite(context: Context, realm: pb.RealmRecord, suite: pb.MfaSuite) -> None:
    """Refuse with WRONG_SUITE a message that says another suite than the realm's."""
    context.require(suite == realm.terms.suite, Code.WRONG_SUITE, realm.id.hex())


def is_server(context: Context, realm: bytes, server: bytes) -> bool:
    """Whether ``server`` is registered in the realm now."""
    record = REALM_SERVERS.find(context.state, realm, server)
    return record is not None and not record.removed_height


def emit(context: Context, realm: pb.RealmRecord, action: str, **attributes: bytes | int | str) -> None:
    """An event about the realm."""
    context.emit("realm", realm.id, action, **attributes)
