"""What the leaves of a receipt say about a client's time permit: that there is one, or none, and none to come."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from abci_app.mfa.points import SECONDS_PER_DAY
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import PERMITS, REALM_CLIENTS, REALMS
from dta.base.errors import JsonValue
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.verify import Verified


@dataclass(frozen=True, slots=True)
class PermitAnswer:
    """What is proved at ``height`` of a client's permit for ``day`` (days since the Unix epoch).

    ``asked``: one was asked for. ``revoked_height``: since when the client is revoked, 0 where it is not, or the
    receipt does not say. ``never``: none was asked for and, by the rules of docs/spec/mfa.md, none ever can be.
    """

    realm: bytes
    client: bytes
    day: int
    height: int
    asked: bool
    revoked_height: int
    never: bool


def leaf_keys(realm: bytes, client: bytes, day: int) -> list[bytes]:
    """The leaves that tell, together, whether a client has or can get a permit for a day."""
    return [REALMS.key(realm), REALM_CLIENTS.key(realm, client), PERMITS.key(realm, day, client)]


def answers(verified: Verified) -> list[PermitAnswer]:
    """An answer for every permit's leaf that the receipt shows, there or absent. Raises ReceiptRefused (``claim``)."""
    after = verified.receipt.blocks[-1].header.time.seconds
    found = []
    for key, value in verified.states.items():
        if not PERMITS.holds(key):
            continue
        realm, day, client = PERMITS.split(key)
        revoked = _revoked_height(verified.states.get(REALM_CLIENTS.key(realm, client)))
        over = (day + 1) * SECONDS_PER_DAY <= after  # the next block's time: it and all later ones refuse this day
        never = value is None and (over or revoked > 0)
        found.append(
            PermitAnswer(realm, client, day, verified.state_height, value is not None, revoked, never)
        )  # fmt: skip
    return found


def _revoked_height(value: bytes | None) -> int:
    if value is None:
        return 0
    try:
        record = mfa_pb2.MfaClientRecord.FromString(value)
    except DecodeError:
        raise ReceiptRefused("claim", "the client's leaf can't be read by this version") from None
    return record.revoked_height if record.status == mfa_pb2.MFA_CLIENT_STATUS_REVOKED else 0


def answer_json(answer: PermitAnswer) -> dict[str, JsonValue]:
    """An answer, as a program reads it."""
    return {
        "realm": answer.realm.hex(), "client": answer.client.hex(), "day": answer.day, "height": answer.height,
        "asked": answer.asked, "revoked_height": answer.revoked_height, "never": answer.never,
    }  # fmt: skip


def answer_line(answer: PermitAnswer) -> str:
    """An answer for a person."""
    what = f"of client {answer.client.hex()} for day {answer.day}"
    if answer.asked:
        return f"at height {answer.height}: a permit {what} was asked for"
    line = f"at height {answer.height}: no permit {what} was asked for"
    if answer.revoked_height:
        return f"{line}, and none ever will be: the client was revoked at height {answer.revoked_height}"
    return f"{line}, and none ever will be: the day is over" if answer.never else f"{line} yet"
