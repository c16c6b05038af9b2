"""Every code that the ledger answers with: one row each. Codes are consensus data (they enter the results hash).

A code never changes its number or meaning; a new one takes a free number. ``retry``: the same bytes may succeed later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """docs/spec/codes.md has the same table for people; a test compares the two."""

    OK = 0
    INTERNAL = 1
    # 10..39: the transaction as such
    MALFORMED = 10
    NOT_CANONICAL = 11
    TOO_LARGE = 12
    TOO_COSTLY = 13
    WRONG_CHAIN = 14
    EXPIRED = 15
    EXPIRY_TOO_FAR = 16
    REPLAYED = 17
    UNKNOWN_SIGNER = 18
    SIGNER_SUSPENDED = 19
    SIGNER_REVOKED = 20
    SIGNER_NOT_VALID_NOW = 21
    BAD_SIGNATURE = 22
    TOO_MANY = 23
    BUSY = 24
    NOT_DUE = 25
    FIELD_INVALID = 26
    NOT_ALLOWED = 27
    BLOCK_FULL = 28
    FAILED = 29
    # 40..69: identities
    DOCUMENT_MALFORMED = 40
    DOCUMENT_PROOF = 41
    IDENTITY_EXISTS = 42
    KEY_TAKEN = 43
    SPONSOR_REQUIRED = 44
    NEXT_KEY_MISMATCH = 45
    REGISTRATIONS_FULL = 47
    DOCUMENT_CHAIN = 48
    DOCUMENT_NOT_VALID_NOW = 50
    # 70..99: vaults
    UNKNOWN_VAULT = 70
    DUPLICATE = 71
    UNKNOWN_CUSTODIAN = 72
    UNKNOWN_FIDUCIARY = 73
    FIDUCIARY_NOT_ACTIVE = 74
    NOT_NAMED = 75
    ALREADY_DONE = 76
    VAULT_NOT_OPEN = 77
    VAULT_HAS_OPEN_ORDERS = 78
    NOT_PRINCIPAL = 79
    VAULT_NOT_CLOSING = 80
    VAULT_NOT_CLOSED = 81
    BAD_HPKE_KEY = 82
    # 100..149: orders and requests
    UNKNOWN_ORDER = 100
    BAD_THRESHOLD = 101
    BAD_COMMITMENTS = 102
    BAD_POLICY = 103
    BAD_RULE = 104
    BAD_CID = 105
    FIDUCIARY_WITHOUT_KEY = 106
    BAD_EXPIRY = 107
    ORDER_NOT_OPEN = 108
    ORDER_NOT_ACTIVE = 109
    ORDER_HAS_GRANTED_REQUEST = 110
    UNKNOWN_REQUEST = 111
    NOT_BENEFICIARY = 112
    AUTHORISATION_INVALID = 113
    REQUEST_NOT_OPEN = 114
    NOT_A_PARTY = 115
    CONTENT_MISMATCH = 116
    VETO_TOO_LATE = 117
    NOT_GRANTED = 118
    NOT_RELEASED_YET = 119
    DEADLINE_PASSED = 120
    POLICY_NOT_IN_FORCE = 121
    REPORT_KEY_MISMATCH = 122
    REPORT_UNFOUNDED = 123
    NO_ANSWER = 124
    BAD_REJECTION = 125
    BAD_REQUEST_KEYS = 126
    NO_VETO_WINDOW = 127
    ORDER_REQUESTS_SPENT = 128
    KEY_REQUESTS_SPENT = 129
    REQUESTER_REVOKED = 130
    # 150..169: validators
    NOT_FIDUCIARY = 150
    VALIDATOR_KEY_USED = 151
    VALIDATOR_KEY_PROOF = 152
    VALIDATOR_CHANGE_TOO_SOON = 153
    LAST_VALIDATOR = 154
    # 170..189: governance
    UNKNOWN_PROPOSAL = 170
    PROPOSAL_NOT_OPEN = 171
    NOT_PROPOSER = 172
    TOO_MANY_PROPOSALS = 173
    UNKNOWN_IDENTITY = 174
    IDENTITY_NOT_ACTIVE = 175
    NO_FIDUCIARY_ROLE = 176
    ALREADY_FIDUCIARY = 177
    TOO_MANY_FIDUCIARIES = 178
    VALIDATOR_CHANGE_TOO_LARGE = 179
    PARAMS_REFUSED = 180
    PARAMS_STALE = 181
    BAD_UPGRADE = 182
    NOTHING_SET_ASIDE = 183
    # 200..219: queries
    QUERY_UNKNOWN_PATH = 200
    QUERY_BEFORE_FIRST_BLOCK = 201
    QUERY_HEIGHT_PRUNED = 202
    QUERY_MALFORMED = 203
    # 220..259: authorities and their ceremonies
    UNKNOWN_CEREMONY = 221
    CEREMONY_UNDER_WAY = 222
    WRONG_PHASE = 223
    NOT_IN_CEREMONY = 224
    TOO_MANY_CEREMONIES = 225
    POINT_USED = 226
    BAD_CURVE_POINT = 227
    ACCEPT_PROOF = 228
    DEALING_MALFORMED = 229
    DEALING_PROOF = 230
    DEALING_CONSTANT = 231
    ACCUSATION_PROOF = 232
    NO_DEALING = 233
    CONFIRM_PROOF = 234
    PARTY_EXCLUDED = 235
    BAD_MEMBERS = 236
    BAD_AUTHORITY = 237
    WRONG_TERMS = 238
    # 260..289: extraction and signing
    UNKNOWN_AUTHORITY = 260
    AUTHORITY_NOT_ACTIVE = 261
    WRONG_PURPOSE = 262
    UNKNOWN_EXTRACTION = 263
    EXTRACTION_ENDED = 264
    WRONG_EPOCH = 265
    NOT_A_MEMBER = 266
    WRONG_FORM = 267
    BAD_ITEMS = 268
    BAD_PARTIAL = 269
    BAD_TRANSPORT_KEY = 270
    BAD_POSSESSION = 271
    AUTHORITY_BUSY = 272
    BAD_SIGNING_ORDER = 273
    RAW_NOT_ALLOWED = 274
    TOO_FEW_NAMES = 275
    # 290..319: M-Pin realms
    UNKNOWN_REALM = 290
    NOT_REGISTRAR = 291
    UNKNOWN_SERVER = 292
    UNKNOWN_CLIENT = 293
    CLIENT_ENROLLED = 294
    CLIENT_REVOKED = 295
    NO_PERMITS = 296
    BAD_PERMIT_DAY = 297
    BAD_REALM_TERMS = 298
    WRONG_SUITE = 299


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """What a code means to a person. ``retry``: sending the very same bytes again may succeed."""

    name: str
    meaning: str
    retry: bool
    hint: str


_NEW_TX = "build a new transaction; the same bytes can't succeed"
_ROWS: Final[dict[Code, tuple[str, bool, str]]] = {
    Code.OK: ("done", False, ""),
    Code.INTERNAL: ("the node failed on this input", True, "ask another node; report it with the transaction"),
    Code.MALFORMED: ("the bytes are not a signed transaction", False, _NEW_TX),
    Code.NOT_CANONICAL: ("the encoding is not the canonical one", False, "encode with the SDK, without unknown fields"),
    Code.TOO_LARGE: ("the transaction is larger than max_tx_bytes", False, "put large data in an envelope, by its CID"),
    Code.TOO_COSTLY: ("the transaction costs more than it may in one block", False, "split it into several"),
    Code.WRONG_CHAIN: ("the transaction names another chain", False, "check --home: its genesis is of another chain"),
    Code.EXPIRED: ("the height is past expires_at_height", False, "build a new transaction with a later expiry"),
    Code.EXPIRY_TOO_FAR: ("expires_at_height is further ahead than max_expiry_blocks", False, "take a nearer expiry"),
    Code.REPLAYED: ("this body of this signer was already included", False, "look at the first one's result"),
    Code.UNKNOWN_SIGNER: ("no such identity is registered", False, "register the identity first"),
    Code.SIGNER_SUSPENDED: ("the signer's identity is suspended", False, "rotate to the next key: that lifts it"),
    Code.SIGNER_REVOKED: ("the signer's identity is revoked", False, "register a new identity"),
    Code.SIGNER_NOT_VALID_NOW: ("the signer's document is not valid at this block time", False, "rotate the document"),
    Code.BAD_SIGNATURE: ("the signature does not verify with the key that must have signed", False, _NEW_TX),
    Code.TOO_MANY: ("the signer has too many transactions in this block", False, "spread them over several blocks"),
    Code.BUSY: ("the mempool has no room for it now", True, "send it again in a few seconds"),
    Code.NOT_DUE: ("nothing is due of this kind from this fiduciary", False, "the state has it already, or not yet"),
    Code.FIELD_INVALID: ("a field has a wrong length or value", False, _NEW_TX),
    Code.NOT_ALLOWED: ("this key may not sign this kind of message", False, "sign with the operator key"),
    Code.BLOCK_FULL: ("the block's cost was used up", False, "send it again in a new transaction"),
    Code.FAILED: ("execution failed; nothing was changed", False, "report it with the transaction"),
    Code.DOCUMENT_MALFORMED: ("the identity document is malformed", False, "create it with `dta identity create`"),
    Code.DOCUMENT_PROOF: ("a proof of possession or the envelope's signature is wrong", False, "create it again"),
    Code.IDENTITY_EXISTS: ("this identity is registered already", False, "nothing to do"),
    Code.KEY_TAKEN: ("a key of the document belongs to an identity already", False, "use fresh keys"),
    Code.SPONSOR_REQUIRED: ("registration needs a fiduciary as sponsor", False, "have it run `dta identity sponsor`"),
    Code.NEXT_KEY_MISMATCH: ("the key is not the one that the current document commits to", False, "use the next key"),
    Code.REGISTRATIONS_FULL: ("too many registrations in a block, or of a sponsor", False, "send a new transaction"),
    Code.DOCUMENT_CHAIN: ("the document does not follow the current one", False, "build it on the current document"),
    Code.DOCUMENT_NOT_VALID_NOW: ("the document's validity does not cover now", False, "set not_before and not_after"),
    Code.UNKNOWN_VAULT: ("no such vault", False, "check the vault's id"),
    Code.DUPLICATE: ("the nonce was used: it exists already", False, "nothing was made twice; look at the first"),
    Code.UNKNOWN_CUSTODIAN: ("no such custodian in params.custodians", False, "see `dta status` for those allowed"),
    Code.UNKNOWN_FIDUCIARY: ("a named fiduciary is not known", False, "see `dta identity list --fiduciaries`"),
    Code.FIDUCIARY_NOT_ACTIVE: ("a named fiduciary is not active", False, "name others"),
    Code.NOT_NAMED: ("the fiduciary is not named there", False, "only those named may act"),
    Code.ALREADY_DONE: ("this was done already", False, "nothing to do"),
    Code.VAULT_NOT_OPEN: ("the vault is not open", False, "open another vault"),
    Code.VAULT_HAS_OPEN_ORDERS: ("the vault has open orders", False, "close its orders first"),
    Code.NOT_PRINCIPAL: ("only the principal may do this", False, "sign as the principal"),
    Code.VAULT_NOT_CLOSING: ("the vault is not closing", False, "nothing to cancel"),
    Code.VAULT_NOT_CLOSED: ("the vault's closing delay has not passed", True, "wait for it"),
    Code.BAD_HPKE_KEY: ("the HPKE key is malformed", False, "publish a well-formed key"),
    Code.UNKNOWN_ORDER: ("no such order", False, "check the order's reference"),
    Code.BAD_THRESHOLD: ("the threshold must be 1 to the number of fiduciaries", False, "choose another threshold"),
    Code.BAD_COMMITMENTS: ("one 32-byte commitment a fiduciary and one to the key are needed", False, _NEW_TX),
    Code.BAD_POLICY: (
        "the policy is malformed, too large, or its veto window too long", False, "see docs/spec/custody.md, Policies",
    ),
    Code.BAD_RULE: ("the beneficiary rule is malformed", False, "name one identity, or none"),
    Code.BAD_CID: ("the CID is not a CIDv1 of a raw sha2-256 block", False, "use the CID that the store gave"),
    Code.FIDUCIARY_WITHOUT_KEY: ("a named fiduciary has no key in this vault", True, "wait for it, or leave it out"),
    Code.BAD_EXPIRY: ("the order would be expired already", False, "choose a later expiry"),
    Code.ORDER_NOT_OPEN: ("the order is closed, expired or failed", False, "nothing more can be done with it"),
    Code.ORDER_NOT_ACTIVE: ("the order is not active", True, "wait until enough fiduciaries fulfilled it"),
    Code.ORDER_HAS_GRANTED_REQUEST: ("a request is granted and unanswered", True, "wait until it is answered or ends"),
    Code.UNKNOWN_REQUEST: ("no such request", False, "check the request's id"),
    Code.NOT_BENEFICIARY: ("the signer is not the order's beneficiary", False, "only the beneficiary may request"),
    Code.AUTHORISATION_INVALID: ("the principal's authorisation is missing or wrong", False, "ask the principal"),
    Code.REQUEST_NOT_OPEN: ("the request is not open", False, "make a new request"),
    Code.NOT_A_PARTY: ("the signer is no party of the policy", False, "only its parties decide"),
    Code.CONTENT_MISMATCH: ("the decision names other content than the request's", False, "read the request again"),
    Code.VETO_TOO_LATE: ("the veto window is over", False, "the release can't be stopped any more"),
    Code.NOT_GRANTED: ("the request is not granted", False, "the policy is not satisfied"),
    Code.NOT_RELEASED_YET: ("the veto window is not over, or its turn has not come", True, "wait for it"),
    Code.DEADLINE_PASSED: ("the deadline has passed", False, "make a new request"),
    Code.POLICY_NOT_IN_FORCE: ("the policy does not allow requests now", False, "see its not-before and not-after"),
    Code.REPORT_KEY_MISMATCH: ("the revealed key is not the one for this fiduciary", False, "reveal that key"),
    Code.REPORT_UNFOUNDED: ("the answer opens and matches its commitment", False, "the share is good; use it"),
    Code.NO_ANSWER: ("the fiduciary has not answered", False, "there is nothing to report"),
    Code.BAD_REJECTION: ("the rejection's reason is unknown", False, "use one of the enumerated reasons"),
    Code.BAD_REQUEST_KEYS: ("one key digest a fiduciary of the order is needed", False, "make one fresh key for each"),
    Code.NO_VETO_WINDOW: ("the order's policy has no veto window", False, "only a policy with one can be vetoed"),
    Code.ORDER_REQUESTS_SPENT: (
        "the order had as many requests and answers as its receipt may hold, or those open may make it so", False,
        "wait until an open one is settled, or have the principal place another order",
    ),
    Code.KEY_REQUESTS_SPENT: (
        "the key that signs has made half of the requests that the other keys left", False,
        "rotate the identity: another key has half of what is left",
    ),
    Code.REQUESTER_REVOKED: ("who asked for it is revoked", False, "nothing is owed for it any more"),
    Code.NOT_FIDUCIARY: ("the signer is not an active fiduciary", False, "only an active fiduciary may do this"),
    Code.VALIDATOR_KEY_USED: ("this consensus key was used before, or is malformed", False, "make a new one"),
    Code.VALIDATOR_KEY_PROOF: ("the new consensus key did not sign for this fiduciary and key", False, "sign it again"),
    Code.VALIDATOR_CHANGE_TOO_SOON: (
        "too much voting power would change within validator_change_window_blocks", False,
        "send a new transaction once the window is over",
    ),
    Code.LAST_VALIDATOR: (
        "no other validator would be left, or too few fiduciaries to decide anything", False,
        "the last one stays as it is; remove a fiduciary before its identity is revoked",
    ),
    Code.UNKNOWN_PROPOSAL: ("no such proposal", False, "see `dta governance list`"),
    Code.PROPOSAL_NOT_OPEN: ("the proposal is not open any more", False, "propose it again"),
    Code.NOT_PROPOSER: ("only its proposer may withdraw a proposal", False, "vote against it"),
    Code.TOO_MANY_PROPOSALS: (
        "the fiduciary has max_open_proposals open already", False, "withdraw one, or wait until one is decided",
    ),
    Code.UNKNOWN_IDENTITY: ("the identity that it concerns is not registered", False, "register it first"),
    Code.IDENTITY_NOT_ACTIVE: (
        "the identity that it concerns is suspended, revoked or out of date", False, "have it rotate its document",
    ),
    Code.NO_FIDUCIARY_ROLE: (
        "the identity's document has not the fiduciary role", False, "make one with `dta init join`",
    ),
    Code.ALREADY_FIDUCIARY: ("the identity is an active fiduciary already", False, "there is nothing to admit"),
    Code.TOO_MANY_FIDUCIARIES: ("there are max_fiduciaries already", False, "remove one, or raise the parameter"),
    Code.VALIDATOR_CHANGE_TOO_LARGE: (
        "the change alone is a third of the voting power or more", False, "admit with less power",
    ),
    Code.PARAMS_REFUSED: ("the parameters are not acceptable", False, "see docs/spec/parameters.md for the bounds"),
    Code.PARAMS_STALE: ("other parameters are in force than those it was built on", False, "propose it on those"),
    Code.BAD_UPGRADE: ("the upgrade's height or version can't be", False, "a later height, and a version to come"),
    Code.NOTHING_SET_ASIDE: ("nothing was set aside", False, "there is nothing to try again"),
    Code.QUERY_UNKNOWN_PATH: ("no such query path", False, "use /store or /app/height"),
    Code.QUERY_BEFORE_FIRST_BLOCK: ("there is no block yet", True, "wait for block 1"),
    Code.QUERY_HEIGHT_PRUNED: ("state of that height is not kept (or not there yet)", False, "ask for a recent height"),
    Code.QUERY_MALFORMED: ("the query is malformed", False, "see docs/spec/abci-server.md"),
    Code.UNKNOWN_CEREMONY: ("no such ceremony", False, "see `dta authority show`"),
    Code.CEREMONY_UNDER_WAY: ("a ceremony of this authority is under way", False, "wait until it ends"),
    Code.WRONG_TERMS: (
        "the ceremony that waits for consent has other terms", False,
        "look at it again: `dta authority show`, then `dta authority accept`",
    ),
    Code.WRONG_PHASE: ("the ceremony is not in the phase for this", False, "see `dta authority show`"),
    Code.NOT_IN_CEREMONY: ("the fiduciary has no such part in this ceremony", False, "only its parties may act"),
    Code.TOO_MANY_CEREMONIES: ("max_open_ceremonies are under way", False, "propose it again once one has ended"),
    Code.POINT_USED: ("this one-time public key was used before", False, "make a fresh key"),
    Code.BAD_CURVE_POINT: (
        "a point is malformed, outside the subgroup, or the identity", False,
        "encode a point of the subgroup",
    ),
    Code.ACCEPT_PROOF: ("the proof for the encryption key is wrong", False, "make the key and its proof again"),
    Code.DEALING_MALFORMED: (
        "the dealing has not the form that the record asks for", False,
        "one commitment a coefficient, one share a member",
    ),
    Code.DEALING_PROOF: ("the dealing's proof is wrong", False, "make the dealing again"),
    Code.DEALING_CONSTANT: (
        "the dealing's constant term is not the one that it must have", False,
        "deal the share of the epoch in force",
    ),
    Code.ACCUSATION_PROOF: ("an accusation's proof is wrong", False, "open the share with the ceremony's own key"),
    Code.NO_DEALING: ("the accused has no dealing in this ceremony", False, "accuse only who has dealt"),
    Code.CONFIRM_PROOF: ("the proof of a usable share is wrong", False, "confirm only a share that opens"),
    Code.PARTY_EXCLUDED: (
        "the fiduciary's identity changed since the record was frozen, or it lost its seat", False,
        "wait for the next ceremony",
    ),
    Code.BAD_MEMBERS: (
        "the members must be active fiduciaries, sorted by id, each once", False,
        "see `dta governance show` for those active",
    ),
    Code.BAD_AUTHORITY: (
        "the authority's purpose, name or refresh interval is not allowed", False,
        "an mfa key is made with its realm",
    ),
    Code.UNKNOWN_AUTHORITY: ("no such authority key", False, "see `dta authority list`"),
    Code.AUTHORITY_NOT_ACTIVE: ("the authority key is not in force", True, "see `dta authority show`"),
    Code.WRONG_PURPOSE: ("the authority key is for another purpose", False, "take a key of the right purpose"),
    Code.UNKNOWN_EXTRACTION: ("no such extraction request", False, "check the request's id"),
    Code.EXTRACTION_ENDED: ("enough members answered, or the request ended", False, "nothing is left to do for it"),
    Code.WRONG_EPOCH: ("the partials are of another epoch than the one in force", False, "make them anew"),
    Code.NOT_A_MEMBER: ("the fiduciary holds no share of the key in this epoch", False, "only members answer"),
    Code.WRONG_FORM: ("this request is answered by another kind of message", False, "send that kind"),
    Code.BAD_ITEMS: ("too many items or none, or not one partial for each in order", False, "split the request"),
    Code.BAD_PARTIAL: ("a partial is malformed or its proof does not verify", False, "it was made wrongly"),
    Code.BAD_TRANSPORT_KEY: ("the transport key is no point of its group, or the identity", False, "make a fresh key"),
    Code.BAD_POSSESSION: ("the transport key's possession is not proved for this request", False, "prove it again"),
    Code.AUTHORITY_BUSY: (
        "the key's members owe answers to max_open_extractions requests", True, "wait until some are answered",
    ),
    Code.BAD_SIGNING_ORDER: ("the signing order's kind, message or digest is malformed", False, "see `dta sign`"),
    Code.RAW_NOT_ALLOWED: ("the key's signing policy does not allow raw messages", False, "sign it under a kind"),
    Code.TOO_FEW_NAMES: (
        "the order names more identities than it says", False,
        "the key's signing policy has changed: count again whom the order names",
    ),
    Code.UNKNOWN_REALM: ("no such realm", False, "see `dta mfa realm list`"),
    Code.NOT_REGISTRAR: ("only the realm's registrar may do this", False, "sign as the registrar"),
    Code.UNKNOWN_SERVER: ("the identity is no server of the realm", False, "the registrar registers servers"),
    Code.UNKNOWN_CLIENT: ("no such client was enrolled in the realm", False, "enrol it first"),
    Code.CLIENT_ENROLLED: ("the client was enrolled before", False, "enrol it again by ReenrolClients"),
    Code.CLIENT_REVOKED: ("the client is revoked", False, "enrol the person anew, under another salt"),
    Code.NO_PERMITS: ("the realm's logins take no permits", False, "nothing to issue"),
    Code.BAD_PERMIT_DAY: ("no permit is issued for that day now", False, "take today; see permit_ahead_s"),
    Code.WRONG_SUITE: ("the realm has another suite than the message says", False, "see `dta mfa realm show`"),
    Code.BAD_REALM_TERMS: ("the realm's terms are malformed", False, "see docs/spec/mfa.md, Realms"),
}

CODES: Final[dict[int, CodeInfo]] = {
    int(code): CodeInfo(code.name, meaning, retry, hint) for code, (meaning, retry, hint) in _ROWS.items()
}


def info(code: int) -> CodeInfo:
    """The row of ``code``; an unknown number (a newer ledger's) gets a row that says so."""
    return CODES.get(code) or CodeInfo(f"CODE_{code}", "a code that this version does not know", False, "upgrade dta")
