"""The parts of docs/explanation/performance.md that are made from figures, one function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import many
from bench.plots import Bar, bars, lines

BENCH: Final = Path(__file__).resolve().parent
PLOTS: Final = BENCH.parent / "docs" / "explanation" / "plots"
NOTES_PLOTS: Final = BENCH / "notes" / "plots"
ON_THE_PAGE: Final = {"single-speed", "many-waiting", "browser"}
"""The plots that the page shows; bench/notes shows the others."""
Rows = Sequence[Mapping[str, Any]]


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table without the columns that are empty: an older record does not have all figures."""
    columns = [(title, *cells) for title, *cells in zip(titles, *rows, strict=True) if any(cells)]
    head, *body = zip(*columns, strict=True)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body))


def _picture(name: str, picture: str, text: str) -> str:
    """Writes a plot. Returns its Markdown, or nothing for a plot that is not on the page."""
    on_the_page = name in ON_THE_PAGE
    ((PLOTS if on_the_page else NOTES_PLOTS) / f"{name}.svg").write_text(picture, "utf-8")
    return f"![{text}](plots/{name}.svg)" if on_the_page else ""


def _blocks(*texts: str) -> str:
    """Returns blocks of Markdown with blank lines between them, without the empty ones."""
    return "\n\n".join(filter(None, texts))


def _spread(of: Mapping[str, float], digits: int = 0) -> str:
    return f"{of['median']:.{digits}f} ({of['least']:.{digits}f} to {of['most']:.{digits}f})"


def _kind(name: str) -> str:
    return "ours" if name.startswith(("v", "ours")) else "floor" if name.startswith("floor") else "bar"


def _single(rows: Rows) -> str:
    ordered = sorted(rows, key=lambda row: -row["mb_per_s"]["median"])
    speeds = [Bar(row["title"], *_three(row["mb_per_s"]), _kind(row["name"])) for row in ordered]
    costs = [Bar(row["title"], *_three(row["cpu_s_per_gib"]), _kind(row["name"])) for row in ordered]
    cells = [
        [
            row["title"],
            _spread(row["mb_per_s"]),
            f"{row['speed_of_floor']:.2f}",
            _spread(row["cpu_s_per_gib"], 2),
            f"{row['cpu_of_floor']:.2f}",
            f"{row['peak_mib']['median']:.0f}",
            f"{row['finished_mb_per_s']['median']:.0f}" if _kind(row["name"]) == "ours" else "",
        ]
        for row in ordered
    ]
    titles = ["", "MB/s", "of the floor's", "CPU s/GiB", "times the floor's", "MiB", "MB/s until handed over"]
    pictures = [
        _picture("single-speed", bars("One upload", "MB/s, more is better", speeds), "speed of one upload"),
        _picture("single-cpu", bars("One upload", "CPU s/GiB, less is better", costs), "what it costs"),
    ]
    return _blocks(*pictures, _table(titles, cells))


def _http(figures: Mapping[str, Any]) -> str:
    rows = figures["rows"]
    titles = [
        "",
        "MB/s",
        "compared with",
        "of its speed",
        "CPU s/GiB",
        "times its CPU",
        "MB/s until handed over",
    ]
    names = {row["name"]: row["title"] for row in rows}
    cells = [
        [
            row["title"],
            _spread(row["mb_per_s"]),
            names.get(row.get("reference", ""), row.get("reference", "")),
            _ratio(row, "speed_ratio"),
            _spread(row["cpu_s_per_gib"], 2),
            _ratio(row, "cpu_ratio"),
            f"{row['finished_mb_per_s']['median']:.0f}" if row["title"].startswith("Incoming") else "",
        ]
        for row in rows
    ]
    told = f"One file of {figures['size_bytes'] >> 20} MiB."
    return _blocks(told, _table(titles, cells))


def _ratio(row: Mapping[str, Any], key: str) -> str:
    """Returns a ratio, with its spread if it has one; an empty text for a row without a reference."""
    ratio = row.get(key, "")
    return _spread(ratio, 2) if isinstance(ratio, Mapping) else f"{ratio:.2f}" if ratio else ""


