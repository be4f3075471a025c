"""schemathesis makes requests up from docs/reference/openapi.yaml, right and wrong, for a real server.

tests/http/test_routes_answers.py checks unknown methods instead: with an address of 8 KiB the answer is 414,
and schemathesis wants 405. Nor can it know that an id has to be one that was given out.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import StartServer
from tests.support.server import ROOT
from tests.support.tally import tally

EXAMPLES_A_ROUTE: Final = os.environ.get("INCOMING_TEST_EXAMPLES", "300")
CHECKS: Final = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance", "allow_header_conformance"),
)
TIMEOUT_S: Final = 2400
EXPECTED: Final = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "504"]
"""
"""504: all bytes have arrived, and the app is down: here, each app is."""
TOKEN: Final = "a-token-of-this-test"
SERVER: Final = "INCOMING_TEST_SERVER"
SERVER_TOKEN: Final = "INCOMING_TEST_SERVER_TOKEN"
"""The environment variables by which schemathesis_hooks.py knows the server and its token."""


@pytest.mark.skipif(
    not (os.environ.get("INCOMING_TEST_ATTACKS") and importlib.util.find_spec("schemathesis")),
    reason="minutes, and needs schemathesis: make attacks",
)
def test_every_answer_is_one_that_is_described(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(fsync=False, reserve_ahead_mib=0, http_hold_s=0.1, backend_token=TOKEN)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(ROOT / "docs" / "reference" / "openapi.yaml")),
        *("--url", f"{server.url}/incoming", "--checks", ",".join(CHECKS)),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES_A_ROUTE),
        *("--request-timeout", "60", "--no-color", "--generation-database", "none"),
        *("--header", f"Authorization: Bearer {TOKEN}"),  # its own header is strange to a server without
    ]
    (tmp_path / "schemathesis.toml").write_text(EXPECTED)
    hooks = {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.security.schemathesis_hooks"}
    environment = {**os.environ, **hooks, SERVER: server.url, SERVER_TOKEN: TOKEN}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    assert "Authentication failed" not in done.stdout, "each route was reached: " + done.stdout[-4000:]
    assert "Traceback" not in server.log_text()
    assert "defect" not in server.log_text()
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated, done.stdout[-2000:]
    tally("attack", "schemathesis on docs/reference/openapi.yaml", int(generated[1]), "answered as described")
