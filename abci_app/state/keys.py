"""Every state key is built here: an ASCII prefix, then parts of fixed width (docs/spec/state.md).

Leaves are authenticated. Indexes are not: each is a function of leaves (``seen/`` of the transactions in date), and
is there so that a scan finds quickly what a leaf already says.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from abci_app.hashing import u32, u64

# --- leaves ---------------------------------------------------------------------------------------------------
PARAMS: Final = b"params/"
CHAIN: Final = b"chain/"
IDENTITY: Final = b"id/"
IDENTITY_HISTORY: Final = b"id-history/"
TX_KEY_OWNER: Final = b"tx-key/"
BLS_KEY_OWNER: Final = b"bls-key/"
FIDUCIARY: Final = b"fiduciary/"
VALIDATOR_KEY_OWNER: Final = b"validator-key/"
VALIDATOR_ADDRESS: Final = b"validator-address/"
VALIDATOR_CHANGE: Final = b"validator-change/"
COUNTER: Final = b"counter/"
SEEN_BUCKET: Final = b"seen-bucket/"
VAULT: Final = b"vault/"
VAULT_KEY: Final = b"vault-key/"
ORDER: Final = b"order/"
FULFILMENT: Final = b"fulfilment/"
REQUEST: Final = b"request/"
DECISION: Final = b"decision/"
ANSWER: Final = b"answer/"
AUTHORITY: Final = b"authority/"
AUTHORITY_NUMBER: Final = b"authority-number/"
EPOCH: Final = b"epoch/"
MEMBER: Final = b"member/"
CEREMONY: Final = b"ceremony/"
CEREMONY_PARTY: Final = b"ceremony-party/"
DEALING: Final = b"dealing/"
USED_POINT: Final = b"used-point/"
PROPOSAL: Final = b"proposal/"
VOTE: Final = b"vote/"
UPGRADE: Final = b"upgrade/"
EXTRACTION: Final = b"extraction/"
EXTRACTION_ITEM: Final = b"extraction-item/"
PARTIAL: Final = b"partial/"
EXTRACTION_LOAD: Final = b"extraction-load/"
SIGNING: Final = b"signing/"
SIGNING_POLICY: Final = b"signing-policy/"
REALM: Final = b"realm/"
REALM_SERVER: Final = b"realm-server/"
REALM_CLIENT: Final = b"realm-client/"
REALM_CLIENT_NUMBER: Final = b"realm-client-number/"
PERMIT: Final = b"permit/"

LEAF_PREFIXES: Final = (
    PARAMS, CHAIN, IDENTITY, IDENTITY_HISTORY, TX_KEY_OWNER, BLS_KEY_OWNER, FIDUCIARY, VALIDATOR_KEY_OWNER,
    VALIDATOR_ADDRESS, VALIDATOR_CHANGE,
    COUNTER, SEEN_BUCKET, VAULT, VAULT_KEY, ORDER, FULFILMENT, REQUEST, DECISION, ANSWER,
    PROPOSAL, VOTE, UPGRADE,
    AUTHORITY, AUTHORITY_NUMBER, EPOCH, MEMBER, CEREMONY, CEREMONY_PARTY, DEALING, USED_POINT,
    EXTRACTION, EXTRACTION_ITEM, PARTIAL, EXTRACTION_LOAD, SIGNING, SIGNING_POLICY,
    REALM, REALM_SERVER, REALM_CLIENT, REALM_CLIENT_NUMBER, PERMIT,
)  # fmt: skip

# --- indexes --------------------------------------------------------------------------------------------------
DUE: Final = b"due/"
DEADLINE_TIME: Final = b"deadline-time/"
DEADLINE_HEIGHT: Final = b"deadline-height/"
SEEN: Final = b"seen/"
VAULT_ORDERS: Final = b"vault-orders/"
ORDER_REQUESTS: Final = b"order-requests/"
OPEN_REQUESTS: Final = b"open-requests/"
PRINCIPAL_ORDERS: Final = b"principal-orders/"
PRINCIPAL_VAULTS: Final = b"principal-vaults/"
FIDUCIARY_VAULTS: Final = b"fiduciary-vaults/"
OPEN_PROPOSALS: Final = b"open-proposals/"
WAITING_PROPOSALS: Final = b"waiting-proposals/"
OPEN_CEREMONIES: Final = b"open-ceremonies/"
FIDUCIARY_CEREMONIES: Final = b"fiduciary-ceremonies/"
REFRESH: Final = b"refresh/"
OPEN_EXTRACTIONS: Final = b"open-extractions/"

INDEX_PREFIXES: Final = (
    DUE, DEADLINE_TIME, DEADLINE_HEIGHT, SEEN, VAULT_ORDERS, ORDER_REQUESTS, OPEN_REQUESTS,
    PRINCIPAL_ORDERS, PRINCIPAL_VAULTS, FIDUCIARY_VAULTS, OPEN_PROPOSALS, WAITING_PROPOSALS,
    OPEN_CEREMONIES, FIDUCIARY_CEREMONIES, REFRESH,
    OPEN_EXTRACTIONS,
)  # fmt: skip


def params() -> bytes:
    return PARAMS


def chain() -> bytes:
    return CHAIN


def identity(id_: bytes) -> bytes:
    return IDENTITY + id_


def identity_history(id_: bytes, sequence: int) -> bytes:
    return IDENTITY_HISTORY + id_ + u32(sequence)


def tx_key_owner(public_key: bytes) -> bytes:
    """Which identity an Ed25519 transaction or node key belongs to, ever."""
    return TX_KEY_OWNER + public_key


def bls_key_owner(public_key: bytes) -> bytes:
    return BLS_KEY_OWNER + public_key


def fiduciary(id_: bytes) -> bytes:
    return FIDUCIARY + id_


def validator_key_owner(public_key: bytes) -> bytes:
    """Which fiduciary a consensus key belongs to, ever."""
    return VALIDATOR_KEY_OWNER + public_key


def validator_address(public_key: bytes) -> bytes:
    """By CometBFT's address of the key (the first 20 bytes of its SHA-256): what evidence names."""
    return VALIDATOR_ADDRESS + sha256(public_key).digest()[:20]