def _three(figure: Mapping[str, float]) -> tuple[float, float, float]:
    return figure["median"], figure["least"], figure["most"]


def _many(rows: Rows) -> str:
    waits = ["library p50", "library p99", "ticket p99", "loop lag p99"]
    titles = ["", "at once", "MB/s", "of one's", "of the floor's", "least share", *waits]
    cells = [
        [
            _speaker(row["name"]),
            str(row["count"]),
            f"{row['mb_per_s']:.0f}",
            *(f"{row[key]:.2f}" if key in row else "" for key in ("of_one", "of_floor", "least_share")),
            *(f"{row[key]:.1f} ms" if key in row else "" for key in many.TIMES),
        ]
        for row in rows
    ]
    newest = [row for row in rows if row["name"] == "v2"]
    names = {"incoming.js p99": "library_p99_ms", "ticket p99": "ticket_p99_ms", "loop lag p99": "lag_p99_ms"}
    series = {title: [(row["count"], row[key]) for row in newest] for title, key in names.items()}
    title = "How long small requests wait beside uploads, version 2 (ms)"
    rates: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        rates.setdefault(_speaker(row["name"]), []).append((row["count"], row["mb_per_s"]))
    pictures = [
        _picture("many-speed", lines("All uploads together (MB/s)", "uploads at once", rates), "the sum"),
        _picture("many-waiting", lines(title, "uploads at once", series), "how long small requests wait"),
    ]
    return _blocks(*pictures, _table(titles, cells))


def _speaker(name: str) -> str:
    return "floor, in gevent" if name == many.FLOOR else f"version {name[1:]}"


def _idle(figures: Mapping[str, Any]) -> str:
    crowds, starts = figures["connections"], figures["tickets"]["starts"]
    titles = ["connections", "KiB each", "kernel KiB each", "idle CPU", "connected in", "an upload meanwhile"]
    cells = [
        [
            f"{row['count']:,}",
            f"{row['kib_each']:.1f}",
            f"{row['kernel_kib_each']:.1f}",
            f"{row['idle_cpu']:.2%}",
            f"{row['connect_s']:.1f} s",
            f"{row['speed_ratio']:.2f} of its speed alone",
        ]
        for row in crowds
    ]
    ticket_titles = ["tickets in the journal", "start", "ms each", "KiB each"]
    ticket_cells = [
        [f"{row['count']:,}", f"{row['start_s']:.1f} s", f"{row['ms_each']:.2f}", f"{row['kib_each']:.1f}"]
        for row in starts
    ]
    memory = {
        "connections": [(row["count"], row["count"] * row["kib_each"] / 1024) for row in crowds],
        "tickets": [(row["count"], row["count"] * row["kib_each"] / 1024) for row in starts],
    }
    times = {
        "connecting": [(row["count"], row["connect_s"]) for row in crowds],
        "start": [(row["count"], row["start_s"]) for row in starts],
    }
    created = f"{figures['tickets']['created_per_s']:.0f} tickets a second are issued"
    return _blocks(
        _picture("idle-memory", lines("Memory of the server (MiB)", "how many", memory), "memory"),
        _picture("idle-times", lines("To connect or start with all (s)", "how many", times), "times"),
        _table(titles, cells),
        _table(ticket_titles, ticket_cells),
        f"{created}, to {figures['tickets']['created_at_once']} connections at once.",
    )


def _small(figures: Mapping[str, Any]) -> str:
    titles = ["", "at once", "uploads a second", "of @tus/server's", "server CPU, ms each", "of version 2's"]
    titles += ["median", "p99"]
    cells = [
        [
            row["title"],
            str(row["at_once"]),
            _spread(row["uploads_per_s"]),
            _ratio(row, "rate_ratio"),
            _spread(row["cpu_ms_each"], 2),
            _ratio(row, "cpu_ratio"),
            f"{row['median_ms']['median']:.1f} ms",
            f"{row['p99_ms']['median']:.1f} ms",
        ]
        for row in figures["rows"]
    ]
    busiest = max(row["at_once"] for row in figures["rows"])
    rows = sorted(
        (row for row in figures["rows"] if row["at_once"] == busiest),
        key=lambda row: -float(row["uploads_per_s"]["median"]),
    )
    speeds = [Bar(row["title"], *_three(row["uploads_per_s"]), _kind(row["name"])) for row in rows]
    title = f"Files of 10 KB, {busiest} at a time"
    picture = _picture("small", bars(title, "uploads a second", speeds), title)
    return _blocks(picture, _table(titles, cells))


