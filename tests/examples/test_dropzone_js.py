"""The dropzone's scripts: in Node, event by event, and read by the TypeScript compiler."""

from __future__ import annotations

import re
import shutil
import subprocess

from tests.support.server import ROOT

EXAMPLE = ROOT / "examples" / "3-dropzone"
MODULES = ["queue.js", "totals.js", "dropped.js"]
TSC = ROOT / "node_modules" / ".bin" / "tsc"
DEADLINE_S = 120


def run(*command: str) -> tuple[int, str]:
    """Runs a tool; returns its exit status and what it said."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_queue_behaves_as_its_script_of_tests_says() -> None:
    node = shutil.which("node")
    assert node, "the tests of the queue need Node 20 or newer"
    status, output = run(node, "--test", "--test-reporter=tap", "tests/examples/dropzone.test.mjs")
    assert status == 0, output
    assert int(re.findall(r"^# pass (\d+)$", output, re.MULTILINE)[0]) > 0


def test_the_modules_use_the_library_as_its_types_allow() -> None:
    options = ["--ignoreConfig", "--noEmit", "--allowJs", "--checkJs", "--strict", "--noUnusedLocals"]
    options += ["--useUnknownInCatchVariables", "false", "--target", "es2022", "--module", "es2022"]
    options += ["--lib", "es2022,dom,dom.iterable,dom.asynciterable", "--types", ""]
    sources = ["static/incoming.d.ts", *(str(EXAMPLE / name) for name in MODULES)]
    assert TSC.exists(), "the TypeScript compiler is not installed: run `npm ci`, or `make test`"
    status, output = run(str(TSC), *sources, *options)
    assert status == 0, output
