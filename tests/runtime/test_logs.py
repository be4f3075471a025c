"""Log lines for people and for programs; nobody else writes lines of his own into them."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from typing import Any

import pytest

from incoming.core.ticket import Ticket
from incoming.runtime.logs import JsonFormatter, LogRateLimit, TextFormatter, name_instance, printable
from tests.test_house import MODULES, tree

ID = "0b8a0f0e-4c1b-4c57-9d2a-6c0d3f6f1a55"
TICKET = Ticket(ID, "http://app.example.org/", secret="s3cret", metadata='{"user": 1}', reason="no\nmore")


def written(formatter: logging.Formatter, text: str, *args: object, exc: Exception | None = None) -> str:
    """Returns what a logger with this formatter writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    exc_info = (type(exc), exc, None) if exc else None
    record = logging.LogRecord("incoming.x", logging.INFO, "x.py", 1, text, args, exc_info)
    handler.handle(record)
    return stream.getvalue()


def as_json(text: str, *args: object, exc: Exception | None = None) -> dict[str, Any]:
    """Returns the object of the one line that is written."""
    line = written(JsonFormatter(), text, *args, exc=exc)
    assert line.count("\n") == 1
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_a_line_for_people_has_time_level_and_message() -> None:
    line = written(TextFormatter(), "upload %(ticket)s: finished", TICKET.for_log())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    upload 0b8a0f0e: finished\n", line)


def test_a_line_for_programs_has_the_ticket_and_the_fields() -> None:
    fields = as_json("upload %(ticket)s: at %(offset_bytes)d", TICKET.for_log(offset_bytes=7))
    assert fields.pop("ts").endswith("Z")
    assert fields == {
        "level": "info", "logger": "incoming.x", "message": "upload 0b8a0f0e: at 7", "ticket": "0b8a0f0e",
        "length_bytes": None, "offset_bytes": 7, "reason": "no\nmore", "state": "issued",
    }  # fmt: skip


def test_the_time_is_that_of_the_whole_world() -> None:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "hello", (), None)
    record.created = 1.5
    assert json.loads(JsonFormatter().format(record))["ts"] == "1970-01-01T00:00:01.500Z"


def test_what_is_said_of_a_ticket_has_neither_its_id_nor_a_secret() -> None:
    said = json.dumps(TICKET.for_log())
    assert not [secret for secret in (ID, "s3cret", "user", "app.example.org") if secret in said]


def test_a_field_never_takes_the_place_of_what_each_line_has() -> None:
    fields = as_json("%(message)s", {"message": "hello", "level": "none", "ts": "never"})
    assert (fields["message"], fields["level"]) == ("hello", "info")
    assert fields["ts"] != "never"


HOSTILE = [
    "a\n2026-01-01 00:00:00,000 INFO    upload 0b8a0f0e: finished",
    "a\r\nb", "\x1b[2J\x1b[31mred", "\x00", "\x9b31m", "a\u2028b\u2029c", "\u202egnp.exe", "\ud800", "\x85",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_strangers_write_no_lines_and_no_controls_into_the_log(text: str) -> None:
    line = written(TextFormatter(), "cancelled: %(reason)s", {"reason": text})
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert as_json("cancelled: %(reason)s", {"reason": text})["reason"] == text
    assert written(JsonFormatter(), "%(reason)s", {"reason": text})[:-1].isprintable()


def test_letters_of_any_language_stay_as_they_are() -> None:
    assert printable("Übergröße 文書 \N{SNOWMAN}.txt") == "Übergröße 文書 \N{SNOWMAN}.txt"
    assert printable("a\tb\\n") == "a\\tb\\n"


def test_a_traceback_is_indented_or_in_the_object() -> None:
    exc = ValueError("first\n2026-01-01 second")
    first, *rest = written(TextFormatter(), "a defect", exc=exc).splitlines()
    assert first.endswith("a defect")
    assert rest and all(line.startswith("    ") for line in rest)
    assert "second" in as_json("a defect", exc=exc)["traceback"]


def test_only_the_level_is_coloured() -> None:
    assert "\x1b" not in written(TextFormatter(coloured=True), "hello")
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "hello", (), None)
    assert "\x1b[31mERROR  \x1b[0m hello" in TextFormatter(coloured=True).format(record)


def log_calls() -> list[tuple[str, ast.Call]]:
    """Returns each call of a logger, with the module that it is in."""
    return [
        (module, node)
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
    ]


def test_every_line_names_its_fields() -> None:
    """`%s` gives a line for people only: programs would have to take it apart."""
    calls = log_calls()
    assert len(calls) > 20
    nameless = [
        f"{module}:{call.lineno}"
        for module, call in calls
        if isinstance(call.args[0], ast.Constant) and re.search(r"%[^(%]", str(call.args[0].value))
    ]
    assert nameless == []


def test_a_rate_limit_counts_the_lines_that_it_keeps_out_of_the_log() -> None:
    now_s = 0.0
    limit = LogRateLimit(60.0, 2, lambda: now_s)
    assert [limit.allows("a") for _ in range(5)] == [True, True, False, False, False]
    assert limit.allows("b") and limit.take_suppressed("b") == 0
    now_s = 60.0
    assert limit.allows("a")
    assert (limit.take_suppressed("a"), limit.take_suppressed("a")) == (3, 0)


def test_a_rate_limit_of_one_line_allows_it_once_in_an_interval() -> None:
    now_s = 5.0
    limit = LogRateLimit(300.0, now_s=lambda: now_s)
    assert limit.allows("a")
    assert not limit.allows("a")
    assert limit.allows("b")
    now_s = 304.9
    assert not limit.allows("a")
    now_s = 305.0
    assert limit.allows("a")
    assert not limit.allows("a")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_each_line_names_the_instance_once_it_has_a_name(
    formatter: TextFormatter | JsonFormatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    assert "web-1" not in written(formatter, "started")
    name_instance("web-1")
    line = written(formatter, "started")
    if isinstance(formatter, JsonFormatter):
        assert json.loads(line)["instance"] == "web-1"
    else:
        assert line.endswith("INFO    [web-1] started\n")
