"""Which HTTP answers mean "not now"."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.wire.http_status import is_interim, is_retryable, retry_after_s

NOW_S = 1_800_000_000.0
same_each_run = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_an_interim_answer_is_followed_by_another(status: int) -> None:
    assert is_interim(status)


@pytest.mark.parametrize("status", [0, 99, 101, 200, 204, 404, 500])
def test_any_other_answer_is_the_last_one(status: int) -> None:
    assert not is_interim(status)


@pytest.mark.parametrize("status", [408, 421, 423, 425, 429, 500, 501, 502, 503, 504, 507, 599, 999])
def test_a_temporary_error_is_retryable(status: int) -> None:
    assert is_retryable(status, None)


@pytest.mark.parametrize("status", [101, 200, 204, 302, 400, 401, 403, 404, 409, 410, 418, 422, 428, 451])
def test_a_status_that_is_not_retryable_is_final(status: int) -> None:
    assert not is_retryable(status, None)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 418, 499])
@pytest.mark.parametrize("retry_after", ["5", "", "soon"])
def test_an_error_with_a_retry_after_header_is_retryable(status: int, retry_after: str) -> None:
    assert is_retryable(status, retry_after)


@pytest.mark.parametrize("status", [200, 204, 301, 302, 307])
def test_a_success_or_a_redirect_is_final_even_with_a_retry_after_header(status: int) -> None:
    assert not is_retryable(status, "5")


@pytest.mark.parametrize(
    ("header", "delay_s"),
    [
        (None, 0.0), ("", 0.0), ("0", 0.0), (" 120 ", 120.0), ("9" * 400, 999_999_999_999.0),
        ("-5", 0.0), ("1.5", 0.0), ("soon", 0.0), ("²", 0.0), ("Mon, 99 Foo 2026", 0.0),
        (formatdate(NOW_S + 90, usegmt=True), 90.0), (formatdate(NOW_S - 90, usegmt=True), 0.0),
    ],
)  # fmt: skip
def test_the_delay_is_what_the_header_says(header: str | None, delay_s: float) -> None:
    assert retry_after_s(header, NOW_S) == delay_s


@same_each_run
@given(st.text(max_size=40))
def test_no_header_makes_a_delay_that_is_negative_or_raises(header: str) -> None:
    assert retry_after_s(header, NOW_S) >= 0.0
