"""Client certificates that a proxy of ours has checked, and passes on in Client-Cert (RFC 9440)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from dta.service.access import Credential
from dta.service.settings import Certificate

HEADER: Final = "Client-Cert"
MAX_CHARS: Final = 16_384


class ProxiedCertificates:
    """Believes the header of the named proxies alone: anybody can send it. They take it out of what others send."""

    def __init__(self, certificates: Sequence[Certificate], proxies: frozenset[str]) -> None:
        self._known = {one.sha256: one for one in certificates}
        self._proxies = proxies

    def credential(self, headers: Mapping[str, str], peer: str) -> Credential | None:
        """Whom the certificate names, by the SHA-256 of its DER."""
        shown = headers.get(HEADER)
        if shown is None or peer not in self._proxies or len(shown) > MAX_CHARS:
            return None
        if len(shown) < 2 or not (shown[0] == shown[-1] == ":"):  # a byte sequence of RFC 8941
            return None
        try:
            certificate = b64decode(shown[1:-1], validate=True)
        except (binascii.Error, ValueError):
            return None
        found = self._known.get(sha256(certificate).hexdigest())
        if found is None:
            return None
        return Credential(f"certificate {found.sha256[:16]}", frozenset(found.scopes), tuple(found.identities))
