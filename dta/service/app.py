"""The application: its paths, its description, its guard."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

from dta.service import docs_page, links, problems
from dta.service.agent import Agent
from dta.service.guard import Guard, Listener
from dta.service.routes import (
    authorities,
    fulfil,
    governance,
    identities,
    inbox,
    orders,
    realms,
    receipts,
    requests,
    secrets,
    signatures,
    status,
    vaults,
)

# A path of /order/secret must be looked at before /order/{reference}.
_NOUNS: Final = (
    status, identities, vaults, secrets, orders, requests, inbox, fulfil, receipts, authorities, signatures, realms,
    governance,
)  # fmt: skip
TITLE: Final = "Decentralized Trust Authority: an agent's API"
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    code: {"description": said, "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for code, said in {
        "4XX": "the call is wrong, not allowed, or was refused: problem details (RFC 9457)",
        "5XX": "a node, the keystore or this program failed: problem details",
    }.items()
}

# FastAPI hands bodies, arguments and exceptions to whatever OpenTelemetry provider the process has, and with an
# environment variable exports them: here they are secrets.
_NO_TELEMETRY: Final = TelemetryConfig(
    tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False
)


def _operation_id(route: APIRoute) -> str:
    """How generated clients call it, such as ``orders_place``."""
    tag = str(route.tags[0]) if route.tags else "other"
    name = route.name.removesuffix(f"_{tag}")
    return name if name == tag else f"{tag}_{name}"


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """FastAPI's description, with the problem that every call can end with: by its own media type."""
        if self.openapi_schema is None:
            made = super().openapi()
            made["components"]["schemas"]["Problem"] = problems.Problem.model_json_schema(mode="serialization")
            links.add(made)
            self.openapi_schema = made
        return self.openapi_schema


def api(agent: Agent | None = None) -> FastAPI:
    """The API without what stands in front of it. Without an agent it can only describe itself."""
    app = _Api(
        title=TITLE, version="1", docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json", responses=_PROBLEMS,
        telemetry=_NO_TELEMETRY, generate_unique_id_function=_operation_id,
    )  # fmt: skip
    app.state.agent = agent
    problems.install(app)
    for module in _NOUNS:
        app.include_router(module.router, prefix="/v1")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(
            docs_page.render(app.openapi()), headers={"Content-Security-Policy": docs_page.CONTENT_SECURITY_POLICY}
        )

    return app


def application(agent: Agent, listener: Listener) -> ASGIApp:
    """All of it, as a server runs it."""
    return Guard(api(agent), listener)
