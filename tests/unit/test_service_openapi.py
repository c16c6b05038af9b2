"""The API's description as a file: what the code says, and nothing that was promised is taken back."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import openapi, pages

NOW = json.loads(openapi.current())


def test_the_file_is_what_the_code_says() -> None:
    assert (pages.ROOT / openapi.FILE).read_text(encoding="utf-8") == openapi.current(), "run scripts/pages.sh"


def test_nothing_of_v1_that_was_promised_first_was_taken_back() -> None:
    """The file's own guard looks only where the file is written, and can be gone round by an editor."""
    assert openapi.breaks(openapi.written(openapi.PROMISED), NOW) == []


def test_what_is_as_it_was_or_grew_breaks_nobody() -> None:
    more = changed(lambda api: api["paths"].update({"/v1/more": api["paths"]["/v1/status"]}))
    order = more["components"]["schemas"]["NewOrder"]
    order["properties"]["more"] = {"type": "string"}
    order["properties"]["title"]["maxLength"] += 1
    more["components"]["schemas"]["OrderPlaced"]["properties"]["more"] = {"type": "integer"}
    assert openapi.breaks(NOW, NOW) == []
    assert openapi.breaks(NOW, more) == []


def test_no_schema_is_a_reference_and_more() -> None:
    """A generator reads one of the two, and a validator both: FastAPI writes them where a route has two models."""

    def mixed(part: object, at: str) -> Iterator[str]:
        inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for name, inner in inside:
            yield from mixed(inner, f"{at}/{name}")
        if isinstance(part, dict) and "$ref" in part and len(part) > 1:
            yield at

    assert list(mixed(NOW, "")) == []


def changed(change: Callable[[Any], Any]) -> Any:
    made = copy.deepcopy(NOW)
    change(made)
    return made


def schema(api: Any, name: str) -> Any:
    return api["components"]["schemas"][name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda api: api["paths"].pop("/v1/status"), "GET /v1/status is gone"),
        (lambda api: api["paths"]["/v1/order"].pop("get"), "GET /v1/order is gone"),
        (lambda api: api["paths"]["/v1/status"]["get"].update(operationId="x"), "is called x by generated clients"),
        (lambda api: schema(api, "NewOrder")["properties"].pop("title"), "title is gone"),
        (lambda api: schema(api, "NewOrder").update(required=["title"]), "title is needed now"),
        (lambda api: schema(api, "NewOrder")["properties"]["title"].update(maxLength=1), "maxLength is 1"),
        (lambda api: schema(api, "NewOrder")["properties"]["title"].update(type="integer"), "takes ['integer'] alone"),
        (lambda api: schema(api, "NewRealm")["properties"]["suite"].update(enum=["amcl"]), "takes fewer words"),
        (lambda api: schema(api, "OrderPlaced")["properties"].pop("commitment"), "commitment is gone"),
        (lambda api: schema(api, "OrderPlaced")["required"].remove("status"), "status may be missing"),
        (lambda api: schema(api, "OrderPlaced")["properties"]["status"].update(type=["string", "null"]), "may be"),
        (lambda api: schema(api, "RequestPrepared")["properties"].pop("prepared"), "prepared is gone"),
        (lambda api: api["paths"]["/v1/order"]["post"]["responses"].pop("202"), "202 is not answered any more"),
        (lambda api: api["paths"]["/v1/order"]["get"]["parameters"].pop(), "is gone"),
        (lambda api: api["paths"]["/v1/order"]["get"]["parameters"][0].update(required=True), "is needed now"),
        (lambda api: api["paths"]["/v1/vault/{id}/close"]["post"]["requestBody"].update(required=True), "needed now"),
    ],
)
def test_what_was_promised_and_is_taken_back_is_seen(change: Callable[[Any], Any], said: str) -> None:
    found = openapi.breaks(NOW, changed(change))
    assert any(said in one for one in found), found
