"""The built library in Node, event by event: every tests/static/*.test.mjs, with Node's own test runner."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from incoming.core import errors
from tests.support.server import ROOT

HERE = Path(__file__).parent
DEADLINE_S = 240
SCRIPTS = sorted(HERE.glob("*.test.mjs"))
STATIC = ROOT / "static"
LIBRARIES = ("incoming.js", "incoming.min.js")
IN_BOTH = ("library.test.mjs", "upload.test.mjs", "worker.test.mjs")
"""The same sources make both files. Only the minified one has other names, so it gets all scripts."""
CASES = [
    (script, name)
    for script in SCRIPTS
    for name in LIBRARIES
    if name == LIBRARIES[1] or script.name in IN_BOTH
]
ERRORS_OF_THE_LIBRARY = 100


@pytest.mark.parametrize(("script", "library"), CASES, ids=lambda of: of if isinstance(of, str) else of.name)
def test_the_library_behaves_as_this_script_says(script: Path, library: str) -> None:
    node = shutil.which("node")
    assert node, "the tests of the library need Node 20 or newer"
    command = [node, "--test", "--test-reporter=tap", str(script)]
    environment = {**os.environ, "INCOMING_TEST_LIBRARY": str(STATIC / library)}
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environment
    )
    assert run.returncode == 0, f"\n{run.stdout}{run.stderr}"
    # A file without a test would pass as well.
    assert int(re.findall(r"^# pass (\d+)$", run.stdout, re.MULTILINE)[0]) > 0


def test_the_docs_tell_every_error_that_a_page_can_see() -> None:
    source = (STATIC / "src" / "errors.js").read_text("utf-8")
    found_here = {int(code) for code in re.findall(r"= \{ code: (\d+)", source)}
    assert found_here
    assert min(found_here) >= ERRORS_OF_THE_LIBRARY
    # The server's are final only when they are about an upload, and a cancellation is shown as one.
    final = [error for error in errors.all_errors() if not error.retryable]
    about_uploads = {error.number for error in final if 20 <= error.number < 40}
    about_uploads |= {errors.UnknownTicket.number, errors.BadFolder.number}
    of_the_server = about_uploads - {errors.UploadCancelled.number}
    docs = (ROOT / "docs" / "reference" / "javascript.md").read_text("utf-8").partition("## Errors")[2]
    rows = re.findall(r"^\| ([\d, ]+) \|", docs, re.MULTILINE)
    told = {int(code) for row in rows for code in row.split(",")}
    assert told == found_here | of_the_server
    assert f"CANCELLED_CODE = {errors.UploadCancelled.number};" in source
