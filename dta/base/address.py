"""``host:port``, for people and configurations: an IPv6 address stands in brackets, ``[::1]:26656`` (RFC 3986, 3.2.2).

Programs want the host without them: so it is split here and put together here, and nowhere else.
"""

from __future__ import annotations

MAX_PORT = 65_535


def split(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port, 1 to 65,535. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("brackets are for IPv6 addresses")
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets, as in [::1]:26656")
    if not colon or not host or any(char in host for char in "[]/@ "):
        raise ValueError("it is host:port, as in 127.0.0.1:26656")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) <= MAX_PORT or len(port) > 5:
        raise ValueError(f"the port is a number, 1 to {MAX_PORT}")
    return host, int(port)


def join(host: str, port: int) -> str:
    """The reverse of :func:`split`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
