"""A form with a file in it, fed in pieces of any size: the bytes of the file, and what is refused."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from incoming.core.errors import BadForm, FormTooLarge, IncomingError
from incoming.protocol.multipart_form import MAX_OTHER_BYTES, FormReader, file_name_of

BOUNDARY = "----WebKitFormBoundaryAbC0dEfGh1jK2lMn"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def field(name: str, value: bytes) -> bytes:
    """Returns a part with a field of the page."""
    return part(f'Content-Disposition: form-data; name="{name}"'.encode(), value)


def file(name: bytes, content: bytes) -> bytes:
    """Returns a part with a file, as browsers send it."""
    disposition = b'Content-Disposition: form-data; name="file"; filename="%s"' % name
    return part(disposition + b"\r\nContent-Type: application/octet-stream", content)


def part(head: bytes, content: bytes) -> bytes:
    """Returns a part of a form."""
    return b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), head, content)


def form(*parts: bytes) -> bytes:
    """Returns the form with these parts."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def read(
    body: bytes, piece_bytes: int = 1 << 20, content_type: str = CONTENT_TYPE
) -> tuple[str | None, bytes]:
    """Returns the name and the bytes of the file in a form that comes in pieces of this size."""
    reader, content = FormReader(content_type), b""
    for at in range(0, len(body), piece_bytes):
        content += b"".join(reader.feed(body[at : at + piece_bytes]))
    reader.finish()
    return reader.file_name, content


PIECES = pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 41, 1 << 20])
TRICKY = (
    *(b"", b"\r\n", b"\r\n--", b"--", b"\r", b"\n\r\n\r\n", BOUNDARY.encode()),
    *(
        b"\r\n--" + BOUNDARY.encode()[:-1],
        b"--" + BOUNDARY.encode() + b"\r\n",
        b"\r\n--" + BOUNDARY.encode() + b"x",
    ),
    *(
        b"\r\n--" + BOUNDARY.encode() + b"-",
        b"\r\n--" + BOUNDARY.encode() + b"-\r\n--",
        bytes(range(256)) * 5,
    ),
)

DELIMITER = re.compile(rb"\r\n--" + BOUNDARY.encode() + rb"(\r\n|--|[ \t])")


@PIECES
@pytest.mark.parametrize("content", TRICKY)
def test_the_file_comes_out_as_it_is_however_it_comes_in(content: bytes, piece_bytes: int) -> None:
    assert read(form(file(b"a.bin", content)), piece_bytes) == ("a.bin", content)


@given(st.binary(max_size=300), st.lists(st.sampled_from(TRICKY), max_size=4), st.integers(1, 200))
def test_any_bytes_come_out_as_they_are(content: bytes, tricky: list[bytes], piece_bytes: int) -> None:
    whole = content.join(tricky) + content
    # A browser chooses a boundary that is not in the file.
    assume(not DELIMITER.search(b"\r\n" + whole + b"\r\n"))
    assert read(form(file(b"a.bin", whole)), piece_bytes) == ("a.bin", whole)


@PIECES
def test_line_ends_in_front_of_the_form_are_passed_over_and_nothing_else_is(piece_bytes: int) -> None:
    assert read(b"\r\n\n" + form(file(b"a", b"1")), piece_bytes) == ("a", b"1")
    with pytest.raises(BadForm, match="malformed"):
        read(b"\r\nsomething\r\n" + form(file(b"a", b"1")), piece_bytes)


@PIECES
def test_fields_before_and_after_the_file_are_passed_over(piece_bytes: int) -> None:
    body = form(field("a", b"1" * 500), file(b"x.txt", b"content"), field("b", b"2"), field("c", b""))
    assert read(body, piece_bytes) == ("x.txt", b"content")


def test_the_bytes_of_the_file_come_out_before_the_form_ends() -> None:
    reader = FormReader(CONTENT_TYPE)
    start = form(file(b"x", b"y" * 10_000))[:6000]
    assert 5500 < sum(map(len, reader.feed(start))) < 6000
    assert reader.file_name == "x"
    assert not reader.is_complete


def test_an_empty_file_that_was_chosen_is_a_file() -> None:
    assert read(form(file(b"empty.txt", b""))) == ("empty.txt", b"")


def test_a_file_without_a_name_is_a_file_if_it_has_bytes() -> None:
    assert read(form(file(b"", b"content"))) == ("", b"content")


@PIECES
def test_file_fields_in_which_nothing_was_chosen_do_not_count(piece_bytes: int) -> None:
    assert read(form(file(b"", b""), file(b"b", b"2"), file(b"", b"")), piece_bytes) == ("b", b"2")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"plain.txt", "plain.txt"),
        ("Ü 漢字.txt".encode(), "Ü 漢字.txt"),
        (b"\xdcbung \x80.txt", "Übung €.txt"),
        (b"a\x81b", "a\N{REPLACEMENT CHARACTER}b"),
        (b"say %22hi%22.txt", 'say "hi".txt'),
        (b"100%.txt", "100%.txt"),
        (b"%41%2F", "%41%2F"),
        (b"two%0D%0Alines", "two\r\nlines"),
        (b"", ""),
    ],
)
def test_a_name_is_utf_8_or_else_windows_1252_and_its_quotes_are_unescaped(raw: bytes, name: str) -> None:
    assert file_name_of(raw) == name
    if raw:
        assert read(form(file(raw, b"x"))) == (name, b"x")


@pytest.mark.parametrize("raw", [rb"back\slash", rb"end\\", b"semi;colon", b"a=b; c=d", b"it's"])
def test_a_name_with_characters_that_mean_something_in_a_header_is_a_name(raw: bytes) -> None:
    assert read(form(file(raw, b"x")))[0] in (raw.decode(), raw.decode().replace("\\\\", "\\"))


