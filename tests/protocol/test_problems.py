"""Errors as problem details."""

from __future__ import annotations

import json

import pytest

from incoming.core.errors import (
    BadHeader,
    ChecksumMismatch,
    DigestMismatch,
    ExpectedFile,
    IncomingError,
    LengthMismatch,
    OffsetMismatch,
    TooManyBytes,
    UnknownTicket,
    UploadTooLarge,
)
from incoming.protocol.digests import InvalidDigest
from incoming.protocol.ietf_draft import InconsistentLength
from incoming.protocol.problems import problem

REGISTRY = "https://iana.org/assignments/http-problem-types#"
REGISTERED: list[tuple[IncomingError, str]] = [
    (OffsetMismatch(5, 3), "mismatching-upload-offset"),
    (LengthMismatch(ExpectedFile("a", 5, 0), 6), "inconsistent-upload-length"),
    (InconsistentLength(5, 6), "inconsistent-upload-length"),
    (InvalidDigest("Content-Digest", "is short"), "digest-invalid-values"),
    (TooManyBytes(5), "inconsistent-upload-length"),
    (DigestMismatch(), "digest-mismatched-values"),
    (ChecksumMismatch(), "digest-mismatched-values"),
]
WITHOUT_A_TYPE: list[IncomingError] = [
    UnknownTicket(),
    BadHeader("Upload-Offset", "is odd"),
    UploadTooLarge(9, 5),
]


@pytest.mark.parametrize(("error", "name"), REGISTERED)
def test_an_error_of_the_draft_has_its_registered_type(error: IncomingError, name: str) -> None:
    members = problem(error, 400, "Bad Request")
    assert members["type"] == REGISTRY + name
    assert members["title"] != "Bad Request"


@pytest.mark.parametrize("error", WITHOUT_A_TYPE)
def test_any_other_error_has_the_title_of_its_status(error: IncomingError) -> None:
    members = problem(error, 404, "Not Found")
    assert (members["type"], members["title"]) == ("about:blank", "Not Found")


@pytest.mark.parametrize("error", [*(error for error, _ in REGISTERED), *WITHOUT_A_TYPE])
def test_a_problem_has_the_sentence_and_the_code(error: IncomingError) -> None:
    members = json.loads(json.dumps(problem(error, 400, "Bad Request")))
    assert (members["status"], members["detail"], members["code"]) == (400, str(error), error.code)


def test_a_wrong_offset_is_told_together_with_the_right_one() -> None:
    members = problem(OffsetMismatch(5, 3), 409, "Conflict")
    assert (members["expected-offset"], members["provided-offset"]) == (5, 3)