def validator_change(height: int) -> bytes:
    """The change of the validators that was decided at ``height``: one at most."""
    return VALIDATOR_CHANGE + u64(height)


def counter(id_: bytes) -> bytes:
    return COUNTER + id_


def seen_bucket(expires_at_height: int) -> bytes:
    return SEEN_BUCKET + u64(expires_at_height)


def vault(id_: bytes) -> bytes:
    return VAULT + id_


def vault_key(vault_id: bytes, fiduciary_id: bytes) -> bytes:
    return VAULT_KEY + vault_id + fiduciary_id


def order(id_: bytes) -> bytes:
    return ORDER + id_


def fulfilment(order_id: bytes, fiduciary_id: bytes) -> bytes:
    return FULFILMENT + order_id + fiduciary_id


def request(id_: bytes) -> bytes:
    return REQUEST + id_


def decision(request_id: bytes, party: bytes) -> bytes:
    return DECISION + request_id + party


def answer(request_id: bytes, fiduciary_id: bytes) -> bytes:
    return ANSWER + request_id + fiduciary_id


def authority(id_: bytes) -> bytes:
    return AUTHORITY + id_


def authority_number(number: int) -> bytes:
    """The id of the authority that was created as this one, from 1; at 0 how many there are (u32)."""
    return AUTHORITY_NUMBER + u32(number)


def epoch(authority_id: bytes, number: int) -> bytes:
    return EPOCH + authority_id + u32(number)


def member(authority_id: bytes, epoch_number: int, index: int | None = None) -> bytes:
    """An epoch's member of this index; without one, the prefix of all of them."""
    return MEMBER + authority_id + u32(epoch_number) + (b"" if index is None else u32(index))


def ceremony(id_: bytes) -> bytes:
    return CEREMONY + id_


def ceremony_party(ceremony_id: bytes, position: int | None = None) -> bytes:
    """A party of an attempt, counted from 1; without one, the prefix of all of them."""
    return CEREMONY_PARTY + ceremony_id + (b"" if position is None else u32(position))


def dealing(ceremony_id: bytes, position: int, chunk: int) -> bytes:
    """What the party of this position dealt, in chunks counted from 0."""
    return DEALING + ceremony_id + u32(position) + u32(chunk)


def used_point(point: bytes) -> bytes:
    """What a one-time public key (an ephemeral, a ceremony key, a transport key) was used for: once, ever."""
    return USED_POINT + point


def proposal(id_: bytes) -> bytes:
    return PROPOSAL + id_


def vote(proposal_id: bytes, fiduciary_id: bytes) -> bytes:
    return VOTE + proposal_id + fiduciary_id


def upgrade() -> bytes:
    """The one upgrade that is planned, if any."""
    return UPGRADE


def extraction(request_id: bytes) -> bytes:
    return EXTRACTION + request_id


def extraction_item(request_id: bytes, item: int) -> bytes:
    return EXTRACTION_ITEM + request_id + u32(item)


