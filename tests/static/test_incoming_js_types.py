"""What the TypeScript compiler notices in static/src and static/incoming.d.ts.

That it finds nothing in the files as they are is a part of `make check`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import ROOT

TSC = ROOT / "node_modules" / ".bin" / "tsc"
DEADLINE_S = 240
CORE = [
    path
    for path in (ROOT / "static" / "src").rglob("*.*s")
    if path.parent.name in {"src", "worker", "folder"}
]
SOURCES = [
    "tsconfig.json",
    *sorted(str(path.relative_to(ROOT)) for path in CORE),
    *("static/incoming.d.ts", "static/incoming.d.mts", "static/status.js"),
    *("tests/static/types_test.ts", "tests/static/module_types_test.mts"),
]


def tsc(*arguments: str | Path, cwd: Path = ROOT) -> tuple[int, str]:
    """Runs the compiler; returns its exit status and what it said."""
    assert TSC.exists(), "the TypeScript compiler is not installed: run `npm ci`, or `make test`"
    command = [str(TSC), *map(str, arguments)]
    run = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Returns a folder with all that the compiler reads, to be spoilt."""
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_copy_that_the_next_tests_spoil_has_no_errors(copy: Path) -> None:
    status, output = tsc("-p", ".", cwd=copy)
    assert status == 0, output


DRIFTS = [
    ("incoming.d.ts", "readonly bytes_ahead: number;", ""),
    ("incoming.d.ts", "readonly bytes_ahead: number;", "readonly bytes_ahead: string;"),
    ("incoming.d.ts", "readonly paused: boolean;", "readonly paused: boolean; readonly dozing: boolean;"),
    ("incoming.d.ts", "readonly frac_complete: number;\n    /** Ack", "frac_complete: number;\n    /** Ack"),
    ("incoming.d.ts", "start(): this;", "start(): this; stop(): this;"),
    ("incoming.d.ts", "onerror: Callback | null;", ""),
    ("incoming.d.ts", 'type PauseRequest = "pause" |', "type PauseRequest ="),
    ("incoming.d.ts", "function set_server_hostname", "function set_hostname"),
    ("src/library.js", "  set_server_hostname,\n", ""),
    ("src/properties.js", "bytes_ahead: (upload) =>", "bytes_behind: (upload) =>"),
    (
        "src/properties.js",
        "error_code: (upload) => upload.error_code",
        "error_code: (upload) => upload.state",
    ),
    ("src/states.js", "  finished: {},", ""),
    ("incoming.d.ts", "function matches", "function fits"),
    ("incoming.d.ts", "readonly done:", "readonly ended:"),
    ("incoming.d.ts", "readonly begun_at_ms: number;", "readonly begun_at_ms: string;"),
    ("src/library.js", "  unfinished: list_unfinished,\n  matches,", "  matches,"),
    ("incoming.d.mts", "export const forget: typeof incoming.forget;", ""),
    ("incoming.d.mts", "typeof incoming.matches", "typeof incoming.forget"),
]


@pytest.mark.parametrize(("file", "before", "after"), DRIFTS)
def test_a_difference_between_the_library_and_its_types_is_found(
    copy: Path, file: str, before: str, after: str
) -> None:
    path = copy / "static" / file
    text = path.read_text("utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), "utf-8")
    status, output = tsc("-p", ".", cwd=copy)
    assert status != 0
    assert "error TS" in output


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("queue.d.mts", "move(item: Item, index: number)", "move(item: Item, index: string)"),
        ("queue.d.mts", "can_retry: boolean;\n  /** Gives", "may_retry: boolean;\n  /** Gives"),
        ("src/queue/module.js", "export { is_accepted }", "export { is_accepted, refusal_of }"),
    ],
)
def test_a_difference_between_a_bundle_and_its_types_is_found(
    copy: Path, file: str, before: str, after: str
) -> None:
    shutil.copytree(ROOT / "static", copy / "static", dirs_exist_ok=True)
    shutil.copy(ROOT / "tests" / "static" / "bundles_types_test.mts", copy / "tests" / "static")
    shutil.copy(ROOT / "tsconfig.bundles.json", copy)
    (copy / "node_modules").symlink_to(ROOT / "node_modules")
    path = copy / "static" / file
    text = path.read_text("utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), "utf-8")
    status, output = tsc("-p", "tsconfig.bundles.json", cwd=copy)
    assert status != 0
    assert "bundles_types_test.mts" in output


def test_the_library_needs_no_newer_javascript_than_that_of_2018(tmp_path: Path) -> None:
    for target in ("es2018", "esnext"):
        options = ["--ignoreConfig", "--allowJs", "--target", target, "--lib", "es2018,dom"]
        sources = [name for name in SOURCES if name.startswith(("static/src/", "static/incoming.d.ts"))]
        status, output = tsc(*sources, *options, "--outDir", tmp_path / target)
        assert status == 0, output
    written = [
        {path.name: path.read_text("utf-8") for path in (tmp_path / target).rglob("*.js")}
        for target in ("es2018", "esnext")
    ]
    assert len(written[0]) == len([path for path in CORE if path.suffix == ".js"])
    # Whatever is newer would have been rewritten for 2018; `lib` above has seen to the functions.
    assert written[0] == written[1]
