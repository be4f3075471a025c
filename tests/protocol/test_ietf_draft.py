"""The headers of the IETF's resumable uploads: what each interop version says and understands."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.errors import BadHeader, WrongMediaType
from incoming.protocol.ietf_draft import (
    DIALECTS,
    MEDIA_TYPE,
    NEWEST,
    Dialect,
    Header,
    InconsistentLength,
    Limits,
    Spoken,
    Transfer,
    answer_headers,
    check_stateless,
    is_creation,
    is_spoken,
    limit_value,
    read_append,
    read_creation,
    spoken,
)
from incoming.wire.find_header import FindHeader

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
in_each_dialect = pytest.mark.parametrize(
    "dialect", DIALECTS.values(), ids=lambda dialect: str(dialect.version)
)
dialects = st.sampled_from(list(DIALECTS.values()))
values = st.text(st.characters(max_codepoint=0xFF), max_size=30) | st.sampled_from(
    ["?0", "?1", "0", "7", "-1", "5.0"]
)
PART = "?0"
WHOLE = "?1"


def headers(**fields: str) -> FindHeader:
    """Returns how to find the headers: `upload_offset="5"` is Upload-Offset."""
    by_name = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda name: by_name.get(name.lower())


def of(dialect: Dialect, is_last: bool | None, **fields: str) -> FindHeader:
    """Returns the headers of a request in this dialect: its media type, and the flag unless it is None."""
    told: dict[str, str] = dict(fields)
    if dialect.append_media_type:
        told.setdefault("content_type", dialect.append_media_type)
    if is_last is not None:
        told[dialect.flag.lower().replace("-", "_")] = dialect.flag_value(is_last)
    return headers(**told)


# --- which dialect -------------------------------------------------------------------------------------


@in_each_dialect
def test_a_client_that_names_its_number_is_answered_in_its_dialect(dialect: Dialect) -> None:
    assert spoken(headers(upload_draft_interop_version=str(dialect.version))) == Spoken(dialect, True)


def test_the_versions_of_all_drafts_that_clients_have_are_known() -> None:
    assert list(DIALECTS) == [3, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("number", ["", "0", "2", "11", "99", "-3", "6.0", "six", "6, 6", '"6"'])
def test_a_client_with_an_unknown_number_speaks_the_newest_without_interim_answers(number: str) -> None:
    assert spoken(headers(upload_draft_interop_version=number)) == Spoken(NEWEST, False)


def test_a_client_without_a_number_speaks_the_newest() -> None:
    assert spoken(headers(upload_complete=WHOLE)) == Spoken(NEWEST, False)


def test_a_client_with_the_header_of_the_first_version_speaks_that_one() -> None:
    assert spoken(headers(upload_incomplete=WHOLE)) == Spoken(DIALECTS[3], False)


OWN: list[Mapping[str, str]] = [
    {"upload_draft_interop_version": "6"},
    {"upload_complete": "?1"},
    {"upload_complete": "nonsense"},
    {"upload_incomplete": "?1"},
    {"content_type": "Application/Partial-Upload; a=b"},
]
FOREIGN: list[Mapping[str, str]] = [
    {},
    {"upload_offset": "0"},
    {"upload_length": "5", "tus_resumable": "1.0.0"},
    {"content_type": "application/offset+octet-stream"},
]


@pytest.mark.parametrize("fields", OWN)
def test_a_request_with_a_header_of_the_draft_is_recognised(fields: Mapping[str, str]) -> None:
    assert is_spoken(headers(**fields))


@pytest.mark.parametrize("fields", FOREIGN)
def test_a_request_without_a_header_of_the_draft_is_not_of_the_draft(fields: Mapping[str, str]) -> None:
    assert not is_spoken(headers(**fields))


# --- which request -------------------------------------------------------------------------------------


@in_each_dialect
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_any_method_with_content_creates_an_upload(dialect: Dialect, method: str) -> None:
    assert is_creation(dialect, method, of(dialect, True, content_type="image/png"))


@in_each_dialect
def test_a_patch_with_an_offset_does_not_create_an_upload(dialect: Dialect) -> None:
    assert not is_creation(dialect, "PATCH", of(dialect, True, upload_offset="0"))
    assert not is_creation(dialect, "PATCH", of(dialect, True, upload_offset="x", content_type="a/b"))
    assert not is_creation(dialect, "PATCH", of(dialect, None))


@pytest.mark.parametrize("dialect", [d for d in DIALECTS.values() if d.append_media_type], ids=repr)
def test_a_patch_with_the_media_type_of_appends_is_one_also_without_an_offset(dialect: Dialect) -> None:
    find = of(dialect, True)
    assert not is_creation(dialect, "PATCH", find)
    with pytest.raises(BadHeader, match="Upload-Offset must be an integer"):
        read_append(dialect, find, 5)


# --- creation ------------------------------------------------------------------------------------------


@in_each_dialect
def test_a_creation_says_whether_it_has_the_whole_file(dialect: Dialect) -> None:
    assert read_creation(dialect, of(dialect, True), 5) == Transfer(0, True, 5)
    assert read_creation(dialect, of(dialect, False), 5) == Transfer(0, False, None)


@in_each_dialect
def test_the_length_comes_with_a_header_or_with_the_end_of_the_content(dialect: Dialect) -> None:
    assert read_creation(dialect, of(dialect, False, upload_length="9"), 5).length_bytes == 9
    assert read_creation(dialect, of(dialect, True, upload_length="5"), 5).length_bytes == 5
    assert read_creation(dialect, of(dialect, True, upload_length="9"), None).length_bytes == 9
    assert read_creation(dialect, of(dialect, True), None).length_bytes is None


@in_each_dialect
def test_two_lengths_in_one_request_are_refused(dialect: Dialect) -> None:
    with pytest.raises(InconsistentLength, match="says 9 bytes, but the request ends at byte 5 of the file"):
        read_creation(dialect, of(dialect, True, upload_length="9"), 5)
    with pytest.raises(InconsistentLength, match="says 9 bytes, but the request ends at byte 12 of the file"):
        read_append(dialect, of(dialect, True, upload_offset="7", upload_length="9"), 5)


@in_each_dialect
@pytest.mark.parametrize("length", ["-1", "x", "5.0", "+5", "1e3", "?1", "5, 5"])
def test_a_malformed_length_counts_as_missing(dialect: Dialect, length: str) -> None:
    assert read_creation(dialect, of(dialect, False, upload_length=length), 5).length_bytes is None
    assert read_creation(dialect, of(dialect, True, upload_length=length), 5).length_bytes == 5


@in_each_dialect
@pytest.mark.parametrize("flag", [None, "", "1", "true", "?2", "?1, ?0"])
def test_a_creation_without_a_readable_flag_is_refused(dialect: Dialect, flag: str | None) -> None:
    fields = {} if flag is None else {dialect.flag.lower().replace("-", "_"): flag}
    with pytest.raises(BadHeader, match=rf"{dialect.flag} must be \?1 or \?0"):
        read_creation(dialect, headers(**fields), 5)


@in_each_dialect
def test_a_creation_begins_at_byte_0(dialect: Dialect) -> None:
    assert read_creation(dialect, of(dialect, True, upload_offset="0"), 5) == Transfer(0, True, 5)
    with pytest.raises(BadHeader, match="Upload-Offset is not allowed"):
        read_creation(dialect, of(dialect, True, upload_offset="3"), 5)


@in_each_dialect
def test_an_empty_creation_is_an_empty_file_or_the_beginning_of_one(dialect: Dialect) -> None:
    assert read_creation(dialect, of(dialect, True), 0) == Transfer(0, True, 0)
    assert read_creation(dialect, of(dialect, False, upload_length="9"), 0) == Transfer(0, False, 9)


# --- appends -------------------------------------------------------------------------------------------


@in_each_dialect
def test_an_append_has_an_offset_and_says_whether_it_is_the_last_one(dialect: Dialect) -> None:
    assert read_append(dialect, of(dialect, True, upload_offset="7"), 5) == Transfer(7, True, 12)
    assert read_append(dialect, of(dialect, False, upload_offset="7"), 5) == Transfer(7, False, None)
    assert read_append(dialect, of(dialect, True, upload_offset="7"), 0) == Transfer(7, True, 7)


@in_each_dialect
@pytest.mark.parametrize("offset", [None, "", "-1", "x", "5.0", "+5", "1e3", "5, 5", "0" * 16])
def test_an_append_without_a_readable_offset_is_refused(dialect: Dialect, offset: str | None) -> None:
    fields = {} if offset is None else {"upload_offset": offset}
    with pytest.raises(BadHeader, match="Upload-Offset must be an integer"):
        read_append(dialect, of(dialect, True, **fields), 5)


@in_each_dialect
def test_an_append_without_the_flag_is_the_last_one_up_to_version_6(dialect: Dialect) -> None:
    find = of(dialect, None, upload_offset="7")
    if dialect.version <= 6:
        assert read_append(dialect, find, 5) == Transfer(7, True, 12)
    else:
        with pytest.raises(BadHeader, match="Upload-Complete must be"):
            read_append(dialect, find, 5)


@in_each_dialect
def test_an_append_with_a_malformed_flag_is_refused(dialect: Dialect) -> None:
    """Guessing that it is the last one could complete half a file."""
    fields = {"upload_offset": "7", dialect.flag.lower().replace("-", "_"): "true"}
    with pytest.raises(BadHeader, match="must be"):
        read_append(dialect, of(dialect, None, **fields), 5)


@in_each_dialect
@pytest.mark.parametrize("media_type", ["application/octet-stream", "application/offset+octet-stream", ""])
def test_an_append_has_its_own_media_type_since_version_6(dialect: Dialect, media_type: str) -> None:
    find = of(dialect, True, upload_offset="7", content_type=media_type)
    if dialect.version < 6:
        assert read_append(dialect, find, 5).offset_bytes == 7
    else:
        with pytest.raises(WrongMediaType, match=MEDIA_TYPE):
            read_append(dialect, find, 5)


def test_a_media_type_may_have_parameters_and_capitals() -> None:
    find = of(NEWEST, True, upload_offset="7", content_type="Application/Partial-Upload ; q=1")
    assert read_append(NEWEST, find, 5).offset_bytes == 7


@in_each_dialect
def test_only_the_first_versions_refuse_headers_of_the_state_in_other_requests(dialect: Dialect) -> None:
    check_stateless(dialect, headers(upload_draft_interop_version="3", upload_length="5"))
    for find in (headers(upload_offset="5"), of(dialect, True, content_type="")):
        if dialect.version <= 5:
            with pytest.raises(BadHeader, match="is not allowed in this request"):
                check_stateless(dialect, find)
        else:
            check_stateless(dialect, find)


@same_each_run
@given(
    dialects,
    st.sampled_from(["POST", "PUT", "PATCH"]),
    st.fixed_dictionaries(dict.fromkeys(("upload_offset", "upload_length", "content_type", "flag"), values)),
    st.integers(0, 2**60),
)
def test_whatever_a_client_sends_is_understood_or_refused(
    dialect: Dialect, method: str, fields: dict[str, str], content_bytes: int
) -> None:
    fields[dialect.flag.lower().replace("-", "_")] = fields.pop("flag")
    find = headers(**fields)
    try:
        creates = is_creation(dialect, method, find)
        transfer = (read_creation if creates else read_append)(dialect, find, content_bytes)
    except (BadHeader, WrongMediaType):
        return
    assert transfer.offset_bytes >= 0
    if transfer.is_last:
        assert transfer.length_bytes == transfer.offset_bytes + content_bytes
    else:
        assert transfer.length_bytes is None or transfer.length_bytes >= 0


# --- answers -------------------------------------------------------------------------------------------


def test_the_first_version_says_the_opposite() -> None:
    first, second = Spoken(DIALECTS[3], True), Spoken(DIALECTS[4], True)
    assert answer_headers(first, is_complete=True)[1] == ("Upload-Incomplete", "?0")
    assert answer_headers(first, is_complete=False)[1] == ("Upload-Incomplete", "?1")
    assert answer_headers(second, is_complete=True)[1] == ("Upload-Complete", "?1")
    assert answer_headers(second, is_complete=False)[1] == ("Upload-Complete", "?0")


@in_each_dialect
def test_an_answer_has_what_it_is_given_in_the_clients_dialect(dialect: Dialect) -> None:
    answer = dict(
        answer_headers(
            Spoken(dialect, True), is_complete=False, offset_bytes=0, length_bytes=9, limits=Limits(99, 60)
        )
    )
    expected = {
        "Upload-Draft-Interop-Version": str(dialect.version),
        "Upload-Incomplete" if dialect.version == 3 else "Upload-Complete": "?1"
        if dialect.version == 3
        else "?0",
        "Upload-Offset": "0",
        "Upload-Length": "9",
    }
    if dialect.version == 6:
        expected["Upload-Limit"] = "max-size=99, expires=60"
    elif dialect.version > 6:
        expected["Upload-Limit"] = "max-size=99, max-age=60"
    assert answer == expected
    assert all(type(name) is str for name in answer), "as WSGI needs them"


def test_an_answer_has_nothing_that_it_is_not_given() -> None:
    assert answer_headers(Spoken(NEWEST, False)) == []


def test_a_number_that_is_not_known_is_not_repeated() -> None:
    names = [name for name, _ in answer_headers(Spoken(NEWEST, False), is_complete=True)]
    assert names == ["Upload-Complete"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), "min-size=0"),
        (Limits(max_bytes=5), "max-size=5"),
        (Limits(max_bytes=0), "max-size=0"),
        (Limits(max_age_s=7), "max-age=7"),
        (Limits(5, 7), "max-size=5, max-age=7"),
    ],
)
def test_limits_are_a_dictionary_that_is_never_empty(limits: Limits, expected: str) -> None:
    assert limit_value(NEWEST, limits) == expected


@in_each_dialect
def test_the_versions_without_limits_have_none(dialect: Dialect) -> None:
    assert (limit_value(dialect, Limits()) is None) is (dialect.version < 6)


def test_the_names_of_headers_are_those_of_the_draft() -> None:
    assert {header.value for header in Header} == {
        *("Upload-Draft-Interop-Version", "Upload-Offset", "Upload-Complete", "Upload-Incomplete"),
        *("Upload-Length", "Upload-Limit"),
    }
