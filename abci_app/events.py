"""Events: what doors index, so that a search finds all about an order, a vault, an identity.

Every event has an ``id`` (hex) and an ``action``: search for ``order.id='...'``, ``identity.id='...'``,
``fiduciary.id='...'``. What there is to find is declared once: here or, where one message alone emits it, in that
message's module. The table of docs/spec/events.md is made of the declarations, and a message names those that it emits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_app.block import Event


@dataclass(frozen=True, slots=True)
class Emitted:
    """Events of one kind, told apart by their action. The rest is for people.

    ``attributes`` names, in backticks, what they have beside ``id`` and ``action``; ``note`` follows the actions.
    """

    kind: str
    actions: tuple[str, ...]
    attributes: str
    source: str
    note: str = ""

    def includes(self, event: Event) -> bool:
        """Whether this declares ``event``."""
        return event.kind == self.kind and dict(event.attributes)["action"] in self.actions


_DECLARED: Final[list[Emitted]] = []


def _emitted(kind: str, *actions: str, attributes: str = "-", source: str, note: str = "") -> Emitted:
    made = Emitted(kind, actions, attributes, source, note)
    _DECLARED.append(made)
    return made


SIGNED = _emitted(
    "identity",
    note="the message in lower case: `place-order`, `request-secret`, ...",
    source="every transaction, of its signer",
)
IDENTITY = _emitted(
    "identity", "registered", "rotated", "suspended", "revoked",
    attributes="`document` (CID)", source="the identity's own messages",
)  # fmt: skip
FIDUCIARY_IDENTITY = _emitted(
    "fiduciary", "registered", "rotated", "suspended", "revoked", source="likewise, where it is a fiduciary's"
)
SPONSORED = _emitted("fiduciary", "sponsored", attributes="`identity`", source="RegisterIdentity by a sponsor")
MISBEHAVED = _emitted(
    "fiduciary", "misbehaved",
    attributes="`evidence` (1 duplicate vote, 2 light client attack), `height`", source="CometBFT's evidence",
)  # fmt: skip
MISBEHAVIOUR_UNRECORDED = _emitted(
    "fiduciary", "misbehaved-unrecorded", attributes="`error`", source="the same, where recording it failed"
)
SET_ASIDE = _emitted(
    "upkeep", "set-aside",
    attributes="`of` (the kind in `set-aside/`), `error`", source="a deadline or a step that failed, a defect of ours",
)  # fmt: skip
VOTED = _emitted("fiduciary", "voted", attributes="`proposal`", source="Propose, Vote")
ADMITTED = _emitted(
    "fiduciary", "admitted", attributes="`key`, `power`", source="the end of the block that admits it"
)
REMOVED = _emitted("fiduciary", "removed", source="likewise")
VALIDATOR_KEY_ROTATED = _emitted(
    "fiduciary", "validator-key-rotated", attributes="`key`", source="RotateValidatorKey"
)
NAMED = _emitted(
    "fiduciary", "vault-opened", "order-placed", note="(`id` repeats, one for each named)",
    attributes="`vault`; `order`", source="OpenVault, PlaceOrder",
)  # fmt: skip
VAULT_KEY_BY = _emitted(
    "fiduciary", "vault-key-published", "vault-key-erased", "vault-keystore-replaced",
    attributes="`vault`", source="PublishVaultKey, ConfirmVaultErased",
)  # fmt: skip
ORDER_BY = _emitted(
    "fiduciary", "order-fulfilled", "order-rejected", attributes="`order`", source="FulfilOrder, RejectOrder"
)
SECRET_BY = _emitted(
    "fiduciary", "secret-fulfilled", "answer-proved-bad",
    attributes="`request`, `order`", source="FulfilSecret, ReportShare",
)  # fmt: skip
VAULT = _emitted(
    "vault", "opened", "key-published", "closing", "close-cancelled", "closed", "key-erased", "keystore-replaced",
    attributes="`status`, `principal`; `fiduciary` for the three about a key; `closes_at_time_s` for `closing`",
    source="vault messages; `closed` also at a deadline",
)  # fmt: skip
ORDER = _emitted(
    "order", "placed", "fulfilled", "rejected", "closed", "expired", "failed",
    attributes="`status`, `principal`; `vault` or `authority` for `placed`; `fiduciary` for `fulfilled` and `rejected`",
    source="order messages; `expired` at a deadline",
)  # fmt: skip
_REQUEST_ACTIONS = (
    "requested", "approved", "granted", "released", "answered", "answer-proved-bad", "vetoed", "expired", "cancelled",
)  # fmt: skip
REQUEST_OF_ORDER = _emitted(
    "order", *(f"request-{action}" for action in _REQUEST_ACTIONS),
    attributes="`request`", source="beside each event of the next row",
)  # fmt: skip
REQUEST = _emitted(
    "request", *_REQUEST_ACTIONS,
    attributes="`status`, `order`, `beneficiary`; `party` for `approved`; `fiduciary` for `answered` and"
    " `answer-proved-bad`",
    source="request messages; `granted`, `expired` and `cancelled` also follow from others; `released` (under an"
    " authority key) from a grant, or at the end of a block",
)  # fmt: skip
SIGNATURE_SHARE = _emitted(
    "fiduciary", "signature-share", attributes="`request`, `order`", source="SubmitUnblinded for a signing order"
)
EXTRACTION = _emitted(
    "extraction", "opened", "answered", "completed", "expired", "cancelled", "restarted",
    attributes="`use` (`client`, `server`, `permit`, `custody`, `sign`), `authority`, `subject` (realm or order),"
    " `epoch`; `fiduciary` for `answered`",
    source="what opens a request; its answers; deadlines; an epoch that takes over",
)  # fmt: skip
VETO_CAST = _emitted(
    "request", "veto-cast", attributes="`order`, `party`", source="VetoRequest, before `vetoed`"
)
PROPOSAL = _emitted(
    "proposal", "proposed", "voted", "withdrawn",
    attributes="`status`, `proposes` (`admit-fiduciary`, `change-params`, ...), `proposer`; `fiduciary` and `vote`"
    " (`for`, `against`) for `voted`",
    source="Propose, Vote, WithdrawProposal",
)  # fmt: skip
PROPOSAL_DECIDED = _emitted(
    "proposal", "passed", "executed", "failed", "rejected", "expired",
    attributes="the same; `code` for `failed`", source="the end of a block; `expired` at a deadline",
)  # fmt: skip
CONSENT_ASKED = _emitted(
    "fiduciary", "consent-asked", note="(`id` repeats, one for each party)",
    attributes="`ceremony`", source="the end of the block that begins it",
)  # fmt: skip
CEREMONY_BY = _emitted(
    "fiduciary", "ceremony-consented", "ceremony-declined", "ceremony-accepted", "ceremony-dealt", "ceremony-disputed",
    "share-confirmed",
    attributes="`ceremony`; `authority` for the last", source="the ceremony's messages",
)  # fmt: skip
CEREMONY_FAULT = _emitted(
    "fiduciary", "dealing-proved-wrong", "accused-falsely", attributes="`ceremony`", source="DisputeDealings"
)
AUTHORITY = _emitted(
    "authority", "created", "active", "reshared", "failed",
    attributes="`name`; `epoch` and `ceremony` for `active` and `reshared`; `ceremony` for `failed`",
    source="the end of a block",
)  # fmt: skip
CEREMONY = _emitted(
    "ceremony", "consented", "declined", "accepted", "dealt", "disputed", "confirmed",
    attributes="`authority`, `epoch`, `attempt`, `phase`, `fiduciary`; `accusations` for `disputed`",
    source="the ceremony's messages",
)  # fmt: skip
CEREMONY_JUDGED = _emitted(
    "ceremony", "upheld", "false-accusation",
    attributes="the same, `fiduciary` is at fault; `accuser`; `dealer`", source="DisputeDealings",
)  # fmt: skip
CEREMONY_PHASE = _emitted(
    "ceremony", "consent", "accept", "deal", "dispute", "confirm", "done", "failed",
    note="(the first five: the phase that begins)",
    attributes="`authority`, `epoch`, `attempt`, `phase`; `reason` for `failed`", source="the end of a block",
)  # fmt: skip
CULPRIT = _emitted(
    "ceremony", "culprit", "seat-lost", note="(the latter: not active, or rotated)",
    attributes="the same, `fiduciary`, `fault`", source="beside `failed`, one for each",
)  # fmt: skip
UPGRADE = _emitted(
    "upgrade", "begins", note="(`id` is the gid)",
    attributes="`height`, `version`", source="the end of the block before it",
)  # fmt: skip
REALM_CREATED = _emitted(
    "realm", "created",
    attributes="`authority`, `registrar`", source="CreateRealm, at the end of the block in which it passed",
)  # fmt: skip
REALM_SERVERS = _emitted(
    "realm", "server-registered", "server-removed", "server-secret-requested",
    attributes="`server`; `extraction` for the last", source="RegisterServer, RemoveServer, RequestServerSecret",
)  # fmt: skip
REALM_CLIENTS = _emitted(
    "realm", "clients-enrolled", "clients-reenrolled",
    attributes="`clients` (how many), `extraction`", source="EnrolClients, ReenrolClients",
)  # fmt: skip
PERMITS_ASKED = _emitted(
    "realm", "permits-asked", attributes="`day`, `clients`, `extraction`", source="IssuePermits"
)
CLIENT_REVOKED = _emitted("realm", "client-revoked", attributes="`client`", source="RevokeClient")

EVENTS: Final = tuple(_DECLARED)


def event(kind: str, id_: bytes, action: str, **attributes: bytes | int | str) -> Event:
    """An event about ``id_``. Bytes become hex, numbers decimal; attributes keep the order in which they are given."""
    pairs = [("id", id_.hex()), ("action", action)]
    for name, value in attributes.items():
        pairs.append((name, value.hex() if isinstance(value, bytes) else str(value)))
    return Event(kind, tuple(pairs))
