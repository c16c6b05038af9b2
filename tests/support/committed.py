"""What a follower is told of committed changes, without a socket: by the client's own reading of answers in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from abci_app.server.changes import CommittedChanges
from dta.node.agent.watch import whole_blocks


async def told_after(
    committed: CommittedChanges, height: int, index: Sequence[bytes], leaves: Sequence[bytes],
    heard: Callable[[pb.StateChanged], None] = lambda _: None,
) -> pb.StateChanged:  # fmt: skip
    """As :meth:`dta.node.agent.watch.StateWatch.after`. ``heard``: called with each answer as it comes."""

    async def ask(wait: pb.StateWait) -> pb.StateChanged:
        told = wait.index_after, wait.leaves_after
        answer = await committed.after(wait.after_height, wait.index_prefixes, wait.leaf_prefixes, told)
        heard(answer)
        return answer

    return await whole_blocks(
        ask, pb.StateWait(after_height=height, index_prefixes=index, leaf_prefixes=leaves)
    )
