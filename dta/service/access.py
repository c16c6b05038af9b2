"""Who calls, what it may do, and as whom (docs/spec/rest.md, Access)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, TypeAlias

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dta.base.errors import UsageError
from dta.service.errors import BadCall, Forbidden, Unauthenticated
from dta.service.tokens import EVERY_IDENTITY, PREFIX, Scope, Token, TokenStore

_bearer: Final = HTTPBearer(auto_error=False, description="`dta serve token create`, or an issuer's JWT")


@dataclass(frozen=True, slots=True)
class Credential:
    """What was shown, and is known. ``id``: its name in the audit file; ``identities``: local names or ``*``."""

    id: str
    scopes: frozenset[str]
    identities: tuple[str, ...]

    def allows(self, name: str) -> bool:
        """Whether it may act for that identity of this home."""
        return EVERY_IDENTITY in self.identities or name in self.identities


class Bearers(Protocol):
    """Somebody else who vouches for bearer tokens."""

    async def credential(self, shown: str, now_s: int) -> Credential | None:
        """Whom a token is of; None where it is none of these issuers', or not good. It may take a while."""

    def close(self) -> None:
        """Lets go of what it holds."""


class ClientCertificates(Protocol):
    """Somebody who knows client certificates."""

    def credential(self, headers: Mapping[str, str], peer: str) -> Credential | None:
        """Whom the certificate of a call names; None for none, or where the peer is not to be believed."""


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Everything that says who somebody is. Tokens and certificates are looked at at once, and wait for nobody."""

    tokens: TokenStore
    bearers: Bearers | None = None
    certificates: ClientCertificates | None = None

    async def credential(self, shown: str | None, headers: Mapping[str, str], peer: str, now_s: int) -> Credential:
        """Whose call it is. Raises Unauthenticated."""
        found: Credential | None = None
        if shown is None and self.certificates is not None:
            found = self.certificates.credential(headers, peer)
        elif shown is not None and shown.startswith(PREFIX):
            found = _of_token(self.tokens.find(shown, now_s))
        elif shown is not None and self.bearers is not None:
            found = await self.bearers.credential(shown, now_s)
        if found is None:
            raise Unauthenticated
        return found


def _of_token(token: Token | None) -> Credential | None:
    return None if token is None else Credential(f"token {token.id}", token.scopes, token.identities)


@dataclass(frozen=True, slots=True)
class Caller:
    """A call that may be made: ``name`` is the identity of this home that it is made for."""

    credential: Credential
    name: str

    def require(self, scope: Scope) -> None:
        """Raises Forbidden where the credential has not the scope."""
        if scope not in self.credential.scopes:
            raise Forbidden(f"this credential has not the scope {scope}", data={"scope": scope})


_calling: Final[ContextVar[Caller | None]] = ContextVar("calling", default=None)


def calling() -> Caller | None:
    """Whose call is answered: in its task, and in the threads that look for it. None where it is nobody's."""
    return _calling.get()


def chosen(credential: Credential, wanted: str | None, known: Mapping[str, bytes]) -> str:
    """The identity's local name. Raises Forbidden, UsageError where it is not clear."""
    names = [name for name in known if credential.allows(name)]
    if wanted is not None:
        matches = [name for name in names if wanted in (name, known[name].hex())]
        if not matches:
            raise Forbidden("this credential is for no such identity", data={"identity": wanted[:100]})
        return matches[0]
    if len(names) != 1:
        raise UsageError(
            "as which identity?" if names else "this credential is for no identity that this home has",
            hint="send DTA-Identity with a name: GET /v1/status lists them",
        )
    return names[0]


def check_parameters(request: Request) -> None:
    """Raises BadCall for a parameter that the path does not have, or that stands there twice: nothing is ignored."""
    declared = {field.alias for field in request.scope["route"].dependant.query_params}
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in given.items():
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise BadCall(422, f"there is no parameter {name[:100]!r} here", hint=f"there are: {known}")
        if count > 1:
            raise BadCall(422, f"the parameter {name} stands there twice")


def _credential(scope: Scope) -> Callable[..., Coroutine[Any, Any, Credential]]:
    async def credential(
        request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Credential:
        found: Credential = await request.app.state.agent.admit(request, bearer.credentials if bearer else None)
        made = Caller(found, "")
        made.require(scope)
        check_parameters(request)
        _calling.set(made)
        return found

    return credential


def _caller(scope: Scope) -> Callable[..., Coroutine[Any, Any, Caller]]:
    async def caller(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        dta_identity: Annotated[
            str | None, Header(alias="DTA-Identity", max_length=100, description="which of the credential's identities")
        ] = None,
    ) -> Caller:
        agent = request.app.state.agent
        credential = await agent.admit(request, bearer.credentials if bearer else None)
        made = Caller(credential, chosen(credential, dta_identity, agent.workplace.identities()))
        made.require(scope)
        check_parameters(request)
        request.state.caller = made
        _calling.set(made)
        return made

    return caller


# Parameters of paths' functions: who calls, with this scope and as an identity of this home.
Reader: TypeAlias = Annotated[Caller, Depends(_caller("read"))]
OrderWriter: TypeAlias = Annotated[Caller, Depends(_caller("order:write"))]
Decider: TypeAlias = Annotated[Caller, Depends(_caller("order:decide"))]
SecretReader: TypeAlias = Annotated[Caller, Depends(_caller("secret:read"))]
IdentityWriter: TypeAlias = Annotated[Caller, Depends(_caller("identity:write"))]
RealmWriter: TypeAlias = Annotated[Caller, Depends(_caller("realm:write"))]
Admin: TypeAlias = Annotated[Caller, Depends(_caller("admin"))]

# The same for calls that are about no identity.
ReadCredential: TypeAlias = Annotated[Credential, Depends(_credential("read"))]
IdentityCredential: TypeAlias = Annotated[Credential, Depends(_credential("identity:write"))]
