"""How proposals are shown to people. Any kind of action is shown by its fields."""

from __future__ import annotations

from abci_app.codes import info
from abci_app.pb.dta.v1 import governance_pb2 as pb
from abci_app.pb.dta.v1 import params_pb2
from dta.cli.custody import cut_short, moment, table
from dta.client.governance import Affected, ProposalView, as_json, kind_of, status_name
from dta.client.names import NameBook


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
