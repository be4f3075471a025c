"""Uploads from real browsers: incoming.js and one XHR to this server, tus-js-client to @tus/server, in turn.

    (cd bench/rivals && npm install)
    python -m bench.browser --size-mib 1024 --rounds 3
    git show main:static/incoming.js >before.js   # compare two versions
    python -m bench.browser --engines firefox --before before.js
    python -m bench.browser --size-mib 20480 --once incoming --engines chromium   # memory

All send the same file from the same page. Each library is used as its documentation says. incoming.js is
measured with WebSockets and without. See README.md for what the figures mean.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium.webdriver.common.by import By

from bench import measure, settings
from bench.browser_cost import PeakMemory, cpu_by_thread, cpu_since
from bench.browser_site import Stage, stage
from bench.measure import GIB, MB, Figure
from tests.support.browser import open_browser
from tests.support.data import MIB
from tests.support.engines import Browser, chosen_engines
from tests.support.tools import MissingTool

BEFORE: Final = "incoming-before"
TITLES: Final = {
    "incoming": "incoming.js",
    "incoming-http": "incoming.js without WebSockets",
    BEFORE: "incoming.js, as it was",
    "xhr": "one PATCH by XHR",
    "tus": "tus-js-client",
}
WAYS: Final = ("incoming", "incoming-http", "xhr", "tus")
REFERENCES: Final = (BEFORE, "xhr", "tus")
"""The reference for the speed of the other ways."""
ENGINES: Final = {"chromium": "Chromium", "firefox": "Firefox", "webkit": "WebKitGTK"}
KINDS: Final = ("page", "worker", "other")
FIGURES: Final = (
    "mb_per_s",
    "page_s_per_gib",
    "worker_s_per_gib",
    "browser_s_per_gib",
    "server_s_per_gib",
    "gap_p99_ms",
    "gap_max_ms",
    "memory_mib",
)
MEASURE: Final = """
    window.outcome = null;
    const tell = (outcome) => { window.outcome = outcome; };
    measure(arguments[0]).then(tell, (error) => tell({ error: String(error) }));
