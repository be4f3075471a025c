"""The errors: one code and one number each, statuses that HTTP knows, sentences that are safe in a page."""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core import errors
from incoming.core.lifecycle import Release, State
from incoming.core.ticket import IllegalTransition

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVIL = "<b>&"
ERRORS = [error for error in errors.all_errors() if error.__module__ == "incoming.core.errors"]

CHECKSUM_MISMATCH = 460
"""A status of tus 1.0 alone."""

# The code and number of each are known to programs outside: they never change, and none is used twice.
PUBLISHED = {
    "internal_error": (1, 500, True),
    "bad_parameter": (10, 400, False),
    "unknown_ticket": (11, 400, False),
    "wrong_secret": (12, 403, False),
    "not_allowed": (13, 403, False),
    "sign_in_needed": (19, 401, False),
    "upgrade_required": (14, 426, False),
    "not_found": (15, 404, False),
    "method_not_allowed": (16, 405, False),
    "wrong_state": (17, 412, False),
    "bad_request": (18, 400, False),
    "form_too_large": (60, 413, False),
    "length_required": (61, 411, False),
    "incomplete_body": (62, 408, True),
    "bad_message": (20, 400, False),
    "bad_chunk": (21, 400, False),
    "length_mismatch": (22, 409, False),
    "upload_too_large": (23, 413, False),
    "wrong_file": (24, 409, False),
    "damaged": (25, 400, True),
    "bytes_lost": (26, 500, True),
    "cancelled": (30, 410, False),
    "expired": (31, 410, False),
    "handover_failed": (32, 502, False),
    "taken_over": (40, 409, True),
    "storage_full": (41, 507, True),
    "storage_failed": (42, 500, True),
    "destination_taken": (45, 409, False),
    "foreign_keys": (46, 500, True),
    "stopping": (43, 503, True),
    "too_many": (44, 429, True),
    "bad_setting": (50, 500, False),
    "storage_in_use": (51, 500, True),
    "bad_header": (70, 400, False),
    "unsupported_version": (71, 412, False),
    "wrong_media_type": (72, 415, False),
    "offset_mismatch": (73, 409, True),
    "unsupported_checksum": (74, 400, False),
    "checksum_mismatch": (75, 460, True),
    "too_many_bytes": (76, 413, False),
    "app_not_ready": (77, 423, True),
    "session_ended": (78, 409, True),
    "digest_mismatch": (86, 422, False),
    "upload_in_parts": (80, 403, False),
    "upload_not_in_parts": (81, 403, False),
    "unknown_part": (82, 404, False),
    "bad_assembly": (83, 400, False),
    "too_many_parts": (84, 403, False),
    "bad_form": (90, 400, False),
    "bad_folder": (92, 422, False),
    "files_only": (93, 403, False),
    "leave_out_refused": (94, 403, False),
    "unsupported_coding": (95, 415, False),
}

SENTENCES: list[tuple[errors.IncomingError, str]] = [
    (errors.BadParameter("destType", "must be file"), "The parameter destType must be file."),
    (errors.UnknownTicket(), "No upload has this id"),
    (errors.WrongSecret(), "backendSecret is not the secret"),
    (errors.UpgradeRequired(), "WebSocket connections only"),
    (errors.LengthMismatch(errors.ExpectedFile("a.mov", 10, 0), 12), "has 10 bytes, this one has 12 bytes"),
    (errors.LengthMismatch(errors.ExpectedFile("a.mov", 0, 0), 12), "has 0 bytes, this one has 12 bytes"),
    (errors.LengthMismatch(errors.ExpectedFile("a.mov", None, 0, 13), 12), "at least 13 bytes, this one has"),
    (
        errors.LengthMismatch(errors.ExpectedFile("", None, 0, 13), 12),
        "for a file of at least 13 bytes. This",
    ),
    (
        errors.LengthMismatch(errors.ExpectedFile("a", 5, 0, app_has_it=True), 12),
        "The app has the file of this",
    ),
    (errors.WrongFile(errors.ExpectedFile("a", 5, 0, app_has_it=True)), "The app has another file from this"),
    (errors.WrongFile(errors.ExpectedFile("a", None, 0)), "started with: its content differs."),
    (errors.UploadTooLarge(12, 10), "has 12 bytes, the limit is 10 bytes"),
    (errors.UploadCancelled(), "was cancelled"),
    (errors.UploadExpired(), "idle for too long"),
    (errors.TakenOver(), "A newer connection"),
    (errors.StorageFull(), "no space for this file at the moment."),
    (errors.StorageFull(12, 10), "12 bytes are missing, 10 bytes are free"),
    (errors.TooMany("connections", 3), "Too many connections: the limit is 3"),
    (errors.StorageFailed(), "could not store"),
    (errors.Stopping(), "being restarted"),
    (errors.BadSetting("port", "must be a number"), "port: must be a number"),
    (errors.StorageInUse("some/dir"), "some/dir"),
    (errors.BadHeader("Upload-Offset", "is missing"), "The header Upload-Offset is missing."),
    (errors.UnsupportedVersion("Tus-Resumable", "1.0.0"), "Tus-Resumable must be 1.0.0"),
    (errors.WrongMediaType("text/plain"), "Content-Type must be text/plain"),
    (errors.OffsetMismatch(7, 3), "continues at byte 7, not at byte 3"),
    (errors.UnsupportedChecksum("sha1, md5"), "supports sha1, md5"),
    (errors.ChecksumMismatch(), "Nothing of it was stored"),
    (errors.DigestMismatch(), "was cancelled"),
    (IllegalTransition(State.WAITING, Release()), "the upload is waiting"),
]


