"""The headers of tus 1.0: each rule with what keeps it and what breaks it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incoming.core.errors import (
    BadHeader,
    ChecksumMismatch,
    IncomingError,
    UnsupportedChecksum,
    UnsupportedVersion,
    WrongMediaType,
)
from incoming.protocol import tus
from incoming.protocol.request_checksum import DIGEST_BYTES, Checksum
from incoming.protocol.tus import (
    Append,
    Creation,
    Extension,
    FinalUpload,
    Metadata,
    PartialUpload,
)
from incoming.wire.find_header import FindHeader
from tests.support.digests import digest as digest_of

same_each_run = settings(derandomize=True, deadline=None)

MAX_INTEGER = 2**53 - 1
CONTENT = {"Content-Type": tus.MEDIA_TYPE}
NOT_INTEGERS = [
    *(
        "",
        "+5",
        "-1",
        "-0",
        "1e3",
        " 5",
        "5 ",
        "0x5",
        "5.0",
        "five",
        "5,5",
        "5, 5",
        "٣",
        "¹",
        "1_0",
        "\t5",
        "5;q=1",
    ),
    *("9" * 17, "9" * 19, "9" * 400, str(MAX_INTEGER + 1)),
]


def given_headers(headers: Mapping[str, str]) -> FindHeader:
    """Returns what finds these headers, whatever their case."""
    lower = {name.lower(): value for name, value in headers.items()}
    return lambda name: lower.get(name.lower())


def code_of(error: pytest.ExceptionInfo[IncomingError]) -> tuple[str, int]:
    """Returns what a program sees of an error."""
    return error.value.code, error.value.http_status


# --- version -------------------------------------------------------------------------------------------


def test_a_client_of_version_1_0_0_is_served() -> None:
    tus.check_version(given_headers({"tus-resumable": "1.0.0"}))


@pytest.mark.parametrize(
    "version", [None, "", "0.2.2", "1.0", "1.0.1", "1", "2.0.0", "1.0.0, 1.0.0", "1.0.0,0.2.2"]
)
def test_any_other_version_and_a_missing_one_are_refused(version: str | None) -> None:
    headers = {} if version is None else {"Tus-Resumable": version}
    with pytest.raises(UnsupportedVersion, match=r"Tus-Resumable must be 1\.0\.0") as error:
        tus.check_version(given_headers(headers))
    assert code_of(error) == ("unsupported_version", 412)


# --- numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0", "1", "007", str(MAX_INTEGER)])
def test_a_length_is_a_non_negative_integer(text: str) -> None:
    assert tus.read_integer(given_headers({"Upload-Length": text}), "Upload-Length") == int(text)


@pytest.mark.parametrize("text", NOT_INTEGERS)
@pytest.mark.parametrize("header", ["Upload-Length", "Upload-Offset"])
def test_anything_else_is_refused_and_the_header_is_named(header: str, text: str) -> None:
    with pytest.raises(
        BadHeader, match=f"The header {header} must be an integer from 0 to {MAX_INTEGER}"
    ) as error:
        tus.read_integer(given_headers({header: text}), header)
    assert code_of(error) == ("bad_header", 400)
    assert error.value.header == header


@same_each_run
@given(st.text(max_size=24))
def test_a_text_is_read_as_python_reads_digits_or_not_at_all(text: str) -> None:
    try:
        number = tus.read_integer(given_headers({"Upload-Offset": text}), "Upload-Offset")
    except BadHeader:
        assert not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= MAX_INTEGER)
    else:
        assert number == int(text)


@pytest.mark.parametrize(
    ("media_type", "is_content"),
    [
        (tus.MEDIA_TYPE, True),
        ("Application/Offset+OCTET-stream", True),
        (f"{tus.MEDIA_TYPE}; charset=binary", True),
        (f"{tus.MEDIA_TYPE} ;x", True),
        ("application/octet-stream", False),
        ("application/partial-upload", False),
        ("", False),
        (f"{tus.MEDIA_TYPE}x", False),
    ],
)
def test_the_media_type_counts_without_case_and_parameters(media_type: str, is_content: bool) -> None:
    assert tus.is_file_content(given_headers({"Content-Type": media_type})) is is_content


def test_a_body_without_a_media_type_is_not_content_of_a_file() -> None:
    assert not tus.is_file_content(given_headers({}))


# --- metadata ------------------------------------------------------------------------------------------


def in_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


METADATA = [
    ("", {}),
    ("k", {"k": b""}),
    ("k ", {"k": b""}),
    ("k eA==", {"k": b"x"}),
    ("k eA", {"k": b"x"}),
    ("a eA==,b,c eQ==", {"a": b"x", "b": b"", "c": b"y"}),
    ("a eA==, b , c eQ==", {"a": b"x", "b": b"", "c": b"y"}),
    (f"name {in_base64(bytes(range(256)))}", {"name": bytes(range(256))}),
    ("filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential", {
        "filename": b"world_domination_plan.pdf", "is_confidential": b"",
    }),
    ("schl\xc3\xbcssel eA==", {"schl\xc3\xbcssel": b"x"}),
    ("K eA==,k eQ==", {"K": b"x", "k": b"y"}),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "values"), METADATA)
def test_metadata_are_pairs_of_a_key_and_a_value_in_base64(raw: str, values: dict[str, bytes]) -> None:
    metadata = tus.read_metadata(given_headers({"Upload-Metadata": raw}))
    assert metadata == Metadata(raw, values)


def test_metadata_may_be_missing() -> None:
    assert tus.read_metadata(given_headers({})) == Metadata()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("a,,b", "empty key"),
        (",", "empty key"),
        ("a,", "empty key"),
        ("a, ,b", "empty key"),
        ("a eA==,a eQ==", "the same key twice"),
        ("a,a", "the same key twice"),
        ("a INVALID!", "not base64"),
        ("a eA==x", "not base64"),
        ("a  eA==", "not base64"),
        ("a eA== eQ==", "not base64"),
        ("a é", "not base64"),
        ("a\reA==", "control character"),
        ("a\neA==", "control character"),
        ("a\teA==", "control character"),
        ("a\0", "control character"),
        ("a\x7f", "control character"),
        ("schlüssel\u0142", "control character"),
        (f"a {'A' * 4096}", "more than 4096 bytes"),
    ],
)
def test_metadata_that_servers_could_understand_in_two_ways_are_refused(raw: str, why: str) -> None:
    with pytest.raises(BadHeader, match=why) as error:
        tus.read_metadata(given_headers({"Upload-Metadata": raw}))
    assert error.value.header == "Upload-Metadata"


def test_metadata_of_the_longest_kind_are_kept() -> None:
    raw = f"a {'A' * 4092}=="[:4094]
    assert len(raw) == 4094
    assert tus.read_metadata(given_headers({"Upload-Metadata": raw})).raw == raw


keys = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1, max_size=9
)


@same_each_run
@given(st.dictionaries(keys, st.binary(max_size=40), max_size=8))
def test_any_metadata_come_back_whole_and_as_they_came(values: dict[str, bytes]) -> None:
    raw = ",".join(f"{key} {in_base64(value)}" for key, value in values.items())
    metadata = tus.read_metadata(given_headers({"Upload-Metadata": raw}))
    assert metadata.values == values
    assert metadata.raw == raw


@same_each_run
@given(st.text(st.characters(max_codepoint=0xFF), max_size=60))
def test_what_is_sent_back_can_not_end_a_header(raw: str) -> None:
    try:
        metadata = tus.read_metadata(given_headers({"Upload-Metadata": raw}))
    except BadHeader:
        return
    assert not set(metadata.raw) & {chr(code) for code in (*range(0x20), 0x7F)}


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, ""),
        ({"filename": b"a.mov"}, "a.mov"),
        ({"name": b"b.mov"}, "b.mov"),
        ({"name": b"b.mov", "filename": b"a.mov"}, "a.mov"),
        ({"name": b"b.mov", "filename": b""}, "b.mov"),
        ({"filename": "größe.mov".encode()}, "größe.mov"),
        ({"filename": "größe.mov".encode("windows-1252")}, "größe.mov"),
        ({"filename": b"\x81\xff"}, "\ufffdÿ"),
        ({"Filename": b"a.mov"}, ""),
    ],
)
def test_the_file_has_the_name_that_clients_give_it(values: dict[str, bytes], name: str) -> None:
    assert Metadata("", values).file_name == name


# --- checksums -----------------------------------------------------------------------------------------

SHA1 = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="
"""The example in the text of tus 1.0: of `hello world`."""


def test_sha1_is_among_the_algorithms_and_no_name_has_capitals() -> None:
    assert "sha1" in tus.ALGORITHMS
    assert all(name.isascii() and name == name.lower() and name.isalnum() for name in tus.ALGORITHMS)
    assert set(tus.ALGORITHMS) <= set(DIGEST_BYTES)


@pytest.mark.parametrize("algorithm", tus.ALGORITHMS)
def test_a_checksum_is_a_name_and_bytes_in_base64(algorithm: str) -> None:
    digest = bytes(range(DIGEST_BYTES[algorithm]))
    assert tus.read_checksum(f"{algorithm} {in_base64(digest)}") == Checksum(algorithm, digest)


@pytest.mark.parametrize(
    "text", ["", "sha", "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha512 AA==", "=", "sha1,md5 AA=="]
)
def test_an_unknown_algorithm_is_refused_with_the_names_of_the_known_ones(text: str) -> None:
    with pytest.raises(UnsupportedChecksum, match="crc32c, sha1, sha256, md5, crc32") as error:
        tus.read_checksum(text)
    assert code_of(error) == ("unsupported_checksum", 400)


@pytest.mark.parametrize(
    "digest", ["", "AA==", "Kq5sNclPz7QV2+lfQIuc6R7oRu0=AA", " Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "*"]
)
def test_a_checksum_of_another_length_or_alphabet_is_refused(digest: str) -> None:
    with pytest.raises(BadHeader, match="20 bytes in base64") as error:
        tus.read_checksum(f"sha1 {digest}")
    assert code_of(error) == ("bad_header", 400)


def checked(body: bytes, headers: Mapping[str, str], trailers: Mapping[str, str]) -> bool:
    """Returns whether the body is compared with anything. Raises what it is refused with."""
    checks = tus.read_checksums(given_headers(headers))
    checks.update(memoryview(body))
    checks.verify(trailers)
    return bool(checks)


DIGEST = digest_of("sha-256", b"hello world")
ANNOUNCED = {"Trailer": "Upload-Checksum", "Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    ("headers", "trailers"),
    [
        ({"Upload-Checksum": SHA1}, {}),
        (ANNOUNCED, {"upload-checksum": SHA1}),
        ({**ANNOUNCED, "Trailer": "x-other, upload-CHECKSUM"}, {"upload-checksum": f" {SHA1} "}),
        ({**ANNOUNCED, "Upload-Checksum": SHA1}, {"upload-checksum": SHA1}),
        ({**ANNOUNCED, "Trailer": "Content-Digest"}, {"content-digest": DIGEST}),
        (
            {**ANNOUNCED, "Trailer": "Content-Digest"},
            {"content-digest": digest_of("sha-512", b"hello world")},
        ),
        (
            {**ANNOUNCED, "Trailer": "content-digest, Upload-Checksum"},
            {"upload-checksum": SHA1, "content-digest": DIGEST},
        ),
    ],
)
def test_a_checksum_comes_before_the_body_or_behind_it_or_both(
    headers: Mapping[str, str], trailers: Mapping[str, str]
) -> None:
    assert checked(b"hello world", headers, trailers)
    with pytest.raises(ChecksumMismatch):
        checked(b"hello worl", headers, trailers)


@pytest.mark.parametrize("trailers", [{}, {"content-digest": "unknown=:AA==:"}])
def test_a_digest_that_does_not_come_as_a_trailer_is_not_compared(trailers: Mapping[str, str]) -> None:
    assert checked(b"x", {**ANNOUNCED, "Trailer": "Content-Digest"}, trailers)
    assert not checked(b"x", {"Trailer": "Content-Digest", "Content-Length": "1"}, {})


def test_a_trailer_that_was_not_announced_is_ignored() -> None:
    assert not checked(b"x", {"Transfer-Encoding": "chunked"}, {"content-digest": DIGEST})
    assert not checked(b"x", {"Transfer-Encoding": "chunked"}, {"upload-checksum": SHA1})
    assert not checked(b"x", {"Transfer-Encoding": "chunked", "Trailer": "x"}, {"upload-checksum": SHA1})


@pytest.mark.parametrize(
    ("headers", "trailers", "why"),
    [
        (ANNOUNCED, {}, "did not come"),
        ({**ANNOUNCED, "Upload-Checksum": SHA1}, {}, "did not come"),
        (
            {**ANNOUNCED, "Upload-Checksum": SHA1},
            {"upload-checksum": "md5 XrY7u+Ae7tCTyyK7j1rNww=="},
            "a different value",
        ),
        (
            {"Trailer": "Upload-Checksum", "Content-Length": "11"},
            {"upload-checksum": SHA1},
            "only a chunked body",
        ),
        (ANNOUNCED, {"upload-checksum": "sha1 AA=="}, "20 bytes in base64"),
        ({**ANNOUNCED, "Trailer": "Content-Digest"}, {"content-digest": "md5"}, "byte sequence for md5"),
        ({"Upload-Checksum": f"{SHA1}, {SHA1}"}, {}, "20 bytes in base64"),
    ],
)
def test_checksums_that_contradict_each_other_or_are_missing_are_refused(
    headers: Mapping[str, str], trailers: Mapping[str, str], why: str
) -> None:
    with pytest.raises(BadHeader, match=why) as error:
        checked(b"hello world", headers, trailers)
    assert code_of(error) == ("bad_header", 400)


def test_an_unknown_algorithm_in_a_trailer_is_refused() -> None:
    with pytest.raises(UnsupportedChecksum):
        checked(b"hello world", ANNOUNCED, {"upload-checksum": "sha512 AA=="})


# --- concatenation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("final;a", ("a",)),
        ("final;/files/a /files/b", ("/files/a", "/files/b")),
        ("final; a  b ", ("a", "b")),
        ("final;https://h/a https://h/a", ("https://h/a", "https://h/a")),
    ],
)
def test_a_final_upload_names_its_parts_in_their_order(text: str, urls: tuple[str, ...]) -> None:
    assert tus.read_concat(given_headers({"Upload-Concat": text})) == FinalUpload(urls, text)


def test_a_partial_upload_says_so_and_any_other_says_nothing() -> None:
    assert tus.read_concat(given_headers({"Upload-Concat": "partial"})) == PartialUpload()
    assert tus.read_concat(given_headers({})) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be partial, or final"),
        ("Partial", "must be partial, or final"),
        ("partial;", "must be partial, or final"),
        ("final", "must be partial, or final"),
        ("final a b", "must be partial, or final"),
        ("final ;a", "must be partial, or final"),
        ("final;", "must name the URLs"),
        ("final; ", "must name the URLs"),
        ("final;a\0", "must name the URLs"),
        ("final;é", "must name the URLs"),
        (f"final;{'a ' * 1001}", "more than 1000"),
    ],
)
def test_any_other_kind_of_concatenation_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadHeader, match=why) as error:
        tus.read_concat(given_headers({"Upload-Concat": text}))
    assert error.value.header == "Upload-Concat"


# --- requests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "creation"),
    [
        ({"Upload-Length": "100"}, Creation(100)),
        ({"Upload-Length": "0"}, Creation(0)),
        ({"Upload-Defer-Length": "1"}, Creation(None)),
        ({"Upload-Length": "5", **CONTENT}, Creation(5, has_content=True)),
        ({"Upload-Length": "5", "Content-Type": "application/octet-stream"}, Creation(5)),
        ({"Upload-Length": "5", "Upload-Metadata": "k"}, Creation(5, Metadata("k", {"k": b""}))),
        ({"Upload-Length": "5", "Upload-Concat": "partial"}, Creation(5, concat=PartialUpload())),
        ({"Upload-Defer-Length": "1", "Upload-Concat": "partial"}, Creation(None, concat=PartialUpload())),
        ({"Upload-Concat": "final;a"}, Creation(None, concat=FinalUpload(("a",), "final;a"))),
    ],
)
def test_a_creation_says_how_long_the_file_is_or_that_this_is_not_known(
    headers: Mapping[str, str], creation: Creation
) -> None:
    assert tus.read_creation(given_headers(headers)) == creation


@pytest.mark.parametrize(
    ("headers", "header"),
    [
        ({}, "Upload-Length"),
        ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, "Upload-Length"),
        ({"Upload-Defer-Length": "0"}, "Upload-Defer-Length"),
        ({"Upload-Defer-Length": "true"}, "Upload-Defer-Length"),
        ({"Upload-Defer-Length": ""}, "Upload-Defer-Length"),
        ({"Upload-Defer-Length": "1, 1"}, "Upload-Defer-Length"),
        ({"Upload-Length": "5", "Upload-Defer-Length": "2"}, "Upload-Defer-Length"),
        ({"Upload-Length": "-5"}, "Upload-Length"),
        ({"Upload-Length": ""}, "Upload-Length"),
        ({"Upload-Concat": "partial"}, "Upload-Length"),
        ({"Upload-Concat": "final;a", "Upload-Length": "5"}, "Upload-Length"),
        ({"Upload-Concat": "final;a", "Upload-Defer-Length": "1"}, "Upload-Length"),
        ({"Upload-Length": "5", "Upload-Concat": "whole"}, "Upload-Concat"),
        ({"Upload-Length": "5", "Upload-Metadata": ","}, "Upload-Metadata"),
    ],
)
def test_a_creation_that_says_both_neither_or_something_else_is_refused(
    headers: Mapping[str, str], header: str
) -> None:
    with pytest.raises(BadHeader) as error:
        tus.read_creation(given_headers(headers))
    assert error.value.header == header


@pytest.mark.parametrize(
    ("headers", "append"),
    [
        ({"Upload-Offset": "0"}, Append(0)),
        ({"upload-offset": "7", "Upload-Length": "7"}, Append(7, 7)),
        ({"Upload-Offset": "7", "Upload-Length": str(MAX_INTEGER)}, Append(7, MAX_INTEGER)),
    ],
)
def test_an_append_says_where_it_begins_and_maybe_how_long_the_file_is(
    headers: Mapping[str, str], append: Append
) -> None:
    assert tus.read_append(given_headers({**CONTENT, **headers})) == append


@pytest.mark.parametrize(
    ("headers", "header"),
    [
        ({}, "Upload-Offset"),
        ({"Upload-Offset": ""}, "Upload-Offset"),
        ({"Upload-Offset": "1", "Upload-Length": "0"}, "Upload-Length"),
        ({"Upload-Offset": "1", "Upload-Length": "x"}, "Upload-Length"),
    ],
)
def test_an_append_without_an_offset_or_behind_the_end_is_refused(
    headers: Mapping[str, str], header: str
) -> None:
    with pytest.raises(BadHeader) as error:
        tus.read_append(given_headers({**CONTENT, **headers}))
    assert error.value.header == header


@pytest.mark.parametrize("media_type", ["", "application/octet-stream", "text/plain"])
def test_an_append_of_another_media_type_is_refused(media_type: str) -> None:
    with pytest.raises(WrongMediaType, match=r"application/offset\+octet-stream") as error:
        tus.read_append(given_headers({"Content-Type": media_type, "Upload-Offset": "0"}))
    assert code_of(error) == ("wrong_media_type", 415)


# --- answers -------------------------------------------------------------------------------------------


def test_the_capabilities_list_all_extensions_without_spaces() -> None:
    assert tus.capabilities(Extension, 1000) == {
        "Tus-Resumable": "1.0.0",
        "Tus-Version": "1.0.0",
        "Tus-Extension": "creation,creation-with-upload,creation-defer-length,expiration,checksum,"
        "checksum-trailer,termination,concatenation,concatenation-unfinished",
        "Tus-Max-Size": "1000",
        "Tus-Checksum-Algorithm": "crc32c,sha1,sha256,md5,crc32",
    }


def test_capabilities_without_extensions_have_no_empty_headers() -> None:
    assert tus.capabilities([], 0) == {"Tus-Resumable": "1.0.0", "Tus-Version": "1.0.0"}
    assert "Tus-Checksum-Algorithm" not in tus.capabilities([Extension.CREATION], 0)


def test_the_time_of_expiry_is_a_date_of_http() -> None:
    assert tus.expires(1403712000.4) == "Wed, 25 Jun 2014 16:00:00 GMT"


@same_each_run
@given(st.integers(0, 4_000_000_000))
def test_a_date_of_http_names_the_second(at_s: int) -> None:
    assert parsedate_to_datetime(tus.expires(at_s)).timestamp() == at_s
