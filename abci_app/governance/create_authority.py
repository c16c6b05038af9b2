"""A new authority, by vote: its form, its members, its first ceremony. A realm makes its own by the same steps."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app import limits, text
from abci_app.authority import ceremonies, record, rules
from abci_app.codes import Code
from abci_app.errors import Refusal
from abci_app.execution.action import Action
from abci_app.execution.context import Context
from abci_app.execution.spec import need_bytes
from abci_app.hashing import u32
from abci_app.identities import concerns, documents
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import mfa_pb2
from abci_app.state.records import AUTHORITIES, AUTHORITY_NUMBERS


def _validate(message: pb.CreateAuthority) -> None:
    """The message's form: an authority of its own, without a realm."""
    need_bytes(message.nonce, limits.NONCE_BYTES, "nonce")
    if message.purpose not in rules.PUBLISHES_G2:
        raise Refusal(Code.BAD_AUTHORITY, "purpose", reason="purpose")
    validate_key(message.name, message.members, message.threshold, message.refresh_interval_blocks)


def validate_key(name: str, members: Sequence[bytes], threshold: int, refresh_interval_blocks: int) -> None:
    """The form of what a key is to be: refuses with BAD_AUTHORITY, BAD_MEMBERS, BAD_THRESHOLD."""
    if not text.is_name(name, limits.MAX_NAME_CHARS):
        raise Refusal(Code.BAD_AUTHORITY, "name", reason="name")
    least, most = limits.MIN_REFRESH_INTERVAL_BLOCKS, limits.MAX_REFRESH_INTERVAL_BLOCKS
    if refresh_interval_blocks and not least <= refresh_interval_blocks <= most:
        raise Refusal(
            Code.BAD_AUTHORITY, f"refresh_interval_blocks: 0, or {least} to {most}", reason="refresh-interval"
        )
    validate_members(members, threshold)


def validate_members(members: Sequence[bytes], threshold: int) -> None:
    """The form of who is to hold a key: refuses with BAD_MEMBERS, BAD_THRESHOLD. ``threshold`` 0: the default."""
    named = list(members)
    if not 1 <= len(named) <= limits.MAX_AUTHORITY_MEMBERS or named != sorted(dict.fromkeys(named)):
        raise Refusal(Code.BAD_MEMBERS, f"1 to {limits.MAX_AUTHORITY_MEMBERS}, sorted, each once", reason="list")
    if any(len(member) != limits.ID_BYTES for member in named):
        raise Refusal(Code.BAD_MEMBERS, "an id has another length", reason="id")
    if threshold and not rules.valid_threshold(threshold, len(named)):
        raise Refusal(Code.BAD_THRESHOLD, f"{threshold} of {len(named)}", reason="authority")


def members_cost(message: pb.CreateAuthority | pb.ReshareAuthority | mfa_pb2.CreateRealm) -> int:
    """About the microseconds that proposing it takes: each member is looked at."""
    return 400 + 15 * len(message.members)


def ceremony_cost(message: pb.CreateAuthority | pb.ReshareAuthority | mfa_pb2.CreateRealm) -> int:
    """About the microseconds that executing it takes: each member becomes a party of a ceremony, and is asked."""
    return 500 + (60 + concerns.NAME_COST) * len(message.members)


def _check(context: Context, message: pb.CreateAuthority) -> None:
    """Whether it could be created now."""
    id_ = record.authority_id(context.gid, context.signer, message.nonce)
    check_key(context, id_, message.members)


def check_key(context: Context, authority_id: bytes, members: Sequence[bytes]) -> None:
    """Whether an authority of this id could be created now, with these members."""
    context.require(
        AUTHORITIES.find(context.state, authority_id) is None, Code.DUPLICATE, authority_id.hex(), reason="authority"
    )
    check_members(context, members)
    ceremonies.require_room(context)


def check_members(context: Context, members: Sequence[bytes]) -> None:
    """Whether all of them are active fiduciaries, and not too many."""
    context.require(
        len(members) <= context.params.max_authority_members, Code.BAD_MEMBERS, "too many", reason="too-many"
    )
    for member in members:
        active = documents.is_active_fiduciary(context.state, member, context.time_s)
        context.require(active, Code.BAD_MEMBERS, member.hex(), reason="not-active")


def _execute(context: Context, message: pb.CreateAuthority) -> None:
    """Create it, and begin its first ceremony."""
    _check(context, message)
    id_ = record.authority_id(context.gid, context.signer, message.nonce)
    create(
        context,
        pb.AuthorityRecord(
            id=id_, purpose=message.purpose, name=message.name, refresh_interval_blocks=message.refresh_interval_blocks
        ),
        message.members,
        message.threshold,
    )


def create(context: Context, authority: pb.AuthorityRecord, members: Sequence[bytes], threshold: int) -> None:
    """Put a new authority (checked before: id, purpose, name, interval, realm) and begin its first ceremony."""
    authority.status = pb.AUTHORITY_STATUS_PENDING
    authority.created_height = context.height
    _number(context, authority)
    context.emit("authority", authority.id, "created", name=authority.name)
    chosen = threshold or rules.default_threshold(len(members))
    plan = ceremonies.Plan(pb.CEREMONY_KIND_KEY, list(members), (), chosen, needs_consent=True)
    ceremonies.begin(context, authority, plan)


def _number(context: Context, authority: pb.AuthorityRecord) -> None:
    """Count it, so that whoever reads by proof can list them all."""
    counted = AUTHORITY_NUMBERS.find(context.state, 0)
    number = 1 + (0 if counted is None else int.from_bytes(counted, "big"))
    AUTHORITY_NUMBERS.put(context.state, u32(number), 0)
    AUTHORITY_NUMBERS.put(context.state, authority.id, number)


ACTION = Action(
    field="create_authority",
    message=pb.CreateAuthority,
    validate=_validate,
    check=_check,
    execute=_execute,
    cost=ceremony_cost,
    proposing_cost=members_cost,
    codes=(
        Code.FIELD_INVALID, Code.BAD_AUTHORITY, Code.BAD_MEMBERS, Code.BAD_THRESHOLD, Code.DUPLICATE,
        Code.TOO_MANY_CEREMONIES,
    ),
)  # fmt: skip