def test_every_error_is_published_with_its_code_number_status_and_whether_a_retry_helps() -> None:
    assert {e.code: (e.number, e.http_status, e.retryable) for e in ERRORS} == PUBLISHED


def test_the_numbers_from_100_on_are_left_to_the_javascript_library() -> None:
    assert not [error for error in ERRORS if error.number >= 100]


def test_no_code_and_no_number_is_used_twice() -> None:
    assert len({e.code for e in ERRORS}) == len({e.number for e in ERRORS}) == len(ERRORS) == len(PUBLISHED)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_every_error_speaks_http_and_has_a_word_for_programs(error: type[errors.IncomingError]) -> None:
    assert error.http_status == CHECKSUM_MISMATCH or HTTPStatus(error.http_status).value >= 400
    assert re.fullmatch("[a-z]+(_[a-z]+)*", error.code)


@pytest.mark.parametrize(("error", "part"), SENTENCES, ids=lambda x: type(x).__name__)
def test_an_error_says_what_is_wrong_in_a_sentence(error: errors.IncomingError, part: str) -> None:
    assert part in str(error)


def test_an_error_keeps_what_failed_for_programs() -> None:
    assert errors.BadParameter("id", "is required").parameter == "id"
    assert errors.BadSetting("port", "is odd").name == "port"
    assert errors.BadHeader("Upload-Offset", "is odd").header == "Upload-Offset"
    offsets = errors.OffsetMismatch(7, 3)
    assert (offsets.expected_bytes, offsets.got_bytes) == (7, 3)
    mismatch = errors.LengthMismatch(errors.ExpectedFile("a.mov", 10, 0), 12)
    assert mismatch.expected_file == errors.ExpectedFile("a.mov", 10, 0)


@pytest.mark.parametrize("text", ["", None])
def test_an_error_without_words_still_says_something_and_tells_no_details(text: str | None) -> None:
    error = errors.InternalError(text) if text is not None else errors.InternalError()
    assert str(error) == "The upload server failed: an internal error."
    assert (error.code, error.retryable) == ("internal_error", True)


def test_a_defect_and_an_illegal_transition_share_the_code_of_their_kind() -> None:
    assert errors.InternalError.code == errors.IncomingError.code
    assert IllegalTransition.code == errors.WrongState.code


@pytest.mark.parametrize(
    "error",
    [
        errors.IncomingError(EVIL),
        errors.BadParameter(EVIL, EVIL),
        errors.BadSetting(EVIL, EVIL),
        errors.StorageInUse(EVIL),
        errors.HandoverFailed(EVIL),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_sentence_holds_markup_whatever_it_was_made_from(error: errors.IncomingError) -> None:
    assert not set(str(error)) & set("<>&")


@same_each_run
@given(st.text())
def test_a_sentence_for_pages_differs_in_markup_only(text: str) -> None:
    safe = errors.sentence_for_pages(text)
    assert not set(safe) & set("<>&")
    assert [a for a, b in zip(text, safe, strict=True) if a != b] == [c for c in text if c in "<>&"]
