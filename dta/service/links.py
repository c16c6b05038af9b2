"""What may follow an answer: OpenAPI links, so that a program that reads the description knows what to call next.

A field of an answer that is the id of something is the parameter of every path of that thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_LEADS_TO: Final = (
    # a field, the paths it is of, and the parameter there that takes it
    ("orderReference", "/v1/order/{reference}", "reference"),
    ("orderReference", "/v1/fulfill/order/{reference}", "reference"),
    ("orderReference", "/v1/receipt/order/{reference}", "reference"),
    ("request", "/v1/order/secret/{id}", "id"),
    ("request", "/v1/request/{id}", "id"),
    ("request", "/v1/fulfill/order/secret/{id}", "id"),
    ("request", "/v1/sign/{id}", "id"),
    ("vault", "/v1/vault/{id}", "id"),
    ("authority", "/v1/authority/{which}", "which"),
    ("realm", "/v1/realm/{realm}", "realm"),
    ("proposal", "/v1/governance/{id}", "id"),
    ("identity", "/v1/identity/{who}", "who"),
    ("identity", "/v1/receipt/identity/{who}", "who"),
)
_DECIDED: Final = ("approve", "veto", "vote")
_SIGNING: Final = "/v1/sign"


def add(description: dict[str, Any]) -> None:
    """Adds the links to an OpenAPI description."""
    schemas = description["components"]["schemas"]
    operations = [
        (method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    for _, path, operation in operations:
        for status, response in operation["responses"].items():
            if not str(status).startswith("2"):
                continue
            fields = _fields(response, schemas)
            links = dict(_links(path, fields, operations))
            links.pop(operation["operationId"], None)
            if links:
                response["links"] = links


def _fields(response: Mapping[str, Any], schemas: Mapping[str, Any]) -> set[str]:
    """The names that every answer of this kind has."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" not in schema:
        return set()
    return set(schemas[schema["$ref"].rpartition("/")[2]].get("properties", ()))


def _links(path: str, fields: set[str], operations: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for method, to, target in operations:
        for field, of, parameter in _LEADS_TO:
            # Which of the paths of a request it is depends on what was asked for: a secret, or a signature.
            is_other = field == "request" and path.startswith(_SIGNING) != to.startswith(_SIGNING)
            if field not in fields or not (to == of or to.startswith(of + "/")) or is_other:
                continue
            link: dict[str, Any] = {
                "operationId": target["operationId"], "parameters": {parameter: f"$response.body#/{field}"},
            }  # fmt: skip
            last = to.rpartition("/")[2]
            if method == "post" and last in _DECIDED:
                if "contentDigest" not in fields:
                    continue
                link["requestBody"] = {"contentDigest": "$response.body#/contentDigest"}
            yield target["operationId"], link
        if to == "/v1/order/secret" and method == "post" and "orderPart1CID" in fields:
            body = {"orderReference": "$response.body#/orderReference"}
            yield target["operationId"], {"operationId": target["operationId"], "requestBody": body}
