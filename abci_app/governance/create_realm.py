"""CreateRealm: an M-Pin realm, and with it an mfa key of its own, whose ceremony begins (docs/spec/mfa.md, Realms).

There is no other way to an mfa key, and no way to give a realm one that exists: one mfa key serves one realm. Whoever
holds a server secret of a key can try the PINs of every token under it.
"""

from __future__ import annotations

from abci_app import limits
from abci_app.authority import record
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.governance import create_authority
from abci_app.identities import concerns
from abci_app.mfa import realms
from abci_app.pb.dta.v1 import authority_pb2, concern_pb2, identity_pb2, mfa_pb2
from abci_app.state import as_of
from abci_app.state.records import IDENTITIES, REALMS


def _validate(message: mfa_pb2.CreateRealm) -> None:
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    realms.check_terms(message.terms)
    create_authority.validate_key(
        message.terms.name, message.members, message.threshold, message.refresh_interval_blocks
    )


def _check(context: Context, message: mfa_pb2.CreateRealm) -> None:
    registrar = IDENTITIES.find(context.state, message.terms.registrar)
    if registrar is None:
        raise Refusal(Code.UNKNOWN_IDENTITY, message.terms.registrar.hex(), reason="registrar")
    active = registrar.status == identity_pb2.IDENTITY_STATUS_ACTIVE and as_of.is_in_date(registrar, context.time_s)
    context.require(active, Code.IDENTITY_NOT_ACTIVE, registrar.id.hex(), reason="registrar")
    authority = record.authority_id(context.gid, context.signer, message.nonce)
    create_authority.check_key(context, authority, message.members)


def _execute(context: Context, message: mfa_pb2.CreateRealm) -> None:
    _check(context, message)
    authority = record.authority_id(context.gid, context.signer, message.nonce)
    realm = mfa_pb2.RealmRecord(
        id=realms.realm_id(context.gid, authority), terms=message.terms, authority=authority,
        created_height=context.height, created_tx=context.tx_hash,
    )  # fmt: skip
    REALMS.put(context.state, realm, realm.id)
    role, registrar = concern_pb2.CONCERN_ROLE_REGISTRAR, message.terms.registrar
    concerns.note(context, concern_pb2.CONCERN_KIND_REALM, realm.id, role, registrar)
    realms.emit(context, realm, "created", authority=authority, registrar=registrar)
    key = authority_pb2.AuthorityRecord(
        id=authority, purpose=authority_pb2.PURPOSE_MFA, name=message.terms.name, realm=realm.id,
        refresh_interval_blocks=message.refresh_interval_blocks,
    )  # fmt: skip
    create_authority.create(context, key, message.members, message.threshold)


ACTION = Action(
    field="create_realm",
    message=mfa_pb2.CreateRealm,
    validate=_validate,
    check=_check,
    execute=_execute,
    cost=lambda message: create_authority.ceremony_cost(message) + concerns.NAME_COST,
    proposing_cost=create_authority.members_cost,
    codes=(
        *create_authority.ACTION.codes, Code.BAD_REALM_TERMS, Code.UNKNOWN_IDENTITY, Code.IDENTITY_NOT_ACTIVE,
    ),
)  # fmt: skip
