"""The reference of the REST API, made of an OpenAPI description (docs/reference/rest.md)."""

from __future__ import annotations

from typing import Any

from tests.support.rest_pages import reference

DESCRIPTION: dict[str, Any] = {
    "paths": {
        "/v1/order": {
            "post": {
                "tags": ["orders"],
                "description": "Place a secret [by *wait*].\n\nTwice is once.",
                "parameters": [
                    {"name": "Idempotency-Key", "in": "header", "schema": {}, "description": "once"},
                    {"name": "prefer", "in": "header", "schema": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
                "responses": {
                    "202": {"description": "on its way", "content": {}},
                    "200": {"description": "Successful Response", "content": {"text/plain": {}}},
                    "4XX": {"description": "wrong"},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "Order": {
                "description": "What is ``placed``.",
                "required": ["names"],
                "properties": {
                    "was": {"type": "string", "deprecated": True},
                    "names": {"type": "array", "items": {"type": "string"}, "description": "a|b"},
                    "kind": {"enum": ["x", "y"]},
                    "more": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "when": {"type": "string", "format": "date-time"},
                    "always": {"const": 1},
                },
            }
        }
    },
}
WANTED = """\
| of nearly every call | what it is |
|---|---|
| header `Idempotency-Key` | once |
| answer `4XX` | wrong |

### Calls: orders

#### POST /v1/order

Place a secret \\[by \\*wait\\*].

Twice is once.

| parameter | in | type |
|---|---|---|
| `prefer` | header | string or null |

Body: [Order](#order), `application/json`.

| answer | body | what it means |
|---|---|---|
| `200` | `text/plain` |  |
| `202` |  | on its way |

### Bodies

#### Order

What is `placed`.

| field | type |  | what it is |
|---|---|---|---|
| `names` | list of string |  | a\\|b |
| `kind` | `"x"` `"y"` | optional |  |
| `more` | object of integer | optional |  |
| `when` | string date-time | optional |  |
| `always` | `1` | optional |  |
| `was` | string | deprecated |  |"""


def test_the_reference_says_what_the_description_says() -> None:
    assert "\n".join(reference(DESCRIPTION)) == WANTED
