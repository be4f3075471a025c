"""docs/reference/openapi.yaml describes the routes and parameters that there are, and no others."""

from __future__ import annotations

from typing import Any, Final

import requests
import yaml

from incoming import __version__
from incoming.core.lifecycle import State
from incoming.core.parts import PARTS
from incoming.http.routes import PARAMETER_NAMES
from incoming.http_uploads.answers import METHODS
from incoming.protocol.rules import PREFIXES, PROBE_MAX_HOLD_S, PROBE_ROUTE, UPLOADS_ROUTE
from tests.conftest import StartServer
from tests.test_docs import routes, text_of

DESCRIPTION: Final[dict[str, Any]] = yaml.safe_load(text_of("docs/reference/openapi.yaml"))
OPERATIONS: Final = {
    (method.upper(), path): operation
    for path, methods in DESCRIPTION["paths"].items()
    for method, operation in methods.items()
}
ADDRESS_OF_AN_UPLOAD: Final = f"/{UPLOADS_ROUTE}/{{ticket}}"
ADDRESS_OF_A_PART: Final = f"{ADDRESS_OF_AN_UPLOAD}/{PARTS}/{{part}}"
ADDRESS_OF_THE_PROBE: Final = f"/{PROBE_ROUTE}"
ADDRESS_OF_A_FILE: Final = "/frontend/{file}"
NOT_OF_BOTTLE: Final = ADDRESS_OF_AN_UPLOAD, ADDRESS_OF_THE_PROBE
OF_ROUTES: Final = {
    key: operation for key, operation in OPERATIONS.items() if not key[1].startswith(NOT_OF_BOTTLE)
}
"""Without the addresses of an upload, of its parts, and of the probe, which are no routes of Bottle."""


def query_parameters(operation: dict[str, Any]) -> set[str]:
    """Returns the names of an operation's parameters in the query."""
    return {one["name"] for one in operation.get("parameters", ()) if one.get("in") == "query"}


def names(operation: dict[str, Any]) -> set[str]:
    """Returns the names of an operation's parameters that it shares with others."""
    parameters = DESCRIPTION["components"]["parameters"]
    return {parameters[one["$ref"].rpartition("/")[2]]["name"] for one in operation["parameters"]}


def test_it_describes_every_route_and_no_other() -> None:
    for prefix in PREFIXES:
        assert any(server["url"].endswith(prefix.rstrip("/")) for server in DESCRIPTION["servers"])
    names = {(method, rule.removeprefix(PREFIXES[0])) for method, rule in routes() if PREFIXES[1] not in rule}
    (file,) = OPERATIONS["GET", ADDRESS_OF_A_FILE]["parameters"]
    files = {("GET", ADDRESS_OF_A_FILE.format(file=name)) for name in file["schema"]["enum"]}
    described = OF_ROUTES.keys() - {("GET", ADDRESS_OF_A_FILE)} | files
    assert {(method, path.lstrip("/")) for method, path in described} == names


def test_it_describes_every_parameter_and_no_other() -> None:
    assert {name for o in OF_ROUTES.values() for name in query_parameters(o)} == set(PARAMETER_NAMES)


def test_a_form_has_the_same_fields_as_the_query() -> None:
    for operation in OF_ROUTES.values():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert set(content["schema"]["properties"]) == query_parameters(operation)


def test_it_describes_the_methods_of_an_upload() -> None:
    described = {method for method, path in OPERATIONS if path == ADDRESS_OF_AN_UPLOAD}
    assert {"OPTIONS", "POST", "HEAD", "PATCH", "DELETE"} <= described <= set(METHODS.split(", "))


def test_it_describes_the_methods_of_a_part() -> None:
    methods = {method for method, path in OPERATIONS if path == ADDRESS_OF_A_PART}
    assert methods == {"OPTIONS", "HEAD", "PATCH", "DELETE"}


def test_it_describes_what_the_probe_is_asked_and_answers(start_server: StartServer) -> None:
    asked = {
        name for (_, path), of in OPERATIONS.items() if path == ADDRESS_OF_THE_PROBE for name in names(of)
    }
    assert asked == {"hold", "interim", "stream"}
    assert DESCRIPTION["components"]["parameters"]["Hold"]["schema"]["maximum"] == PROBE_MAX_HOLD_S
    server = start_server()
    seen = requests.post(f"{server.url}{PREFIXES[0]}{PROBE_ROUTE}", data=b"x", timeout=60).json()
    assert set(DESCRIPTION["components"]["schemas"]["Seen"]["properties"]) == set(seen)


def test_it_names_every_state() -> None:
    (state,) = (p for p in OPERATIONS["GET", "/backend/uploads"]["parameters"] if p["name"] == "state")
    assert set(state["schema"]["enum"]) == {"", *State}


def test_the_description_has_the_version_of_the_package() -> None:
    assert DESCRIPTION["info"]["version"] == __version__