"""
Sample = dict[str, float]
"""One upload: each of FIGURES."""


def _in_page(driver: Browser, what: str) -> tuple[dict[str, Any], Mapping[str, float]]:
    """Returns what the page tells of it, and the seconds of each kind of thread. Raises AssertionError."""
    before = cpu_by_thread(driver.service.process.pid)
    driver.execute_script(MEASURE, what)
    result: dict[str, Any] | None = None
    while not result:  # no call to a driver may last longer than two minutes
        time.sleep(0.5)
        result = driver.execute_script("return window.outcome")
    assert "error" not in result, result
    return result, cpu_since(before, driver.service.process.pid)


def upload(driver: Browser, library: str, size_bytes: int, server_pid: int) -> Sample:
    """Uploads the chosen file once. Subtracts what the measurement itself costs the page."""
    idle, idle_s = _in_page(driver, "nothing")
    server_before_s = measure.cpu_s(server_pid)
    with PeakMemory(driver.service.process.pid) as memory:
        result, spent = _in_page(driver, "incoming" if library == BEFORE else library)
    watching_s = {kind: idle_s[kind] / idle["wall_s"] * result["wall_s"] for kind in KINDS}
    gib = size_bytes / GIB
    each = {kind: max(0.0, spent[kind] - watching_s[kind]) / gib for kind in KINDS}
    return {
        "mb_per_s": size_bytes / MB / result["wall_s"],
        "page_s_per_gib": each["page"],
        "worker_s_per_gib": each["worker"],
        "browser_s_per_gib": sum(each.values()),
        "server_s_per_gib": (measure.cpu_s(server_pid) - server_before_s) / gib,
        "gap_p99_ms": result["gap_p99_ms"],
        "gap_max_ms": result["gap_max_ms"],
        "memory_mib": memory.grown_mib,
    }


def one_run(driver: Browser, library: str, on: Stage, warm: bool = True) -> Sample:
    """Loads the page, chooses the file, uploads it, and compares what arrived."""
    server = "tus" if library == "tus" else "incoming"
    driver.get(f"{on.url}?/{BEFORE if library == BEFORE else 'incoming'}.js")
    driver.find_element(By.ID, "file").send_keys(str(on.file))
    if not warm:
        return upload(driver, library, on.file.stat().st_size, on.pids[server])
    on.warm_up(server)
    sample = upload(driver, library, on.file.stat().st_size, on.pids[server])
    on.check(server)
    return sample


def measure_engine(driver: Browser, libraries: Sequence[str], rounds: int, on: Stage) -> list[dict[str, Any]]:
    """Returns a row for each library. They take turns in random order. The first round is a warm-up."""
    samples: dict[str, list[Sample]] = {library: [] for library in libraries}
    for number in range(1 + rounds):
        for library in random.sample(libraries, len(libraries)):
            settings.progress(f"{driver.engine}, {library}: round {number} of {rounds}")
            samples[library].append(one_run(driver, library, on))
    version = str(driver.capabilities.get("browserVersion", "")).split(".")
    engine = f"{ENGINES[driver.engine]} {'.'.join(version[: 2 if driver.engine == 'webkit' else 1])}"
    return [_row(engine, library, samples) for library in libraries]


def _row(engine: str, library: str, samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    mine = samples[library][1:]
    figures = {name: Figure.of([sample[name] for sample in mine]) for name in FIGURES}
    plain = {name: {"median": f.median, "least": f.least, "most": f.most} for name, f in figures.items()}
    row: dict[str, Any] = {"engine": engine, "name": library, "title": TITLES[library], **plain}
    for other in sorted(samples.keys() & set(REFERENCES) - {library}):
        pairs = zip(mine, samples[other][1:], strict=True)
        row[f"speed_of_{other}"] = statistics.median(one["mb_per_s"] / two["mb_per_s"] for one, two in pairs)
    return row


@contextmanager
def _file(root: Path, size_bytes: int, sparse: bool) -> Iterator[Path]:
    file = root / "file.bin"
    with file.open("wb") as out:
        out.truncate(size_bytes)
        block = bytes(range(256)) * 4096
        for _ in range(0 if sparse else size_bytes // len(block)):
            out.write(block)
    yield file
    file.unlink()


def run(
    engines: Sequence[str], rounds: int, size_bytes: int, storage: Path, before: Path | None = None
) -> dict[str, Any]:
    """Returns plain data: `size_bytes`, `skipped` (engines that are not installed), `rows` (see `_row`)."""
    libraries = [*WAYS, *([BEFORE] if before else [])]
    rows: list[dict[str, Any]] = []
    skipped: list[str] = []
    scripts = {f"/{BEFORE}.js": before} if before else {}
    with _file(storage, size_bytes, sparse=False) as file, stage(storage, file, scripts) as on:
        for engine in engines:
            profile = storage / engine
            profile.mkdir()
            try:
                with open_browser(profile, engine) as driver:
                    rows += measure_engine(driver, libraries, rounds, on)
            except MissingTool:
                skipped.append(engine)
            time.sleep(1)
    return {"size_bytes": size_bytes, "skipped": skipped, "rows": rows}


def once(library: str, engine: str, size_bytes: int, storage: Path) -> Sample:
    """Uploads a sparse file once, without a warm-up or a comparison."""
    with _file(storage, size_bytes, sparse=True) as file, stage(storage, file, {}) as on:
        (storage / engine).mkdir()
        with open_browser(storage / engine, engine) as driver:
            return one_run(driver, library, on, warm=False)


def show(found: Mapping[str, Any]) -> None:
    """Prints a table with medians, and with the spread of the speed."""
    line = "{:34} {:>14} {:>10} {:>12} {:>13} {:>12} {:>8} {:>8} {:>5}  {}\n"
    costs = ("page", "worker", "browser", "server")
    titles = [*(f"{cost} s/GiB" for cost in costs), "gap p99", "longest", "MiB"]
    sys.stdout.write(line.format("", "MB/s", *titles, ""))
    for row in found["rows"]:
        rate = row["mb_per_s"]
        cells = [f"{row[f'{cost}_s_per_gib']['median']:.2f}" for cost in costs]
        cells += [f"{row[name]['median']:.0f}" for name in ("gap_p99_ms", "gap_max_ms", "memory_mib")]
        ratios = ", ".join(f"{row[key]:.2f} of {key[9:]}" for key in row if key.startswith("speed_of_"))
        spread = f"{rate['median']:.0f} ({rate['least']:.0f}-{rate['most']:.0f})"
        sys.stdout.write(line.format(f"{row['engine']} {row['title']}", spread, *cells, ratios))


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    settings.add_options(parser, rounds=settings.PAIRS)
    parser.add_argument("--engines", default=",".join(chosen_engines()), help="default: all three")
    parser.add_argument("--before", type=Path, help="another incoming.js, measured in turn with this")
    parser.add_argument("--once", choices=WAYS, help="one upload of a sparse file")
    options = parser.parse_args()
    engines, size_bytes = options.engines.split(","), options.size_mib * MIB
    with settings.storage(options.storage) as storage:
        if options.once:
            sample = once(options.once, engines[0], size_bytes, storage)
            sys.stdout.write("".join(f"{name}: {value:.2f}\n" for name, value in sample.items()))
        else:
            show(run(engines, options.rounds, size_bytes, storage, options.before))


if __name__ == "__main__":
    main()