def test_the_name_of_older_python_clients_is_understood() -> None:
    head = b"Content-Disposition: form-data; name=\"f\"; filename*=utf-8''%C3%9Cbung%22.txt"
    assert read(form(part(head, b"x"))) == ('Übung".txt', b"x")


def test_what_curl_escapes_in_a_name_is_unescaped() -> None:
    assert read(form(file(rb"say \"hi\".txt", b"x"))) == ('say "hi".txt', b"x")


def test_a_boundary_may_be_quoted() -> None:
    content_type = f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"'
    assert read(form(file(b"a", b"b")), content_type=content_type) == ("a", b"b")


@pytest.mark.parametrize(
    "content_type",
    [
        *("", "multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""'),
        *("multipart/mixed; boundary=x", "text/plain", "multipart/form-data; boundary=" + "x" * 300),
    ],
)
def test_a_form_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(BadForm, match="boundary"):
        FormReader(content_type)


def of(name: str, value: str) -> bytes:
    """Returns a part with a file that has another header, too."""
    head = f'Content-Disposition: form-data; name="file"; filename="x"\r\n{name}: {value}'
    return part(head.encode(), b"content")


REFUSED = {
    "several files": (form(file(b"a", b"1"), file(b"b", b"2")), BadForm, "several files"),
    "the same twice": (form(file(b"a", b"1"), field("f", b"x"), file(b"a", b"1")), BadForm, "several files"),
    "an empty second one": (form(file(b"a", b"1"), file(b"b", b"")), BadForm, "several files"),
    "a second one without a name": (form(file(b"a", b"1"), file(b"", b"2")), BadForm, "several files"),
    "none chosen": (form(field("a", b"1"), file(b"", b"")), BadForm, "No file was chosen"),
    "no field for one": (form(field("a", b"1")), BadForm, "no field for a file"),
    "no field": (form(), BadForm, "no field for a file"),
    "nothing": (b"", BadForm, "incomplete"),
    "no end": (form(file(b"a", b"1"))[:-6], BadForm, "incomplete"),
    "cut in the file": (form(file(b"a", b"1" * 500))[:300], BadForm, "incomplete"),
    "cut in a header": (form(file(b"a", b"1"))[:60], BadForm, "incomplete"),
    "another boundary": (b"--other\r\n\r\n\r\n--other--", BadForm, "malformed"),
    "a urlencoded form": (b"a=1&b=2", BadForm, "malformed"),
    "a header that is none": (form(part(b"no colon", b"x")), BadForm, "malformed"),
    "a part without a header": (form(part(b"X: y", b"x")), BadForm, "malformed"),
    "too many headers": (form(part(b"\r\n".join([b"X: y"] * 50), b"x")), BadForm, "malformed"),
    "an attachment": (form(part(b"Content-Disposition: attachment; filename=x", b"x")), BadForm, "malformed"),
    "base64": (form(of("Content-Transfer-Encoding", "base64")), BadForm, "encoded"),
    "a long name": (form(file(b"n" * 100_000, b"x")), BadForm, "malformed"),
    "a long field": (form(field("a", b"x" * MAX_OTHER_BYTES), file(b"a", b"1")), FormTooLarge, "100 KiB"),
    "a long field at the end": (
        form(file(b"a", b"1"), field("a", b"x" * MAX_OTHER_BYTES)),
        FormTooLarge,
        "100 KiB",
    ),
    "a long end": (form(file(b"a", b"1")) + b"x" * MAX_OTHER_BYTES, FormTooLarge, "100 KiB"),
    "many fields": (form(*[field("a", b"")] * 2000), FormTooLarge, "100 KiB"),
}


@pytest.mark.parametrize("piece_bytes", [1000, 1 << 20])
@pytest.mark.parametrize(("body", "error", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_form_with_one_file_is_refused(
    body: bytes, error: type[IncomingError], why: str, piece_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(error, match=why):
        read(body, piece_bytes)
    assert not caplog.records, "the server logs one line of its own"


@pytest.mark.parametrize("is_before", [True, False], ids=["before the file", "after it"])
def test_a_form_with_one_of_several_parts_of_a_file_is_refused(is_before: bool) -> None:
    fields = [field("chunk", b"0"), field("chunks", b"3")]
    parts = [*fields, file(b"a", b"1")] if is_before else [file(b"a", b"1"), *fields]
    with pytest.raises(BadForm, match="only a part of a file"):
        read(form(*parts), 7)


def test_a_file_is_not_read_as_the_number_of_its_parts() -> None:
    count = b'Content-Disposition: form-data; name="chunks"; filename="a"'
    assert read(form(field("chunk", b"0"), part(count, b"3"))) == ("a", b"3")


@pytest.mark.parametrize("encoding", ["binary", "8BIT", " 7bit "])
def test_an_encoding_that_changes_nothing_is_accepted(encoding: str) -> None:
    assert read(form(of("Content-Transfer-Encoding", encoding))) == ("x", b"content")


def test_a_name_of_a_file_is_in_no_sentence() -> None:
    reader = FormReader(CONTENT_TYPE)
    with pytest.raises(BadForm) as caught:
        reader.feed(form(file(b"<secret>", b"1"), file(b"<secret2>", b"2")))
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_are_a_form_or_refused_with_a_sentence(body: bytes, piece_bytes: int) -> None:
    try:
        name, _ = read(b"--" + BOUNDARY.encode() + body, piece_bytes)
    except (BadForm, FormTooLarge) as exc:
        assert str(exc)
    else:
        assert name is not None
