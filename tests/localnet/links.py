"""The cables between the nodes of a localnet: each peer-to-peer connection goes through a proxy that can be cut.

A cut link is a port that is closed: what is connected is broken off, what tries to connect is hung up on. That needs
no root and no network namespace, and so works on any machine. RPC and gateways are left alone: a client reaches every
node, as one that stands on that node's side of the cut does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from dta.localnet.network import Network

Link = tuple[int, int]
_PEER = re.compile(r"([0-9a-f]{40})@127\.0\.0\.1:(\d+)")


class Links:
    """A proxy for each (dialling node, listening node) of ``net``, in a thread of its own. ``close`` ends them."""

    def __init__(self, net: Network) -> None:
        self._net = net
        self._cut: set[Link] = set()
        self._open: dict[Link, set[asyncio.StreamWriter]] = {}
        self._port_of: dict[Link, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        nodes = list(net.nodes())
        for link in [(one, other) for one in nodes for other in nodes if one != other]:
            self._run(self._listen(link))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def wire(self, node: int) -> None:
        """Let the node dial its peers through the proxies, from its next start on."""
        path = self._net.home(node) / "cometbft" / "config" / "config.toml"
        peer_at = {self._net.p2p_port(other): other for other in self._net.nodes()}

        def through_proxy(found: re.Match[str]) -> str:
            other = peer_at.get(int(found[2]))
            return found[0] if other is None else f"{found[1]}@127.0.0.1:{self._port_of[node, other]}"

        lines = path.read_text().splitlines(keepends=True)
        path.write_text(
            "".join(_PEER.sub(through_proxy, line) if line.startswith("persistent_peers") else line for line in lines)
        )

    @contextmanager
    def parted(self, island: Collection[int]) -> Iterator[None]:
        """While this lasts, ``island`` and the other nodes do not reach each other."""
        across = {link for link in self._port_of if (link[0] in island) != (link[1] in island)}
        self._run(self._set_cut(across))
        try:
            yield
        finally:
            self._run(self._set_cut(set()))

    def _run(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10.0)  # type: ignore[arg-type]

    async def _listen(self, link: Link) -> None:
        self._open[link] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(link, reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._port_of[link] = server.sockets[0].getsockname()[1]

    async def _set_cut(self, links: set[Link]) -> None:
        self._cut = links
        for link in links:
            for writer in list(self._open[link]):
                writer.transport.abort()

    async def _serve(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if link in self._cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._net.p2p_port(link[1]))
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._open[link] |= both
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._open[link] -= both
            for one in both:
                one.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until the one end is done, or the other is gone. What fails ends both directions."""
    with contextlib.suppress(OSError):
        while content := await source.read(65_536):
            sink.write(content)
            await sink.drain()
    sink.transport.abort()
