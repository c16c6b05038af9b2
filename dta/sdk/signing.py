"""``client.sign``: signatures of a key that no fiduciary holds alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dta.base import ids
from dta.client.custody import asking, finding, keyfile, policies, signing
from dta.client.custody.asking import Content
from dta.client.custody.errors import ContentDiffers
from dta.client.custody.policies import Terms
from dta.client.custody.session import Session
from dta.client.ledger.authority import resolve
from dta.client.ledger.submit import Committed
from dta.sdk.faces import Awaiting, Blocking, action
from dta.sdk.opened import Opened
from dta.sdk.results import Signature

DEFAULT_WAIT_S = 3_600.0


class SignActions:
    """Signing orders. Any BLS library verifies ``signature`` over ``signed`` under the key's ``public_key_g2``."""

    opened: Opened

    @action
    def request(
        self,
        content: bytes,
        *,
        authority: str,
        kind: str,
        raw: bool = False,
        policy: str | Mapping[str, Any] = "",
        veto_window_s: int = 0,
        vetoers: Sequence[str] = (),
    ) -> Signature:
        """Ask for a signature over ``content``, by its SHA-256 above 2,048 bytes.

        The key's signing policy says who has to approve; ``policy`` asks for more. What comes back may wait for them.
        Raises WouldBeRefused, RefusedByLedger, UsageError.
        """
        opened, added = self.opened, None
        if policy:
            terms = Terms(
                text=policy if isinstance(policy, str) else "", tree=None if isinstance(policy, str) else dict(policy),
                veto_window_s=veto_window_s, vetoers=vetoers,
            )  # fmt: skip
            added, _ = policies.build(terms, b"", opened.names.resolve)
        key = resolve(opened.ledger, authority)
        return Signature.of(signing.place(opened.session, key, kind, content, raw=raw, policy=added))

    @action
    def get(self, request: str) -> Signature:
        """A signing order, proved. Raises NotFound."""
        return Signature.of(signing.view(self.opened.ledger, _find(self.opened, request)))

    @action
    def wait(self, request: str, *, wait_s: float = DEFAULT_WAIT_S) -> Signature:
        """The same once it is signed. Raises RequestEnded (vetoed, expired), TimedOut."""
        return Signature.of(signing.wait(self.opened.session, _find(self.opened, request), wait_s))

    @action
    def approve(self, shown: Signature) -> Signature:
        """Approve a signature over exactly what was shown. Raises WouldBeRefused, RefusedByLedger."""
        return _decide(self.opened, shown, asking.approve)

    @action
    def veto(self, shown: Signature) -> Signature:
        """Veto it, while its window lasts. Raises WouldBeRefused, RefusedByLedger."""
        return _decide(self.opened, shown, asking.veto)

    @action
    def covers(self, request: str, content: bytes) -> bool:
        """Whether there is a valid signature, and it is over ``content``."""
        found = signing.view(self.opened.ledger, _find(self.opened, request))
        return bool(found.record.signature) and found.is_valid and found.is_of(content)


class Sign(SignActions, Blocking):
    """``client.sign``."""


class AsyncSign(SignActions, Awaiting):
    """The same under asyncio."""


def _find(opened: Opened, text: str) -> bytes:
    session = opened.session
    return ids.resolve(
        text, "request", lambda: keyfile.pending(session.directory),
        lambda: finding.requests(opened.ledger, session.party.identity),
    )  # fmt: skip


def _decide(opened: Opened, shown: Signature, decision: Callable[[Session, Content], Committed]) -> Signature:
    """``decision`` on what is there, whose signed bytes must be those that were shown."""
    id_ = bytes.fromhex(shown.request)
    view = signing.view(opened.ledger, id_)
    if view.bytes_signed != shown.signed:
        raise ContentDiffers("the signing order is not the one that was shown", data={"request": shown.request})
    committed = decision(opened.session, asking.content(opened.session, id_, view.request))
    return Signature.of(signing.view(opened.ledger, id_, at_least=committed.height))
