"""One address, several protocols: the request itself says which one it speaks."""

from __future__ import annotations

from typing import Any

import pytest

from incoming.http_uploads.dialects import DialectName, dialect_of
from incoming.http_uploads.request import UploadAddress, UploadRequest


@pytest.mark.parametrize(
    ("method", "environ", "name"),
    [
        ("POST", {"HTTP_TUS_RESUMABLE": "1.0.0"}, DialectName.TUS),
        ("HEAD", {"HTTP_TUS_RESUMABLE": "0.2.2"}, DialectName.TUS),
        ("PATCH", {"CONTENT_TYPE": "application/offset+octet-stream"}, DialectName.TUS),
        ("PATCH", {}, DialectName.TUS),
        ("POST", {"HTTP_UPLOAD_LENGTH": "5"}, DialectName.TUS),
        ("POST", {"HTTP_UPLOAD_DEFER_LENGTH": "1"}, DialectName.TUS),
        ("PATCH", {"CONTENT_TYPE": "application/partial-upload; a=b"}, DialectName.IETF),
        ("POST", {"CONTENT_TYPE": "application/partial-upload"}, DialectName.IETF),
        ("POST", {"HTTP_UPLOAD_COMPLETE": "?1", "HTTP_UPLOAD_LENGTH": "5"}, DialectName.IETF),
        ("PUT", {"HTTP_UPLOAD_INCOMPLETE": "?0"}, DialectName.IETF),
        ("HEAD", {"HTTP_UPLOAD_DRAFT_INTEROP_VERSION": "8"}, DialectName.IETF),
        ("POST", {"CONTENT_TYPE": "multipart/form-data; boundary=x"}, DialectName.FORM),
        ("PUT", {"CONTENT_TYPE": "multipart/form-data; boundary=x"}, DialectName.FORM),
        ("POST", {"CONTENT_TYPE": "application/octet-stream"}, DialectName.BODY),
        ("PUT", {}, DialectName.BODY),
        ("GET", {}, DialectName.STATE),
        ("HEAD", {}, DialectName.PLAIN),
        ("DELETE", {}, DialectName.PLAIN),
        ("BREW", {}, DialectName.PLAIN),
    ],
)
def test_a_request_says_which_protocol_it_speaks(
    method: str, environ: dict[str, Any], name: DialectName
) -> None:
    made = UploadRequest({"REQUEST_METHOD": method, **environ}, UploadAddress("ticket"))
    assert dialect_of(made) is name
