"""docs/reference/openapi.yaml describes the routes and parameters that there are, and no others."""

from __future__ import annotations

from typing import Any, Final

import yaml

from incoming import __version__
from incoming.core.lifecycle import State
from incoming.http.routes import PARAMETER_NAMES
from incoming.http_uploads.answers import METHODS
from incoming.protocol.rules import PREFIXES, UPLOADS_ROUTE
from tests.test_docs import routes, text_of

DESCRIPTION: Final[dict[str, Any]] = yaml.safe_load(text_of("docs/reference/openapi.yaml"))
OPERATIONS: Final = {
    (method.upper(), path): operation
    for path, methods in DESCRIPTION["paths"].items()
    for method, operation in methods.items()
}
ADDRESS_OF_AN_UPLOAD: Final = f"/{UPLOADS_ROUTE}/{{ticket}}"
OF_ROUTES: Final = {
    key: operation for key, operation in OPERATIONS.items() if not key[1].startswith(ADDRESS_OF_AN_UPLOAD)
}
"""Without the addresses of an upload and of its parts, which are no routes of Bottle."""


def query_parameters(operation: dict[str, Any]) -> set[str]:
    """Returns the names of an operation's parameters in the query."""
    return {one["name"] for one in operation.get("parameters", ()) if one.get("in") == "query"}


def test_it_describes_every_route_and_no_other() -> None:
    for prefix in PREFIXES:
        assert any(server["url"].endswith(prefix.rstrip("/")) for server in DESCRIPTION["servers"])
    names = {(method, rule.removeprefix(PREFIXES[0])) for method, rule in routes() if PREFIXES[1] not in rule}
    assert {(method, path.lstrip("/")) for method, path in OF_ROUTES} == names


def test_it_describes_every_parameter_and_no_other() -> None:
    assert {name for o in OF_ROUTES.values() for name in query_parameters(o)} == set(PARAMETER_NAMES)


def test_a_form_has_the_same_fields_as_the_query() -> None:
    for operation in OF_ROUTES.values():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert set(content["schema"]["properties"]) == query_parameters(operation)


def test_it_describes_the_methods_of_an_upload() -> None:
    described = {method for method, path in OPERATIONS if path == ADDRESS_OF_AN_UPLOAD}
    assert {"OPTIONS", "POST", "HEAD", "PATCH", "DELETE"} <= described <= set(METHODS.split(", "))


def test_it_names_every_state() -> None:
    (state,) = (p for p in OPERATIONS["GET", "/backend/uploads"]["parameters"] if p["name"] == "state")
    assert set(state["schema"]["enum"]) == {"", *State}


def test_it_is_of_this_version() -> None:
    assert DESCRIPTION["info"]["version"] == __version__
