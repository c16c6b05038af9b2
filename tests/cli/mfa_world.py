"""The served world of order_world.py with a realm in it: alice is its registrar, bob runs a server, carol logs in.

The realm and its key are put into state as a ceremony leaves them; fiduciaries answer with a trusted dealer's shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from abci_app.block import Changes
from abci_app.hashing import u32
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state import keys
from abci_app.state.due import Due, DueKind
from abci_app.state.records import EXTRACTIONS
from tests.cli.order_world import ServedWorld, order_flow_harness, served_world
from tests.support import authority
from tests.support.actors import Actor
from tests.support.realms import realm_record

Agent = order_flow_harness.Agent


@contextmanager
def mfa_world(directory: Path) -> Iterator[tuple[ServedWorld, bytes]]:
    """The world, and the realm's id."""
    with served_world(directory) as world:
        answered = Agent._answer
        try:
            yield world, _install(world)
        finally:
            Agent._answer = answered  # type: ignore[method-assign]


def _install(world: ServedWorld) -> bytes:
    replica = world.chain.replica
    members = [founder.identity for founder in replica.founders]
    id_ = authority.deal(members, authority.MFA).id
    record = realm_record(replica.gid, id_, Actor("alice", identity=world.people["alice"]), permits_required=True)
    dealt = authority.deal(members, authority.MFA, threshold=3, realm=record.id)
    leaves = {
        **dealt.leaves(),
        keys.realm(record.id): record.SerializeToString(deterministic=True),
        keys.authority_number(0): u32(1),
        keys.authority_number(1): dealt.id,
    }
    honest = Agent._answer

    def answer(agent: Agent, job: Due) -> Message | None:
        if job.kind not in (DueKind.SUBMIT_PARTIALS, DueKind.SUBMIT_UNBLINDED):
            return honest(agent, job)
        if EXTRACTIONS.get(replica.view, job.subject).status != extraction_pb2.EXTRACTION_STATUS_PENDING:
            return None
        return authority.message_of(replica.view, replica.gid, dealt, agent.founder, job.subject)

    Agent._answer = answer  # type: ignore[method-assign]
    inject(world, leaves)
    return record.id


def inject(world: ServedWorld, leaves: dict[bytes, bytes]) -> None:
    """Write leaves in the state, and in the tree with the next block."""
    chain = world.chain
    chain.replica.view.apply(Changes(leaves=tuple(sorted(leaves.items()))))
    add: Any = chain.add

    def with_leaves(written: list[tuple[bytes, bytes]], *rest: Any) -> Any:
        chain.add = add  # type: ignore[method-assign]
        return add(list((leaves | dict(written)).items()), *rest)

    chain.add = with_leaves  # type: ignore[method-assign]
    with world.lock:
        chain.make_block()
