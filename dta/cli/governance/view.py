"""How proposals are shown: every field in JSON, a table for people. Any kind of action is shown by its fields."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from abci_app.codes import info
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import params_pb2
from dta.base.errors import JsonValue
from dta.cli.custody import cut_short, moment, table
from dta.client.governance import Affected, ProposalView
from dta.client.names import NameBook


def status_name(record: pb.ProposalRecord) -> str:
    """The status in lower case, as people and JSON see it."""
    return pb.ProposalStatus.Name(record.status).removeprefix("PROPOSAL_STATUS_").lower()


def kind_of(record: pb.ProposalRecord) -> str:
    """What is proposed, such as ``admit-fiduciary``."""
    return (record.action.WhichOneof("kind") or "nothing").replace("_", "-")


def status_line(record: pb.ProposalRecord) -> str:
    """The status, and what a person should know of it."""
    name = status_name(record)
    if record.status == pb.PROPOSAL_STATUS_FAILED:
        row = info(record.failure_code)
        return f"failed with {row.name} ({record.failure_code}): {row.meaning}; nothing was changed"
    if record.status == pb.PROPOSAL_STATUS_PASSED:
        return f"passed at height {record.passed_height}; it waits until the validators may change again"
    if record.status == pb.PROPOSAL_STATUS_OPEN:
        return f"open until {moment(record.deadline_time_s)}"
    if not record.ended_height:  # its deadline has passed, which no block has recorded yet
        return f"{name} since {moment(record.deadline_time_s)}"
    return f"{name} at height {record.ended_height}"


def as_json(message: Message) -> dict[str, JsonValue]:
    """Any message by its fields: bytes in hex, enumerations by name, numbers as they are."""
    shown: dict[str, JsonValue] = {}
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name) != field.name:
            continue
        value = getattr(message, field.name)
        shown[field.name] = [_value(field, one) for one in value] if field.is_repeated else _value(field, value)
    return shown


def _value(field: Any, value: object) -> JsonValue:
    if isinstance(value, Message):
        return as_json(value)
    if isinstance(value, bytes):
        return value.hex()
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return known.name.lower() if known is not None else value
    return value if isinstance(value, bool | int | str) else str(value)


def proposal_json(record: pb.ProposalRecord) -> dict[str, JsonValue]:
    """A proposal, all of it."""
    field = record.action.WhichOneof("kind")
    impact: JsonValue = as_json(record.impact) if record.HasField("impact") else None
    return {
        "proposal": record.id.hex(), "status": status_name(record), "proposes": kind_of(record),
        "action": as_json(getattr(record.action, field)) if field else {}, "proposer": record.proposer.hex(),
        "content_digest": record.content_digest.hex(), "proposed_height": record.proposed_height,
        "proposed_time_s": record.proposed_time_s, "proposed_tx": record.proposed_tx.hex(),
        "deadline_time_s": record.deadline_time_s, "votes": record.votes, "counted_height": record.counted_height,
        "power_for": record.power_for, "power_against": record.power_against, "power_total": record.power_total,
        "passed_height": record.passed_height, "deciding_tx": record.deciding_tx.hex(),
        "ended_height": record.ended_height, "ended_tx": record.ended_tx.hex(),
        "failure_code": record.failure_code or None,
        "failure": info(record.failure_code).name if record.failure_code else None, "impact": impact,
    }  # fmt: skip


def view_json(view: ProposalView, affected: Affected | None) -> dict[str, JsonValue]:
    """A proposal with its votes, and what a removal means for open orders."""
    cast: list[JsonValue] = [
        {
            "fiduciary": who.hex(), "power": view.powers[who], "height": vote.height if vote else 0,
            "vote": None if vote is None else "against" if vote.against else "for",
        }
        for who, vote in view.votes.items()
    ]  # fmt: skip
    shown = {**proposal_json(view.record), "votes_cast": cast}
    if affected is not None:
        shown["affected_orders"] = [
            {
                "order": one.record.id.hex(), "threshold": one.record.threshold, "left": one.left,
                "below_threshold": one.falls_below,
            }
            for one in affected.orders
        ]  # fmt: skip
        shown["affected_orders_cut"] = affected.is_cut
    return shown


def view_lines(
    view: ProposalView, names: NameBook, params: params_pb2.Params, affected: Affected | None
) -> list[str]:
    """A proposal for people: what it would do, who is for it, what it means."""
    record, total = view.record, view.power_total
    shown = [
        ("proposal", record.id.hex()),
        ("status", status_line(record)),
        ("proposes", kind_of(record)),
        *_action_lines(record, names, params),
        ("proposed", f"{moment(record.proposed_time_s)}, height {record.proposed_height}"),
        ("by", names.name_of(record.proposer)),
        ("for", f"{view.power(against=False)} of {total}; it takes {2 * total // 3 + 1}"),
        ("against", f"{view.power(against=True)}; {-(-total // 3)} stop it"),
    ]
    rows: list[dict[str, object]] = [
        {
            "fiduciary": names.name_of(who), "power": view.powers[who],
            "vote": "-" if vote is None else "against" if vote.against else "for",
            "height": vote.height if vote else "-",
        }
        for who, vote in view.votes.items()
    ]  # fmt: skip
    lines = [f"{label:<15}  {value}".rstrip() for label, value in shown]
    return [*lines, "", *table(rows), *_impact_lines(record, affected)]


def _action_lines(
    record: pb.ProposalRecord, names: NameBook, params: params_pb2.Params
) -> list[tuple[str, str]]:
    field = record.action.WhichOneof("kind")
    if field == "change_params":
        return _params_lines(record.action.change_params.params, params, record.status)
    message = getattr(record.action, field) if field else None
    fields = as_json(message) if message is not None else {}
    known = {"identity": names.name_of}
    lines = []
    for name, value in fields.items():
        spoken = known[name](bytes.fromhex(value)) if name in known and isinstance(value, str) else value
        lines.append((f"  {name.replace('_', ' ')}", str(spoken)))
    return lines


def _params_lines(
    proposed: params_pb2.Params, now: params_pb2.Params, status: pb.ProposalStatus
) -> list[tuple[str, str]]:
    """What would change; once it is decided, and the parameters in force may be others, all of them."""
    wanted, current = as_json(proposed), as_json(now)
    if status != pb.PROPOSAL_STATUS_OPEN:
        return [(f"  {name}", str(value)) for name, value in wanted.items() if name != "custodians"]
    changed = [name for name in wanted if wanted[name] != current.get(name)]
    return [(f"  {name}", f"{current.get(name)} -> {wanted[name]}") for name in changed]


def _impact_lines(record: pb.ProposalRecord, affected: Affected | None) -> list[str]:
    if affected is None:
        return []
    impact = record.impact
    more = " (and more)" if impact.more else ""
    lines = [
        "",
        f"open orders that named it when it was proposed: {impact.open_orders}{more}, "
        f"{impact.below_threshold} of them left without their threshold",
    ]
    rows: list[dict[str, object]] = [
        {
            "order": one.record.id.hex(), "threshold": one.record.threshold, "left": one.left,
            "": "below its threshold" if one.falls_below else "",
        }
        for one in affected.orders
    ]  # fmt: skip
    return [*lines, *table(rows), *cut_short(affected.is_cut)]
