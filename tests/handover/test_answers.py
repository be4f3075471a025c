"""What an app's answer means, and how long it is until the next call."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.errors import sentence_for_pages
from incoming.handover.answers import (
    Answer,
    Done,
    FailureKind,
    NoAnswer,
    Refused,
    WillFinish,
    classify,
    retry_delay_s,
)

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ANSWERS: list[tuple[int, bytes, type[Answer]]] = [
    (200, b"done", Done),
    (200, b"wait", WillFinish),
    (200, b" done\r\n", Done),  # white space around the word is fine
    (200, b"\n\twait ", WillFinish),
    (200, b'"done"', Done),  # a framework that returns a string as JSON
    (200, b' "wait"\n', WillFinish),
    (200, b'" done "', Done),
    (200, b'"\\u0064one"', Done),
    (200, b"\xef\xbb\xbfdone", Done),  # a script that was saved with a BOM
    (200, b'\xef\xbb\xbf"wait"', WillFinish),
    (200, b'""', Refused),
    (200, b'"Done"', Refused),
    (200, b'"done', Refused),
    (200, b'"done" "wait"', Refused),
    (200, b'["done"]', Refused),
    (200, b'"' * 4096, Refused),
    (200, b"'done'", Refused),
    (200, b"\xef\xbb\xbf\xef\xbb\xbfdone", Refused),
    (200, b"", Refused),
    (200, b"Done", Refused),
    (200, b"done.", Refused),
    (200, b"d one", Refused),
    (200, b"<html>done</html>", Refused),
    (200, b"\xff\xfe", Refused),
    (201, b"done", Refused),
    (204, b"", Refused),
    (299, b"wait", Refused),
    (199, b"done", Refused),
    (300, b"done", Refused),
    (302, b"done", Refused),
    (400, b"done", Refused),
    (404, b"", Refused),
    (418, b"wait", Refused),
    (408, b"", NoAnswer),
    (421, b"", NoAnswer),
    (423, b"", NoAnswer),
    (425, b"", NoAnswer),
    (428, b"", Refused),
    (429, b"done", NoAnswer),
    (430, b"", Refused),
    (499, b"", Refused),
    (500, b"done", NoAnswer),
    (502, b"", NoAnswer),
    (503, b"wait", NoAnswer),
    (599, b"", NoAnswer),
]


@pytest.mark.parametrize(("status", "body", "kind"), ANSWERS)
def test_an_answer_is_classified_by_its_status_and_its_word(
    status: int, body: bytes, kind: type[Answer]
) -> None:
    assert type(classify(status, body)) is kind


@pytest.mark.parametrize("status", [199, 300, 302, 404, 429, 500])
def test_the_reason_names_the_status(status: int) -> None:
    answer = classify(status, b"")
    assert isinstance(answer, Refused | NoAnswer)
    assert answer.why == f"the app answered with status {status}"


def test_an_answer_without_the_word_is_refused_in_words() -> None:
    answer = classify(200, b"ok\n")
    assert answer == Refused("the app answered neither done nor wait", FailureKind.OTHER_WORD, 'answer: "ok"')


@pytest.mark.parametrize(
    ("status", "kind"),
    [(0, "status_1xx"), (101, "status_1xx"), (204, "status_2xx"), (302, "status_3xx"), (404, "status_4xx"),
     (429, "status_4xx"), (500, "status_5xx"), (599, "status_5xx"), (999, "status_5xx")],
)  # fmt: skip
def test_the_failure_kind_is_the_class_of_the_status(status: int, kind: str) -> None:
    answer = classify(status, b"")
    assert isinstance(answer, Refused | NoAnswer)
    assert (answer.kind, answer.detail) == (kind, "empty answer")


def test_an_error_that_says_when_to_come_back_is_tried_again_then() -> None:
    answer = classify(409, b"locked", "30", 30.0)
    assert isinstance(answer, NoAnswer)
    assert answer.retry_after_s == 30.0
    assert isinstance(classify(409, b"locked"), Refused)


@pytest.mark.parametrize("kind", FailureKind)
def test_the_words_of_each_kind_may_be_written_into_a_page(kind: FailureKind) -> None:
    assert kind.words == sentence_for_pages(kind.words)
    assert kind.words.startswith("the app")
    assert not kind.words.endswith(".")


@same_each_run
@given(st.integers(100, 599), st.binary(max_size=40))
def test_nothing_of_the_body_is_repeated_to_users(status: int, body: bytes) -> None:
    answer, same_status = classify(status, body), classify(status, b"something else")
    if isinstance(answer, Refused | NoAnswer):
        assert isinstance(same_status, Refused | NoAnswer)
        assert (answer.why, answer.kind) == (same_status.why, same_status.kind)


# --- delays ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "delay_s"), [(1, 1.0), (2, 2.0), (3, 4.0), (9, 256.0), (10, 300.0), (100_000, 300.0)]
)
def test_delays_double_up_to_the_longest(attempt: int, delay_s: float) -> None:
    assert retry_delay_s(attempt, 1.0, 300.0, jitter=0.5) == delay_s


@pytest.mark.parametrize(("jitter", "delay_s"), [(0.0, 30.0), (0.5, 40.0), (1.0, 50.0)])
def test_jitter_spreads_a_delay_by_a_quarter_to_both_sides(jitter: float, delay_s: float) -> None:
    assert retry_delay_s(3, 10.0, 1000.0, jitter) == delay_s


@pytest.mark.parametrize(
    ("asked_s", "jitter", "delay_s"),
    [(0.0, 0.5, 4.0), (3.0, 0.5, 4.0), (60.0, 0.0, 60.0), (60.0, 1.0, 75.0), (1e9, 0.0, 300.0)],
)
def test_an_app_that_asks_for_a_delay_gets_it_up_to_the_longest(
    asked_s: float, jitter: float, delay_s: float
) -> None:
    assert retry_delay_s(3, 1.0, 300.0, jitter, asked_s) == delay_s


attempts = st.integers(1, 10_000)
jitters = st.floats(0, 1)
bounds_s = st.tuples(st.floats(0.001, 1e6), st.floats(0.001, 1e6)).map(sorted)


@same_each_run
@given(attempts, bounds_s, jitters)
def test_a_delay_is_never_below_the_first_nor_above_the_longest_but_for_its_jitter(
    attempt: int, bounds: list[float], jitter: float
) -> None:
    first_s, max_s = bounds
    delay_s = retry_delay_s(attempt, first_s, max_s, jitter)
    assert first_s * 0.75 <= delay_s <= max_s * 1.25


@same_each_run
@given(attempts, bounds_s, jitters)
def test_a_later_delay_is_never_shorter_at_the_same_jitter(
    attempt: int, bounds: list[float], jitter: float
) -> None:
    first_s, max_s = bounds
    assert retry_delay_s(attempt, first_s, max_s, jitter) <= retry_delay_s(
        attempt + 1, first_s, max_s, jitter
    )
