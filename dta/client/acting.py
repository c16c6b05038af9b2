"""Who acts with the keys of a home's identity: each keystore is opened when a key of it is first needed."""

from __future__ import annotations

from dataclasses import dataclass

from dta.client.custody.session import Party
from dta.client.identity.keyring import Keyring
from dta.client.identity.profile import Profile


@dataclass(frozen=True, slots=True)
class _ProfileBls:
    """Signs with a profile's BLS key, which is derived only when it is needed."""

    ring: Keyring
    profile: Profile

    def sign(self, message: bytes) -> bytes:
        return self.ring.bls(self.profile).sign(message)


def party_of(ring: Keyring, profile: Profile) -> Party:
    """Who acts with the keys of ``profile``, for as long as ``ring`` is open."""
    return Party(ring.signer(profile), _ProfileBls(ring, profile), lambda: ring.keystore(profile.root))
