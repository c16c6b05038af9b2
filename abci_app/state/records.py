"""The kinds of leaf, one declaration each: the table of docs/spec/state.md is made of it.

Leaves are authenticated: they enter the tree and so the app hash. A record that one message alone writes may be
declared in that message's module instead; :data:`abci_app.messages.registry.LEAVES` has them all.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from abci_app.errors import StateBroken
from abci_app.limits import BLS_KEY_BYTES
from abci_app.pb.dta.v1 import (
    authority_pb2,
    concern_pb2,
    custody_pb2,
    extraction_pb2,
    governance_pb2,
    identity_pb2,
    mfa_pb2,
    params_pb2,
)
from abci_app.state.collection import Table, at
from abci_app.state.view import StateView

_TABLE = Table()

PARAMS = _TABLE.records(params_pb2.Params, at("params/"), label="parameters", written_by="genesis, what was voted on")
CHAIN = _TABLE.records(
    params_pb2.ChainRecord, at("chain/"), label="chain record", note="chain id, genesis id", written_by="genesis"
)

# --- identities and validators --------------------------------------------------------------------------------
IDENTITIES = _TABLE.records(
    identity_pb2.IdentityRecord,
    at("id/").id("identity"),
    label="identity {identity}",
    written_by="registration, rotation, suspension, revocation (also by vote)",
)
IDENTITY_HISTORY = _TABLE.records(
    identity_pb2.IdentityHistory,
    at("id-history/").id("identity").u32("sequence"),
    label="history entry {sequence} of identity {identity}",
    note="one leaf an entry",
    written_by="the same",
)
TX_KEY_OWNERS = _TABLE.values(
    at("tx-key/").id("Ed25519 key"),
    label="owner of the key {Ed25519 key}",
    value="identity: whose it is, for ever (transaction and node keys)",
    written_by="registration, rotation",
)
BLS_KEY_OWNERS = _TABLE.values(
    at("bls-key/").fixed("BLS key", BLS_KEY_BYTES),
    label="owner of the BLS key {BLS key}",
    value="identity: whose it is, for ever",
    written_by="registration, rotation",
)
FIDUCIARIES = _TABLE.records(
    identity_pb2.FiduciaryRecord,
    at("fiduciary/").id("identity"),
    label="fiduciary {identity}",
    written_by="genesis, evidence, RotateValidatorKey, admission, removal",
)
VALIDATOR_KEY_OWNERS = _TABLE.values(
    at("validator-key/").id("consensus key"),
    label="owner of the consensus key {consensus key}",
    value="identity: whose it is, for ever",
    written_by="genesis, RotateValidatorKey, admission",
)
ADDRESS_BYTES: Final = 20
VALIDATOR_ADDRESSES = _TABLE.values(
    at("validator-address/").fixed("address", ADDRESS_BYTES, text="first 20 bytes of SHA-256(consensus key)"),
    label="owner of the validator address {address}",
    value="identity",
    written_by="genesis, RotateValidatorKey, admission",
)
VALIDATOR_CHANGES = _TABLE.records(
    identity_pb2.ValidatorChange,
    at("validator-change/").u64("height"),
    label="change of the validators at height {height}",
    note="which key came, went or took another's place",
    written_by="RotateValidatorKey, admission, removal",
)

# --- what a block does besides its transactions ----------------------------------------------------------------
CURSORS = _TABLE.values(
    at("cursor/").u8("queue"),
    label="where queue {queue} goes on",
    value="id of the item after which the queue goes on in the next block; absent: from its beginning",
    written_by="the end of a block",
)
SET_ASIDE = _TABLE.records(
    governance_pb2.SetAside,
    at("set-aside/").u8("kind").id("subject"),
    label="item {subject} of kind {kind} that was set aside",
    note="a deadline or a step that failed, until it is tried again",
    written_by="the sweep, the end of a block",
)

# --- vaults, orders, requests ---------------------------------------------------------------------------------
COUNTERS = _TABLE.records(
    custody_pb2.CounterRecord,
    at("counter/").id("identity"),
    label="counters of {identity}",
    note="orders and vaults, open and ever; entries of `concern/`; requests that wait",
    written_by="vaults, orders, requests, the sweep, releases; whatever names an identity",
)
CONCERNS = _TABLE.records(
    concern_pb2.ConcernRecord,
    at("concern/").id("identity").u32("number"),
    label="entry {number} of what concerns {identity}",
    note="a record that names it (docs/spec/concerns.md)",
    written_by="orders, requests, vaults, realms, ceremonies that ask for consent, proposals",
)
SEEN_BUCKETS = _TABLE.values(
    at("seen-bucket/").u64("expiry height"),
    label="replay bucket of height {expiry height}",
    value="u64 count, 32-byte running hash of the replay keys",
    written_by="every transaction that is consumed",
)
VAULTS = _TABLE.records(
    custody_pb2.VaultRecord, at("vault/").id("vault"), label="vault {vault}", written_by="vaults, the sweep"
)
VAULT_KEYS = _TABLE.records(
    custody_pb2.VaultKeyRecord,
    at("vault-key/").id("vault").id("fiduciary"),
    label="key of fiduciary {fiduciary} in vault {vault}",
    written_by="PublishVaultKey, ConfirmVaultErased",
)
ORDERS = _TABLE.records(
    custody_pb2.OrderRecord,
    at("order/").id("order"),
    label="order {order}",
    written_by="orders, requests, the sweep, the end of a block",
)
FULFILMENTS = _TABLE.records(
    custody_pb2.FulfilmentRecord,
    at("fulfilment/").id("order").id("fiduciary"),
    label="fulfilment of order {order} by {fiduciary}",
    written_by="FulfilOrder, RejectOrder",
)
REQUESTS = _TABLE.records(
    custody_pb2.RequestRecord,
    at("request/").id("request"),
    label="request {request}",
    written_by="requests, the sweep, the end of a block",
)
REQUEST_NUMBERS = _TABLE.values(
    at("request-number/").id("order").u32("number"),
    label="request number {number} of order {order}",
    value="the id of the order's request of this number, from 1",
    written_by="RequestSecret, PlaceSigningOrder",
)
DECISIONS = _TABLE.records(
    custody_pb2.DecisionRecord,
    at("decision/").id("request").id("party"),
    label="decision on request {request} by {party}",
    note="an approval or a veto",
    written_by="requests",
)
ANSWERS = _TABLE.records(
    custody_pb2.AnswerRecord,
    at("answer/").id("request").id("fiduciary"),
    label="answer to request {request} by {fiduciary}",
    note="what was sealed",
    written_by="FulfilSecret, ReportShare",
)

# --- governance -----------------------------------------------------------------------------------------------
PROPOSALS = _TABLE.records(
    governance_pb2.ProposalRecord,
    at("proposal/").id("proposal"),
    label="proposal {proposal}",
    written_by="Propose, votes, the end of a block, the sweep",
)
VOTES = _TABLE.records(
    governance_pb2.VoteRecord,
    at("vote/").id("proposal").id("fiduciary"),
    label="vote on proposal {proposal} by {fiduciary}",
    written_by="Propose, Vote",
)
UPGRADES = _TABLE.records(
    governance_pb2.UpgradeRecord,
    at("upgrade/"),
    label="planned upgrade",
    note="the one that was decided last",
    written_by="the end of a block",
)

# --- authorities and their ceremonies -------------------------------------------------------------------------
AUTHORITIES = _TABLE.records(
    authority_pb2.AuthorityRecord,
    at("authority/").id("authority"),
    label="authority {authority}",
    note="purpose, public key, epoch in force, ceremony under way",
    written_by="governance, ceremonies",
)
AUTHORITY_NUMBERS = _TABLE.values(
    at("authority-number/").u32("number"),
    label="authority number {number}",
    value="the id of the authority that was created as this one, from 1; at 0, how many there are (u32)",
    written_by="governance",
)
EPOCHS = _TABLE.records(
    authority_pb2.EpochRecord,
    at("epoch/").id("authority").u32("epoch"),
    label="epoch {epoch} of authority {authority}",
    note="threshold, members, confirmations",
    written_by="ceremonies",
)
MEMBERS = _TABLE.records(
    authority_pb2.MemberRecord,
    at("member/").id("authority").u32("epoch").u32("index"),
    label="member {index} of epoch {epoch} of authority {authority}",
    note="who, its public share",
    written_by="ceremonies",
)
CEREMONIES = _TABLE.records(
    authority_pb2.CeremonyRecord,
    at("ceremony/").id("ceremony"),
    label="ceremony {ceremony}",
    note="an attempt, its phase and counts",
    written_by="ceremonies",
)
CEREMONY_PARTIES = _TABLE.records(
    authority_pb2.CeremonyParty,
    at("ceremony-party/").id("ceremony").u32("position"),
    label="party {position} of ceremony {ceremony}",
    note="what a party of an attempt did, its fault",
    written_by="ceremonies",
)
DEALINGS = _TABLE.values(
    at("dealing/").id("ceremony").u32("position").u32("chunk"),
    label="chunk {chunk} of the dealing of party {position} of ceremony {ceremony}",
    value="at most 4 KiB of a Dealing's encoding",
    written_by="DealShares",
)
USED_POINTS = _TABLE.values(
    at("used-point/").fixed("point", 48, 96, text="compressed point (48 or 96 bytes)"),
    label="use of the point {point}",
    value="the id of what it was used for: a one-time public key is used once, ever",
    written_by="ceremonies, requests",
)

# --- extraction and signing -----------------------------------------------------------------------------------
EXTRACTIONS = _TABLE.records(
    extraction_pb2.ExtractionRecord,
    at("extraction/").id("request"),
    label="extraction {request}",
    note="which key, use and epoch, how many answered",
    written_by="realms, granted requests, their answers, the sweep",
)
EXTRACTION_ITEMS = _TABLE.records(
    extraction_pb2.ExtractionItem,
    at("extraction-item/").id("request").u32("item"),
    label="item {item} of extraction {request}",
    note="the base (a hash to the curve), the transport key, whom it is about",
    written_by="the same",
)
PARTIALS = _TABLE.records(
    extraction_pb2.PartialRecord,
    at("partial/").id("request").u32("item").u32("epoch").id("fiduciary"),
    label="partial of {fiduciary} for item {item} of extraction {request}",
    note="a member's partial and its proof",
    written_by="SubmitPartials, SubmitUnblinded, FulfilSecret",
)
EXTRACTION_LOADS = _TABLE.records(
    extraction_pb2.ExtractionLoad,
    at("extraction-load/").id("authority"),
    label="load of authority {authority}",
    note="how many of its requests are pending, and whose turn was last",
    written_by="the same",
)
SIGNINGS = _TABLE.records(
    extraction_pb2.SigningRecord,
    at("signing/").id("request"),
    label="signing order {request}",
    note="what is signed, and the signature",
    written_by="PlaceSigningOrder; the end of a block, which sums shares up",
)
SIGNING_POLICIES = _TABLE.records(
    extraction_pb2.SigningPolicy,
    at("signing-policy/").id("authority"),
    label="signing policy of {authority}",
    note="who has to agree, whether raw messages are signed; absent: the default",
    written_by="governance",
)

# --- M-Pin realms ---------------------------------------------------------------------------------------------
REALMS = _TABLE.records(
    mfa_pb2.RealmRecord,
    at("realm/").id("realm"),
    label="realm {realm}",
    note="terms, key, servers, how many clients",
    written_by="CreateRealm, servers, enrolments",
)
REALM_SERVERS = _TABLE.records(
    mfa_pb2.MfaServerRecord,
    at("realm-server/").id("realm").id("server"),
    label="server {server} of realm {realm}",
    note="since when, until when, its last request",
    written_by="servers, RequestServerSecret",
)
REALM_CLIENTS = _TABLE.records(
    mfa_pb2.MfaClientRecord,
    at("realm-client/").id("realm").id("client hash"),
    label="client {client hash} of realm {realm}",
    note="status, number, the last enrolment",
    written_by="enrolments, RevokeClient",
)
REALM_CLIENT_NUMBERS = _TABLE.records(
    mfa_pb2.MfaClientNumber,
    at("realm-client-number/").id("realm").u32("number"),
    label="client number {number} of realm {realm}",
    note="which client has it, from 0",
    written_by="EnrolClients",
)
PERMITS = _TABLE.records(
    mfa_pb2.PermitRecord,
    at("permit/").id("realm").u32("day").id("client hash"),
    label="permit of client {client hash} for day {day} in realm {realm}",
    note="which extraction answers it; absent: none was asked for",
    written_by="IssuePermits",
)

LEAVES: Final = tuple(_TABLE.leaves)


def validator_address(public_key: bytes) -> bytes:
    """CometBFT's address of an Ed25519 key: the first 20 bytes of its SHA-256, by which evidence names it."""
    return sha256(public_key).digest()[:ADDRESS_BYTES]


def params(view: StateView) -> params_pb2.Params:
    """The consensus parameters in force. Read only."""
    record = PARAMS.read(view)
    if record is None:
        raise StateBroken("there are no parameters: genesis was not applied")
    return record


def chain(view: StateView) -> params_pb2.ChainRecord:
    """What this chain is: its id and genesis id. Read only."""
    record = CHAIN.read(view)
    if record is None:
        raise StateBroken("there is no chain record: genesis was not applied")
    return record
