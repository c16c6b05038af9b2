"""The grammar of ABCI 2.0 as a recogniser: which call may follow which (docs/spec/abci-server.md, Sequences).

After CometBFT's specification (spec/abci, "Expected behavior of CometBFT"); where this application is narrower, as that
is: it has no state sync, and no vote extensions unless told so. A node is killed at any point: every beginning of a
right sequence is a right sequence. What a life leaves behind, the next one is held to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ANYWHERE: Final = frozenset({"flush", "echo"})

ROLES: Final[Mapping[str, frozenset[str]]] = {
    "consensus": frozenset(
        {
            "init_chain", "prepare_proposal", "process_proposal", "extend_vote", "verify_vote_extension",
            "finalize_block", "commit",
        }
    ),
    "mempool": frozenset({"check_tx"}),
    "query": frozenset({"info", "query"}),
    "snapshot": frozenset({"list_snapshots", "load_snapshot_chunk"}),
}  # fmt: skip
"""What each of CometBFT's connections asks. State sync's other two, and those of another mempool, are nobody's."""

MAX_HEIGHT: Final = (1 << 63) - 1

EXTENSIONS: Final = frozenset({"extend_vote", "verify_vote_extension"})

CONSENSUS: Final[Mapping[str, Mapping[str, str]]] = {
    "genesis": {"init_chain": "height"},
    # A round is a proposal of ours or of somebody else's, or none, and votes: as many rounds as there are.
    "height": {
        "prepare_proposal": "height", "process_proposal": "height", "extend_vote": "height",
        "verify_vote_extension": "height", "finalize_block": "decided",
    },
    "decided": {"commit": "height"},
}  # fmt: skip
"""State -> what may be asked in it -> the state after it. Where a life begins is what the answer to Info says."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request or an answer on one of a life's connections. ``kind``: its field of Request or Response.

    ``height``: the block's; of an answer to Info the last committed one, of InitChain the first that there will be.
    """

    connection: int
    kind: str
    is_answer: bool = False
    height: int = 0
    is_recheck: bool = False

    def __str__(self) -> str:
        what = f"{'the answer to ' if self.is_answer else ''}{'re' if self.is_recheck else ''}{self.kind}"
        return f"{what} on connection {self.connection}, height {self.height}"


class Refused(Exception):
    """``call`` may not come here. ``reason`` says why."""

    def __init__(self, call: Call, reason: str) -> None:
        super().__init__(f"{call}: {reason}")
        self.call = call
        self.reason = reason


@dataclass
class Life:
    """The calls from one connecting of CometBFT to its end. :meth:`take` raises :class:`Refused`.

    ``committed`` and ``asked``: the last heights whose Commit was answered, and asked for; at first by earlier lives.
    """

    has_extensions: bool = False
    committed: int = 0
    asked: int = MAX_HEIGHT
    state: str = ""
    """Of the consensus connection; empty until Info is answered."""
    next_height: int = 0
    roles: dict[int, str] = field(default_factory=dict)
    unanswered: dict[int, deque[Call]] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)
    has_committed: bool = False

    def take(self, call: Call) -> None:
        """The next call of this life. Raises Refused."""
        waiting = self.unanswered.setdefault(call.connection, deque())
        if call.is_answer:
            self._answer(call, waiting)
            return
        if call.connection in self.over:
            raise Refused(call, "the connection's last answer was an exception")
        if call.kind not in ANYWHERE:
            self._request(call, self._role(call), waiting)
        waiting.append(call)

    def _role(self, call: Call) -> str:
        role = next((role for role, kinds in ROLES.items() if call.kind in kinds), None)
        if role is None:
            raise Refused(call, "this node offers nothing that would make anybody ask it")
        if self.roles.setdefault(call.connection, role) != role:
            raise Refused(call, f"this is the {self.roles[call.connection]} connection")
        if list(self.roles.values()).count(role) > 1:
            raise Refused(call, f"there is another {role} connection")
        return role

    def _request(self, call: Call, role: str, waiting: deque[Call]) -> None:
        if call.kind != "info" and not self.state:
            raise Refused(call, "Info is not answered yet")
        if role == "mempool":
            self._check_tx(call)
        if role == "consensus":
            self._consensus(call, waiting)

    def _check_tx(self, call: Call) -> None:
        if self.state == "genesis":
            raise Refused(call, "there is no InitChain yet")
        if any(one.kind == "commit" for one in self._open("consensus")):
            raise Refused(call, "a block is being committed: the mempool is locked")
        if call.is_recheck and not self.has_committed:
            raise Refused(call, "no block was committed since CometBFT started: nothing is to be looked at again")

    def _consensus(self, call: Call, waiting: deque[Call]) -> None:
        if any(one.kind not in ANYWHERE for one in waiting):
            raise Refused(call, "the call before it is not answered")
        if call.kind in EXTENSIONS and not self.has_extensions:
            raise Refused(call, "vote extensions are not enabled")
        after = CONSENSUS[self.state].get(call.kind)
        if after is None:
            raise Refused(call, f"in the state {self.state!r} only {', '.join(CONSENSUS[self.state])}")
        if call.kind == "init_chain":
            self.next_height = call.height
        elif call.kind == "commit":
            if any(one.kind == "check_tx" for one in self._open("mempool")):
                raise Refused(call, "a CheckTx is not answered: the mempool was to be flushed before")
            self.asked = self.next_height
        elif call.height != self.next_height:
            raise Refused(call, f"the next height is {self.next_height}")
        self.state = after

    def _open(self, role: str) -> list[Call]:
        """What is not answered on the connection of this role."""
        return [call for number, is_for in self.roles.items() if is_for == role for call in self.unanswered[number]]

    def _answer(self, call: Call, waiting: deque[Call]) -> None:
        if not waiting:
            raise Refused(call, "nothing was asked")
        asked = waiting.popleft()
        if call.kind == "exception":
            self.over.add(call.connection)
            return
        if call.kind != asked.kind:
            raise Refused(call, f"{asked.kind} was asked before it")
        if call.kind == "info" and not self.state:
            self._handshake(call)
        if call.kind == "commit":
            self.committed, self.has_committed = self.next_height, True
            self.next_height += 1

    def _handshake(self, call: Call) -> None:
        # 0 where the state was lost: CometBFT replays everything.
        if call.height and not self.committed <= call.height <= self.asked:
            raise Refused(call, f"it has committed {self.committed}, and was asked to commit {self.asked}")
        self.state = "height" if call.height else "genesis"
        self.next_height = call.height + 1
        self.committed = self.asked = call.height


class Node:
    """The calls of one application, life after life. ``take`` raises :class:`Refused`."""

    def __init__(self, *, has_extensions: bool = False) -> None:
        self._has_extensions = has_extensions
        self._is_unseen = False
        self.lives: dict[int, Life] = {}

    def lose_sight(self) -> None:
        """Of what comes until the next life, nothing is told: that one may begin at any height."""
        self._is_unseen = True

    def take(self, life: int, call: Call) -> None:
        """The next call, of the life of this number: lives are numbered in their order."""
        if life not in self.lives:
            before = self.lives[max(self.lives)] if self.lives and not self._is_unseen else Life()
            self._is_unseen = False
            self.lives[life] = Life(self._has_extensions, before.committed, before.asked)
        self.lives[life].take(call)
