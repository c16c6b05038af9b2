"""``host:port``, for people and configurations: an IPv6 address stands in brackets, ``[::1]:26656`` (RFC 3986, 3.2.2).

Programs want the host without them: so it is split here and put together here, and nowhere else.
"""

from __future__ import annotations

import re

MAX_PORT = 65_535
MAX_HOST_CHARS = 253
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")  # RFC 1035, 2.3.4; and an underscore, which some networks' names have


def split(address: str) -> tuple[str, int]:
    """The host, without brackets, and the port, 1 to 65,535. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("brackets are for IPv6 addresses")
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets, as in [::1]:26656")
    if not colon or not host or len(host) > MAX_HOST_CHARS or not _is_host(host):
        raise ValueError("it is host:port, as in 127.0.0.1:26656")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) <= MAX_PORT or len(port) > 5:
        raise ValueError(f"the port is a number, 1 to {MAX_PORT}")
    return host, int(port)


def _is_host(host: str) -> bool:
    """An IPv6 address, or what can be a name or an IPv4 address: of others the resolver raises what is no OSError."""
    if ":" in host:
        import ipaddress  # every command stands on this module, and few have such an address

        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    return all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def join(host: str, port: int) -> str:
    """The reverse of :func:`split`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
