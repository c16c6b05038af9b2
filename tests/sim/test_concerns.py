"""Each field of a record in which an identity stands is an entry of what concerns it, or the page says why not.

Found out, not listed: in whatever schedules write, each value that is the id of an identity that there is.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from abci_app.messages.registry import LEAVES
from abci_app.state.collection import Records
from abci_app.state.records import IDENTITIES
from abci_app.state.view import StateView
from tests.sim.schedule import Schedule

ENTERED = {
    "OrderRecord.principal", "OrderRecord.rule.identity", "OrderRecord.policy.nodes.identity",
    "OrderRecord.policy.vetoers", "RequestRecord.beneficiary", "VaultRecord.principal", "RealmRecord.terms.registrar",
    "MfaServerRecord.server", "CeremonyParty.fiduciary",
}  # fmt: skip
ENTERED_AND_RARE = {
    "ProposalRecord.action.admit_fiduciary.identity", "ProposalRecord.action.remove_fiduciary.identity",
    "ProposalRecord.action.revoke_identity.identity",
}  # fmt: skip
WITHOUT = {
    "its own": {"IdentityRecord.id", "FiduciaryRecord.id", "CounterRecord.identity"},
    "what its node owes or did": {
        "OrderRecord.fiduciaries", "VaultRecord.fiduciaries", "MemberRecord.fiduciary", "ValidatorChange.fiduciary",
    },
    "who did it": {"ProposalRecord.proposer", "ExtractionRecord.requester"},
    "another record is the entry": {
        "RealmRecord.servers", "ExtractionLoad.last_served", "ExtractionItem.subject",
        "CeremonyParty.fault_other",
    },
    "what it makes is the entry, once it is voted": {
        "ProposalRecord.action.create_authority.members", "ProposalRecord.action.reshare_authority.members",
        "ProposalRecord.action.create_realm.members", "ProposalRecord.action.create_realm.terms.registrar",
        "SigningPolicy.policy.nodes.identity", "SigningPolicy.policy.vetoers",
        "ProposalRecord.action.set_signing_policy.policy.nodes.identity",
        "ProposalRecord.action.set_signing_policy.policy.vetoers",
    },
}  # fmt: skip


def values(message: Message, path: str) -> Iterator[tuple[str, bytes]]:
    """Every field of bytes that is set, at any depth, with where it stands."""
    for field, value in message.ListFields():
        where = f"{path}.{field.name}"
        for one in value if field.is_repeated else [value]:
            if isinstance(one, bytes):
                yield where, one
            elif isinstance(one, Message):
                yield from values(one, where)


def fields_with_identities(view: StateView) -> set[str]:
    """The fields of records in which the id of an identity stands."""
    known = {record.id for record in IDENTITIES.all(view)}
    found: set[str] = set()
    for leaves in LEAVES:
        if isinstance(leaves, Records):
            for record in leaves.all(view):
                found |= {where for where, value in values(record, record.DESCRIPTOR.name) if value in known}
    return found


def test_each_field_that_names_an_identity_is_an_entry_or_has_a_reason_not_to_be() -> None:
    found: set[str] = set()
    for seed in range(7_000, 7_040):
        schedule = Schedule(seed)
        schedule.run()
        found |= fields_with_identities(schedule.nodes[0].view)
    excused = {field for fields in WITHOUT.values() for field in fields}
    unsaid = found - ENTERED - ENTERED_AND_RARE - excused
    assert unsaid == set(), "who stands there learns of it by docs/spec/concerns.md, or need not"
    assert ENTERED - found == set(), "no schedule ever writes it"


def test_the_fields_that_are_named_here_are_there() -> None:
    kinds = [leaves.record.DESCRIPTOR for leaves in LEAVES if isinstance(leaves, Records)]
    records = {kind.name: kind for kind in kinds}
    for path in ENTERED | ENTERED_AND_RARE | {field for fields in WITHOUT.values() for field in fields}:
        record, *names = path.split(".")
        inside = records[record]
        for name in names[:-1]:
            inside = inside.fields_by_name[name].message_type
        assert inside.fields_by_name[names[-1]].type == FieldDescriptor.TYPE_BYTES, path
