"""The page of one upload: what it says in each state, and that no text of a stranger becomes markup."""

from __future__ import annotations

import re
from html import unescape

import pytest

from incoming.core.lifecycle import State
from incoming.http_uploads.upload_page import UploadPage, UploadView
from incoming.runtime.static_files import STATIC_DIR

PAGE = UploadPage.load(STATIC_DIR)
NASTY = "<script>alert(1)</script>\"'&<b>.mov"
ADDRESS = "0b8a0f0e-4c1b-4c57-9d2a-6c0d3f6f1a55"


def view(state: State, **more: object) -> UploadView:
    """Returns an upload of 100 bytes, 45 of which have arrived, in this state."""
    about: dict[str, object] = {"offset_bytes": 45, "length_bytes": 100, "name": "a.mov", **more}
    return UploadView(state, **about)  # type: ignore[arg-type]


def html(of: UploadView, wrong: str = "") -> str:
    """Returns the page without its style."""
    text, _ = PAGE.render(of, ADDRESS, wrong)
    return text.replace(PAGE.style, "")


def refreshed(of: UploadView) -> str:
    """Returns when and where the page loads itself again; empty if it does not."""
    return PAGE.render(of, ADDRESS)[1].get("Refresh", "")


def form_action(of: UploadView) -> str:
    """Returns where the policy lets forms of the page lead."""
    _, headers = PAGE.render(of, ADDRESS)
    found = re.search(r"form-action ([^;]+);", headers["Content-Security-Policy"])
    assert found
    return found[1]


@pytest.mark.parametrize("state", State)
def test_each_state_has_a_heading_and_an_explanation(state: State) -> None:
    text = html(view(state))
    heading, title = re.search("<h1>(.+?)</h1>", text), re.search("<title>(.+?)</title>", text)
    assert heading
    assert title
    assert heading[1] == title[1]
    assert re.search('<p role="status">.{20,}</p>', text)
    assert "$" not in text


@pytest.mark.parametrize("state", State)
def test_texts_of_strangers_are_shown_as_text(state: State) -> None:
    text = html(view(state, name=NASTY, reason=NASTY, return_url=f"https://x/{NASTY}"), wrong=NASTY)
    assert "<script" not in text
    assert "<b>" not in text
    assert not re.findall(r"\s(?:style|on\w+)=", text)
    if state is not State.ISSUED:
        assert unescape(text).count(NASTY) >= 2


@pytest.mark.parametrize("state", State)
def test_the_page_loads_nothing(state: State) -> None:
    page, _ = PAGE.render(view(state), ADDRESS)
    assert not re.findall(r"<(?!a )[^>]*(?:src|href)=\"(?!data:,)|https?:|@import|url\(", page)


@pytest.mark.parametrize("state", [State.HANDING_OVER, State.WAITING])
def test_a_page_that_waits_for_the_app_is_held_until_there_is_news(state: State) -> None:
    assert refreshed(view(state)) == f"1; url={ADDRESS}?wait=25"


def test_a_page_of_a_running_upload_is_loaded_again_after_a_while() -> None:
    assert refreshed(view(State.UPLOADING)) == f"5; url={ADDRESS}"


def test_a_server_that_stops_gets_time_to_be_there_again() -> None:
    assert refreshed(view(State.HANDING_OVER, server_stops=True)) == f"10; url={ADDRESS}"


@pytest.mark.parametrize("state", sorted(set(State) - {State.UPLOADING, State.HANDING_OVER, State.WAITING}))
def test_a_page_is_not_loaded_again_when_only_its_user_can_change_something(state: State) -> None:
    assert not refreshed(view(state))


@pytest.mark.parametrize("state", State)
def test_a_page_that_loads_itself_again_has_a_link_that_does_the_same(state: State) -> None:
    has_link = f'<a href="{ADDRESS}">Show the latest state</a>' in html(view(state))
    assert has_link == bool(refreshed(view(state)))


@pytest.mark.parametrize("state", State)
def test_there_is_a_form_when_a_file_may_be_sent(state: State) -> None:
    may_send = state in (State.ISSUED, State.PAUSED)
    text = html(view(state))
    assert ("<form" in text) == may_send
    assert (form_action(view(state)) == "'self'") == may_send
    if may_send:
        assert (
            f'method="post" enctype="multipart/form-data" accept-charset="utf-8" action="{ADDRESS}"' in text
        )
        assert '<label for="file">' in text
    else:
        assert form_action(view(state)) == "'none'"


def test_the_form_may_lead_on_to_where_the_app_wants_its_user() -> None:
    of = view(State.ISSUED, return_url="https://app.example:8443/back?x=1;y")
    assert form_action(of) == "'self' https://app.example:8443"


def test_progress_is_shown_of_the_part_that_has_arrived() -> None:
    text = html(view(State.PAUSED))
    assert '<progress max="100" value="45" aria-label="Progress">45 %</progress>' in text
    assert "45 B of 100 B" in text


def test_a_file_of_unknown_size_has_no_progress_bar() -> None:
    text = html(view(State.UPLOADING, length_bytes=None))
    assert "<progress" not in text
    assert "45 B of an unknown size" in text


def test_nothing_is_said_of_a_file_before_it_is_known() -> None:
    assert 'class="file"' not in html(view(State.ISSUED, offset_bytes=0, length_bytes=None, name=""))


@pytest.mark.parametrize("state", [State.HANDING_OVER, State.FAILED, State.CANCELLED])
def test_the_reason_is_said_when_there_is_one(state: State) -> None:
    assert "The reason is: it rains." in html(view(state, reason="it rains"))
    assert "The reason" not in html(view(state))


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.EXPIRED])
def test_an_upload_that_failed_leads_back_to_the_app(state: State) -> None:
    assert '<a href="https://app.example/">' in html(view(state, return_url="https://app.example/"))
    assert "<a " not in html(view(state))


def test_what_went_wrong_is_said_above_the_form() -> None:
    text = html(view(State.ISSUED), "No file was chosen.")
    assert text.index("No file was chosen.") < text.index("<form")
    assert 'role="alert"' in text
    assert 'role="alert"' not in html(view(State.ISSUED))


def test_a_request_about_no_upload_gets_a_page_without_a_form() -> None:
    text, headers = PAGE.render_error("No upload has <this> id.")
    assert "No upload has &lt;this&gt; id." in text
    assert "<form" not in text
    assert "form-action 'none'" in headers["Content-Security-Policy"]
