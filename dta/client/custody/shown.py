"""Orders, requests and vaults as JSON, every field of them: what the command line and the agent's API both show."""

from __future__ import annotations

from hashlib import sha256

from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.base.errors import JsonValue
from dta.client.custody import orders, policies, receiving
from dta.client.custody.asking import Content
from dta.client.custody.signing import SIGNING_SUITE, SigningView, text_of
from dta.client.ledger.ledger import OrderView, VaultView


def order_json(view: OrderView) -> dict[str, JsonValue]:
    """An order, all of it."""
    record = view.record
    return {
        "order": record.id.hex(), "status": orders.status_name(record), "principal": record.principal.hex(),
        "custodian": record.custodian, "vault": record.vault.hex(), "authority": record.authority.hex(),
        "identity": record.identity.hex(), "threshold": record.threshold,
        "fulfilled": record.fulfilled, "rejected": record.rejected, "envelope_cid": record.envelope_cid,
        "policy": policies.as_json(record.policy, record.rule), "expires_at_time_s": record.expires_at_time_s,
        "expires_at_height": record.expires_at_height, "placed_height": record.placed_height,
        "placed_time_s": record.placed_time_s, "placed_tx": record.placed_tx.hex(),
        "active_height": record.active_height, "ended_height": record.ended_height,
        "ended_tx": record.ended_tx.hex(), "open_requests": record.open_requests,
        "requests_made": record.requests, "completed_requests": record.completed_requests,
        "vetoed_requests": record.vetoed_requests, "expired_requests": record.expired_requests,
        "cancelled_requests": record.cancelled_requests, "answers": record.answers, "answerers": record.answerers,
        "first_answer_height": record.first_answer_height,
        "fiduciaries": orders.fulfilments_json(view), "proved_at_height": view.height,
    }  # fmt: skip


def stage_name(record: pb.RequestRecord) -> str:
    """Under an authority key, what a granted request waits for; empty otherwise."""
    if record.stage == pb.RELEASE_STAGE_UNSPECIFIED:
        return ""
    return pb.ReleaseStage.Name(record.stage).removeprefix("RELEASE_STAGE_").lower()


def request_json(content: Content) -> dict[str, JsonValue]:
    """A request, all of it."""
    record = content.view.record
    answers: list[JsonValue] = []
    for fiduciary, answer in content.view.answers.items():
        answers.append(
            {
                "fiduciary": fiduciary.hex(), "answered_height": answer.height if answer else 0,
                "proved_bad_height": answer.reported_height if answer else 0,
            }
        )  # fmt: skip
    approved: list[JsonValue] = [party.hex() for party in content.approved]
    vetoed: list[JsonValue] = [party.hex() for party in content.vetoed]
    return {
        "request": record.id.hex(), "order": record.order.hex(), "number": record.number,
        "status": receiving.status_name(record),
        "beneficiary": record.beneficiary.hex(), "content_digest": record.content_digest.hex(),
        "content_checked": content.checked, "keys_cid": record.keys_cid, "requested_height": record.requested_height,
        "requested_time_s": record.requested_time_s, "requested_tx": record.requested_tx.hex(),
        "deadline_time_s": record.deadline_time_s, "granted_height": record.granted_height,
        "release_time_s": record.release_time_s, "release_height": record.release_height,
        "stage": stage_name(record), "released_height": record.released_height,
        "ended_height": record.ended_height, "approved": approved, "vetoed": vetoed, "answers": answers,
        "bad_answers": record.bad_answers,
    }  # fmt: skip


def signing_json(found: SigningView, content: Content) -> dict[str, JsonValue]:
    """A signing order: its request (``content``), what is signed, and the signature."""
    record = found.record
    return {
        **request_json(content), "authority": record.authority.hex(), "authority_name": found.authority.name,
        "public_key": found.authority.public_key_g2.hex(), "kind": record.kind, "raw": record.raw,
        "message": record.message.hex(), "digest": record.digest.hex(),
        "message_text": text_of(record.message), "message_bytes": len(record.message),
        "message_sha256": sha256(record.message).hexdigest(),
        "bytes_signed": found.bytes_signed.hex(),
        "suite": SIGNING_SUITE, "signature": record.signature.hex(), "signed_height": record.signed_height,
    }  # fmt: skip


def vault_status(record: pb.VaultRecord) -> str:
    """The status in lower case, as people and JSON see it."""
    return pb.VaultStatus.Name(record.status).removeprefix("VAULT_STATUS_").lower()


def vault_record_json(record: pb.VaultRecord) -> dict[str, JsonValue]:
    return {
        "vault": record.id.hex(), "principal": record.principal.hex(), "custodian": record.custodian,
        "status": vault_status(record), "published": record.published, "erased": record.erased,
        "opened_height": record.opened_height, "opened_tx": record.opened_tx.hex(),
        "closes_at_time_s": record.closes_at_time_s, "closes_at_height": record.closes_at_height,
        "closed_height": record.closed_height,
    }  # fmt: skip


def key_state(key: pb.VaultKeyRecord | None) -> str:
    """What became of a fiduciary's key, as people and JSON see it."""
    if key is None:
        return "no key yet"
    if key.keystore_replaced:
        return "keystore replaced"
    return "destroyed" if key.erased_height else "published"


def key_height(key: pb.VaultKeyRecord | None) -> int:
    """When that came about; 0 for no key."""
    return 0 if key is None else key.erased_height or key.published_height


def vault_json(view: VaultView) -> dict[str, JsonValue]:
    """A vault with the state of each fiduciary's key."""
    fiduciaries: list[JsonValue] = []
    for fiduciary, key in view.keys.items():
        fiduciaries.append({"fiduciary": fiduciary.hex(), "key": key_state(key), "height": key_height(key)})
    return {**vault_record_json(view.record), "fiduciaries": fiduciaries, "proved_at_height": view.height}