def _takeover(figures: Mapping[str, Any]) -> str:
    titles = ["the dead connection", "HEAD of", "p50", "p99"]
    cells = [
        [row["death"], row["head"], f"{row['p50_ms']:.1f} ms", f"{row['p99_ms']:.1f} ms"]
        for row in figures["rows"]
    ]
    return _blocks(_table(titles, cells), f"{figures['takeovers']} takeovers of each kind.")


def _slow_disk(figures: Mapping[str, Any]) -> str:
    if "skipped" in figures:
        return f"Not measured: {figures['skipped']}."
    asked = list(figures["runs"][0]["polite"]["asked"])
    waits = [f"{what}: p50, p99" for what in asked]
    titles = ["on the slow disk", "client", "MB/s", "ahead (window)", "memory grown", "late by 50 ms", *waits]
    cells = [
        [
            run["on_it"],
            kind,
            f"{run[kind]['mb_per_s']:.0f}",
            f"{run[kind]['most_ahead_mib']:.0f} ({run[kind]['window_mib']:.0f}) MiB",
            f"{run[kind]['memory_grown_mib']:.0f} MiB",
            f"{run[kind]['late_50_ms']:.1%}",
            *(_waited(run[kind]["asked"][what]) for what in asked),
        ]
        for run in figures["runs"]
        for kind in ("polite", "greedy")
    ]
    told = f"One upload flat out onto a disk that takes {figures['disk_mb_per_s']} MB/s (cgroup blkio)."
    return _blocks(told, _table(titles, cells))


def _waited(one: Mapping[str, float]) -> str:
    return f"{one['p50_ms']:.0f} ms, {one['p99_ms']:.0f} ms"


def _browser(figures: Mapping[str, Any]) -> str:
    titles = ["", "MB/s", "of tus-js-client's", "of one XHR's", "page's thread, s/GiB", "worker"]
    titles += ["whole browser", "server"]
    titles += ["gap: p99, longest", "memory grown"]
    cells = [
        [
            f"{row['engine']}, {row['title']}",
            _spread(row["mb_per_s"]),
            _ratio(row, "speed_of_tus"),
            _ratio(row, "speed_of_xhr"),
            *(f"{row[f'{one}_s_per_gib']['median']:.2f}" for one in ("page", "worker", "browser", "server")),
            f"{row['gap_p99_ms']['median']:.0f} ms, {row['gap_max_ms']['median']:.0f} ms",
            f"{row['memory_mib']['median']:.0f} MiB",
        ]
        for row in figures["rows"]
    ]
    speeds = [
        Bar(f"{row['engine']}, {row['title']}", *_three(row["mb_per_s"]), _browser_kind(row["name"]))
        for row in figures["rows"]
    ]
    title = f"One file of {figures['size_bytes'] >> 20} MiB from a page"
    skipped = f"Not installed: {', '.join(figures['skipped'])}." if figures["skipped"] else ""
    picture = _picture("browser", bars(title, "MB/s, more is better", speeds), title)
    return _blocks(picture, _table(titles, cells), skipped)


def _browser_kind(name: str) -> str:
    return "ours" if name.startswith("incoming") else "bar"


PARTS: Final[dict[str, Callable[[Any], str]]] = {
    "single": _single,
    "http": _http,
    "many": _many,
    "idle": _idle,
    "small": _small,
    "takeover": _takeover,
    "slow-disk": _slow_disk,
    "browser": _browser,
}
"""The function that makes Markdown from the figures, by measurement."""
