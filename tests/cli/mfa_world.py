"""The served world of order_world.py with a realm in it: alice is its registrar, bob runs a server, carol logs in.

The realm and its key are put into state as a ceremony leaves them; fiduciaries answer with a trusted dealer's shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from abci_app.block import Changes
from abci_app.hashing import u32
from abci_app.state.records import AUTHORITY_NUMBERS, REALMS
from tests.cli.order_world import ServedWorld, served_world
from tests.support import authority
from tests.support.actors import Actor
from tests.support.realms import realm_record


@contextmanager
def mfa_world(directory: Path) -> Iterator[tuple[ServedWorld, bytes]]:
    """The world, and the realm's id."""
    with served_world(directory) as world:
        yield world, _install(world)


def _install(world: ServedWorld) -> bytes:
    replica = world.chain.replica
    members = [founder.identity for founder in replica.founders]
    id_ = authority.deal(members, authority.MFA).id
    record = realm_record(replica.gid, id_, Actor("alice", identity=world.people["alice"]), permits_required=True)
    dealt = authority.deal(members, authority.MFA, threshold=3, realm=record.id)
    leaves = {
        **dealt.leaves(),
        REALMS.key(record.id): record.SerializeToString(deterministic=True),
        AUTHORITY_NUMBERS.key(0): u32(1),
        AUTHORITY_NUMBERS.key(1): dealt.id,
    }
    world.chain.dealt[dealt.id] = dealt
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
