"""What a peer says while the event loop is busy with a block: read, so that it is not blocked; answered in its turn."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from server_harness import Scripted, dispatcher, serving
from test_server_application import Chain

from abci_app.block import Block, Time
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.connection import READ_BYTES, Replies
from abci_app.server.framing import FrameBuffer, frame
from abci_app.server.intake import UNREAD_BYTES, Intake
from abci_app.transition import BREATH_TXS, apply_block
from tests.support.chain import GENESIS_TIME_S
from tests.support.chain import Chain as StateChain
from tests.support.patience import PATIENCE_S

TX_BYTES = 10_000


def message(index: int) -> bytes:
    tx = index.to_bytes(4, "big") + bytes(TX_BYTES)
    return frame(pb.Request(check_tx=pb.CheckTxRequest(tx=tx)).SerializeToString())


class Sender(threading.Thread):
    """Another process's socket client: sends all of it, blocking; another thread reads as many answers."""

    def __init__(self, path: Path, count: int) -> None:
        super().__init__(daemon=True)
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.settimeout(PATIENCE_S)
        self.connection.connect(str(path))
        self.count = count
        self.sent = threading.Event()
        self.answers: list[pb.Response] = []

    def _send(self) -> None:
        self.connection.sendall(b"".join(message(index) for index in range(self.count)))
        self.sent.set()

    def run(self) -> None:
        sending = threading.Thread(target=self._send, daemon=True)
        sending.start()
        buffer = FrameBuffer(1 << 20)
        while len(self.answers) < self.count and (data := self.connection.recv(1 << 16)):
            buffer.feed(data)
            self.answers += [pb.Response.FromString(one) for one in buffer.take(self.count)]
        sending.join(PATIENCE_S)
        self.connection.close()


class BusyWithBlock:
    """Answers a Commit by holding the event loop from ``begin`` until ``is_enough``, calling ``breathe`` meanwhile."""

    def __init__(self, breathe: Callable[[], None]) -> None:
        self.breathe = breathe
        self.begin: Callable[[], None] = lambda: None
        self.is_enough: Callable[[], bool] = lambda: True
        self.answer_others = dispatcher(Scripted()).answer
        self.order: list[str] = []

    def answer(self, messages: Sequence[bytes]) -> Replies | Awaitable[Replies]:
        kinds = [pb.Request.FromString(one).WhichOneof("kind") for one in messages]
        if "commit" in kinds:
            self.begin()
            deadline = time.monotonic() + PATIENCE_S
            while not self.is_enough() and time.monotonic() < deadline:
                self.breathe()
                time.sleep(0.001)
        self.order += [str(kind) for kind in kinds]
        return self.answer_others(messages)


def run_busy(path: Path, count: int, breathe: Callable[[Intake], None], is_enough: Callable[[Sender], bool]) -> Sender:
    """A block on one connection, and ``count`` messages on another while it is executed. All must be answered."""

    async def run() -> Sender:
        intake = Intake()
        busy = BusyWithBlock(lambda: breathe(intake))
        async with serving(path, busy.answer, intake=intake) as served:
            peer = await served.peer()
            sender = Sender(path, count)
            await peer.ask(pb.Request(flush=pb.FlushRequest()))
            busy.begin, busy.is_enough = sender.start, lambda: is_enough(sender)
            await peer.ask(pb.Request(commit=pb.CommitRequest()))
            await asyncio.get_running_loop().run_in_executor(None, sender.join, PATIENCE_S)
            assert busy.order.index("commit") < busy.order.index("check_tx")
            return sender

    return asyncio.run(run())


def assert_answered_in_order(sender: Sender) -> None:
    assert not sender.is_alive()
    heads = [int.from_bytes(answer.check_tx.data[:4], "big") for answer in sender.answers]
    assert heads == list(range(sender.count))


def test_a_sender_is_not_blocked_while_a_block_is_executed(tmp_path: Path) -> None:
    # Ten times what a unix socket holds. Without the drain the sender would wait for the whole of PATIENCE_S.
    sender = run_busy(tmp_path / "s", 200, Intake.drain, lambda sender: sender.sent.is_set())
    assert sender.sent.is_set()
    assert_answered_in_order(sender)


def test_without_the_drain_it_is_blocked(tmp_path: Path) -> None:
    started: list[float] = []

    def is_enough(sender: Sender) -> bool:
        started.append(time.monotonic())
        assert not sender.sent.is_set()
        return started[-1] - started[0] > 0.5

    assert_answered_in_order(run_busy(tmp_path / "s", 200, lambda _: None, is_enough))


def test_what_is_read_ahead_is_bounded_and_nothing_is_lost(tmp_path: Path) -> None:
    count = (3 * UNREAD_BYTES) // TX_BYTES
    reads: list[int] = []

    def is_enough(sender: Sender) -> bool:
        assert not sender.sent.is_set(), "more was read than is allowed"
        reads.append(unread(sender.connection))
        # It no longer empties: as much was read as may be.
        return len(reads) > 300 and reads[-1] == reads[-300] > 0

    assert count * TX_BYTES > 2 * UNREAD_BYTES + READ_BYTES
    assert_answered_in_order(run_busy(tmp_path / "s", count, Intake.drain, is_enough))


def unread(connection: socket.socket) -> int:
    """Bytes that the kernel holds for the other side (SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def test_a_peer_that_went_is_left_to_the_event_loop(tmp_path: Path) -> None:
    async def run() -> None:
        intake = Intake()
        async with serving(tmp_path / "s", dispatcher(Scripted()).answer, intake=intake) as served:
            gone, other = await served.peer(), await served.peer()
            await gone.ask(pb.Request(flush=pb.FlushRequest()))
            gone.writer.close()
            await gone.writer.wait_closed()
            intake.drain()
            await asyncio.sleep(0.05)
            intake.drain()
            (answer,) = await other.ask(pb.Request(check_tx=pb.CheckTxRequest(tx=b"still here")))
            assert answer.check_tx.data == b"still here"

    asyncio.run(run())


def test_a_block_breathes_between_transactions_and_about_the_tree() -> None:
    breaths: list[int] = []
    chain = Chain(breathe=lambda: breaths.append(1))
    chain.init()
    chain.finalize(1, *(b"k%d=v" % index for index in range(40)))
    # Once a transaction in this machine; before and after the tree's update in the application.
    assert len(breaths) == 40 + 2


def test_the_state_machine_breathes_every_few_transactions() -> None:
    breaths: list[int] = []
    view = StateChain().view
    block = Block(1, Time(GENESIS_TIME_S + 1), (b"no transaction",) * (3 * BREATH_TXS))
    result = apply_block(view, block, lambda: breaths.append(1))
    assert len(result.tx_results) == 3 * BREATH_TXS
    assert len(breaths) == 3
