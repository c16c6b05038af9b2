"""Requests that two servers could see the end of at different places, each as its bytes."""

from __future__ import annotations

from typing import Final

REFUSED: Final = (
    b"GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nabcde",
    b"POST /rpc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST /rpc HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde0\r\n\r\n",
    b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: a\r\n b\x00\r\n\r\n",
)
"""None of these is a request. Whoever sends one is told so once, and the connection ends there."""