def partial(request_id: bytes, item: int, epoch_number: int, fiduciary_id: bytes) -> bytes:
    return PARTIAL + request_id + u32(item) + u32(epoch_number) + fiduciary_id


def extraction_load(authority_id: bytes, holder: bytes = b"") -> bytes:
    """All that is open of an authority, or what is of one principal's orders."""
    return EXTRACTION_LOAD + authority_id + holder


def signing(request_id: bytes) -> bytes:
    return SIGNING + request_id


def signing_policy(authority_id: bytes) -> bytes:
    return SIGNING_POLICY + authority_id


def realm(id_: bytes) -> bytes:
    return REALM + id_


def realm_server(realm_id: bytes, server: bytes) -> bytes:
    return REALM_SERVER + realm_id + server


def realm_client(realm_id: bytes, client: bytes) -> bytes:
    """A client is the salted hash of its name."""
    return REALM_CLIENT + realm_id + client


def realm_client_number(realm_id: bytes, number: int) -> bytes:
    """Which client has this number, from 0: so that anybody can go through all of a realm's."""
    return REALM_CLIENT_NUMBER + realm_id + u32(number)


def permit(realm_id: bytes, day: int, client: bytes) -> bytes:
    """That a permit was asked for. Where it is absent, none was and, once the day is over, none ever will be."""
    return PERMIT + realm_id + u32(day) + client


# --- index keys -----------------------------------------------------------------------------------------------
def due_prefix(fiduciary_id: bytes) -> bytes:
    return DUE + fiduciary_id


def due(fiduciary_id: bytes, kind: int, subject: bytes) -> bytes:
    """What this fiduciary's node owes, by :class:`abci_app.state.due.DueKind`. Value: u64 time_s | u64 height."""
    return DUE + fiduciary_id + bytes([kind]) + subject


def deadline_time(time_s: int, kind: int, subject: bytes) -> bytes:
    """What ends at a block time, in (deadline, kind, id) order."""
    return DEADLINE_TIME + u64(time_s) + bytes([kind]) + subject


def deadline_height(height: int, kind: int, subject: bytes) -> bytes:
    """What ends at a height, in (deadline, kind, id) order."""
    return DEADLINE_HEIGHT + u64(height) + bytes([kind]) + subject


def seen(expires_at_height: int, replay_key: bytes) -> bytes:
    return SEEN + u64(expires_at_height) + replay_key


def vault_orders(vault_id: bytes, order_id: bytes = b"") -> bytes:
    """A vault's orders that are still open."""
    return VAULT_ORDERS + vault_id + order_id


def order_requests(order_id: bytes, request_id: bytes = b"") -> bytes:
    """An order's requests, ended ones too."""
    return ORDER_REQUESTS + order_id + request_id


def open_requests(order_id: bytes, request_id: bytes = b"") -> bytes:
    """An order's requests that may still change: pending, granted, or waiting for late answers."""
    return OPEN_REQUESTS + order_id + request_id


def principal_orders(principal: bytes, order_id: bytes = b"") -> bytes:
    return PRINCIPAL_ORDERS + principal + order_id


def principal_vaults(principal: bytes, vault_id: bytes = b"") -> bytes:
    return PRINCIPAL_VAULTS + principal + vault_id


def fiduciary_vaults(fiduciary_id: bytes, vault_id: bytes = b"") -> bytes:
    """The vaults that name a fiduciary and are not closed."""
    return FIDUCIARY_VAULTS + fiduciary_id + vault_id


def open_proposals(proposer: bytes, proposal_id: bytes = b"") -> bytes:
    """A fiduciary's proposals that are open, or passed and waiting."""
    return OPEN_PROPOSALS + proposer + proposal_id


def waiting_proposals(passed_height: int, proposal_id: bytes) -> bytes:
    """Proposals that passed and wait for room among the validators, the first one first."""
    return WAITING_PROPOSALS + u64(passed_height) + proposal_id


def open_ceremonies(ceremony_id: bytes = b"") -> bytes:
    """The attempts under way."""
    return OPEN_CEREMONIES + ceremony_id


def fiduciary_ceremonies(fiduciary_id: bytes, ceremony_id: bytes = b"") -> bytes:
    """Every attempt that a fiduciary was a party of."""
    return FIDUCIARY_CEREMONIES + fiduciary_id + ceremony_id


def refresh(height: int, authority_id: bytes) -> bytes:
    """When an authority's next scheduled refresh begins."""
    return REFRESH + u64(height) + authority_id
def open_extractions(authority_id: bytes, request_id: bytes = b"") -> bytes:
    """A key's requests that are pending: what starts again when its epoch changes."""
    return OPEN_EXTRACTIONS + authority_id + request_id
