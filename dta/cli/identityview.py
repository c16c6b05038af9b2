"""How identities look: as JSON, and as lines for a person."""

from __future__ import annotations

from collections.abc import Mapping

from abci_app.cid import cid_of
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import identity_pb2
from dta.client.genesis.cometbft import address
from dta.client.identity import document
from dta.client.identity.profile import ROLES, Profile
from dta.light.people import line

_ROLE_NAMES = {number: name for name, number in ROLES.items()}


def status_name(status: int) -> str:
    """active, suspended, revoked or out of date."""
    return identity_pb2.IdentityStatus.Name(status).removeprefix("IDENTITY_STATUS_").lower().replace("_", " ")


def of_record(record: identity_pb2.IdentityRecord, block: bytes | None) -> dict[str, object]:
    """A proved record and its document's block, where somebody had it."""
    return {
        "identity": record.id.hex(),
        "name": record.name,
        "status": status_name(record.status),
        "verified": True,
        "roles": [_ROLE_NAMES[role] for role in record.roles],
        "tx_key": record.tx_key.hex(),
        "node_key": record.node_key.hex(),
        "bls_key": record.bls_key.hex(),
        "gateways": list(record.gateways),
        "not_before_s": record.not_before_s,
        "not_after_s": record.not_after_s,
        "registered_height": record.registered_height,
        "updated_height": record.updated_height,
        "changes": record.history_count,
        "document_cid": record.document_cid,
        "document": _of_document(block),
    }


def of_profile(profile: Profile, block: bytes | None) -> dict[str, object]:
    """What this home knows of an identity that the ledger does not have, or was not asked about."""
    return {
        "identity": profile.identity.hex(),
        "name": profile.name,
        "status": "not known to be registered",
        "verified": False,
        "roles": list(profile.roles),
        "generation": profile.generation,
        "document_cid": cid_of(block) if block is not None else "",
        "document": _of_document(block),
    }


def _of_document(block: bytes | None) -> dict[str, object] | None:
    if block is None:
        return None
    found = document.read(block).document
    return {
        "name": found.name,
        "hpke_key_digest": statements.hpke_key_digest(found.hpke_key).hex(),
        "next_key_digest": found.next_key_digest.hex(),
        "previous_cid": found.previous_cid,
        "endpoints": [{"kind": endpoint.kind, "url": endpoint.url} for endpoint in found.endpoints],
    }


def lines(view: Mapping[str, object]) -> list[str]:
    """The same for a person: what is set, one line each."""
    told = []
    for name, value in view.items():
        if isinstance(value, dict):
            told += [_line(f"document {inner}", said) for inner, said in value.items() if said]
        elif value or isinstance(value, bool):
            told.append(_line(name, value))
    return told


def _line(name: str, value: object) -> str:
    return f"{name.replace('_', ' '):<26}{_words(value)}"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(entry["url"] if isinstance(entry, dict) else str(entry) for entry in value)
    return str(value)


def of_fiduciary(
    record: identity_pb2.IdentityRecord, fiduciary: identity_pb2.FiduciaryRecord
) -> dict[str, object]:
    """A fiduciary's row."""
    status = identity_pb2.FiduciaryStatus.Name(fiduciary.status).removeprefix("FIDUCIARY_STATUS_").lower()
    return {
        "name": record.name,
        "identity": record.id.hex(),
        "address": address(fiduciary.validator_key).hex() if fiduciary.validator_key else "",
        "public_key": fiduciary.validator_key.hex(),
        "power": fiduciary.power,
        "status": status,
        "identity_status": status_name(record.status),
        "gateways": list(record.gateways),
    }


def fiduciary_line(row: Mapping[str, object]) -> str:
    """The row for a person."""
    state = row["status"] if row["identity_status"] == "active" else f"{row['status']}, {row['identity_status']}"
    return f"{line(row)}  {state}  {_words(row['gateways'])}"
