"""Who acts in a home, and with its keys: each keystore is opened when a key of it is first needed."""

from __future__ import annotations

from dataclasses import dataclass

from dta.base.home import Home
from dta.client.custody.session import Party
from dta.client.identity.keyring import Keyring
from dta.client.identity.profile import Profile, load_profile


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


def profile_of(home: Home, identity: str = "") -> Profile | None:
    """The identity of this name; without one the home's default, else its only one; None where there is none such.

    Raises UsageError, NotFound.
    """
    names = home.profile_names()
    chosen = identity or home.load_client().default_identity or (names[0] if len(names) == 1 else "")
    return load_profile(home, chosen) if chosen else None
