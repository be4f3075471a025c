"""The parameters of the backend routes, name by name."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.core.backend_requests import NewUpload
from incoming.core.errors import BadParameter, BadRequest
from incoming.http.parameters import (
    MAX_METADATA_BYTES,
    MAX_SECRET_CHARS,
    MAX_URL_CHARS,
    as_texts,
    from_json,
    is_by_operator,
    listing,
    misspelt,
    new_upload,
    ticket_id,
)

same_each_run = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
URL = "http://app.example.org/finished"


def asked(**parameters: str) -> NewUpload:
    return new_upload({"signalFinishURL": URL} | parameters)


def refused(**parameters: str) -> BadParameter:
    with pytest.raises(BadParameter) as refusal:
        asked(**parameters)
    (name,) = parameters
    assert refusal.value.parameter == name
    assert str(refusal.value).startswith(f"The parameter {name} ")
    return refusal.value


def test_a_url_is_all_that_a_ticket_needs() -> None:
    assert asked() == NewUpload(URL, True, "", False, None)


@pytest.mark.parametrize(
    "name",
    [
        *("destType", "removeFileWhenFinished", "backendSecret", "signalFinishSecret", "fileOwnerUid"),
        *("digest", "metadata", "maxBytesPerS", "lengthBytes", "returnURL"),
    ],
)
def test_an_empty_parameter_counts_as_absent(name: str) -> None:
    assert asked(**{name: ""}) == asked()


def test_an_unknown_parameter_is_ignored() -> None:
    assert asked(backendsecret="anything") == asked()


# --- signalFinishURL -------------------------------------------------------------------------------------

GOOD_URLS = [
    "http://localhost",
    "http://localhost:4001/api/backend/upload_finished",
    "https://app.example.org/a/b?c=d&e=%20#f",
    "HTTP://APP.EXAMPLE.ORG/",
    "http://user:password@app/",
    "http://10.0.0.1:0/",
    "http://app:65535/",
    "http://[::1]:8000/x",
    "http://bücher.example/ü",
    "http://app/" + "x" * (MAX_URL_CHARS - 11),
]
BAD_URLS = {
    "": "is required",
    "app.example.org/finished": "absolute http or https",
    "/finished": "absolute http or https",
    "//app/finished": "absolute http or https",
    "ftp://app/": "absolute http or https",
    "file:///etc/passwd": "absolute http or https",
    "javascript:alert(1)": "absolute http or https",
    "http:": "absolute http or https",
    "http:/app": "absolute http or https",
    "http://": "absolute http or https",
    "http:///finished": "absolute http or https",
    "http://a..b/finished": "a host that can't exist",
    "http://[v1.x]:80/": "a host that can't exist",
    f"https://{'a' * 64}.example/": "a host that can't exist",
    "http://:80/": "absolute http or https",
    "http://user@/": "absolute http or https",
    "http://app:65536/": "is not a URL",
    "http://app:-1/": "is not a URL",
    "http://app:http/": "is not a URL",
    "http://[::1/": "is not a URL",
    "http://[app]/": "is not a URL",
    " http://app/": "spaces or control characters",
    "http://app/a b": "spaces or control characters",
    "http://app/\r\nHost: other": "spaces or control characters",
    "http://app/\x00": "spaces or control characters",
    "http://app/\x7f": "spaces or control characters",
    "http://app/" + "x" * (MAX_URL_CHARS - 10): "is too long",
}


@pytest.mark.parametrize("url", GOOD_URLS)
def test_an_absolute_http_url_is_taken_as_it_is(url: str) -> None:
    assert asked(signalFinishURL=url).signal_finish_url == url
    assert asked(returnURL=url).return_url == url


@pytest.mark.parametrize(("url", "why"), BAD_URLS.items())
def test_any_other_url_is_refused(url: str, why: str) -> None:
    assert why in str(refused(signalFinishURL=url))
    if url:
        assert why in str(refused(returnURL=url))


def test_a_missing_url_is_refused() -> None:
    with pytest.raises(BadParameter, match="The parameter signalFinishURL is required"):
        new_upload({})


@pytest.mark.parametrize("url", ["http://evil.example\\@app.example.org/", "http://app.example.org\\x/"])
def test_a_url_that_two_parsers_understand_differently_is_refused(url: str) -> None:
    refused(signalFinishURL=url)


@same_each_run
@given(st.text(st.sampled_from("htps:/[]@#?.%\\ a0é\n") | st.characters()).map("http://".__add__))
def test_whatever_text_comes_as_a_url_it_is_taken_or_refused(url: str) -> None:
    try:
        assert asked(signalFinishURL=url).signal_finish_url == url
    except BadParameter as refusal:
        assert refusal.parameter == "signalFinishURL"


# --- the others --------------------------------------------------------------------------------------------


def test_files_are_the_only_destination() -> None:
    assert asked(destType="file") == asked()
    assert asked(destType="folder").dest_type == "folder"
    assert "must be file or folder" in str(refused(destType="s3"))
    refused(destType="Folder")


@pytest.mark.parametrize("word", ["1", "t", "T", "TRUE", "true", "True"])
def test_each_documented_word_for_true_is_understood(word: str) -> None:
    assert asked(removeFileWhenFinished=word).remove_file_when_finished is True


@pytest.mark.parametrize("word", ["0", "f", "F", "FALSE", "false", "False"])
def test_each_documented_word_for_false_is_understood(word: str) -> None:
    assert asked(removeFileWhenFinished=word).remove_file_when_finished is False


@pytest.mark.parametrize("word", ["tRUE", "yes", "no", "2", " true", "None"])
def test_a_word_that_is_neither_true_nor_false_is_refused(word: str) -> None:
    assert "true or false" in str(refused(removeFileWhenFinished=word))


SECRETS = [
    # backendSecret, signalFinishSecret -> the secret, and whether finish and cancel need it
    ("", "", "", False),
    ("new", "", "new", True),
    ("", "older", "older", False),
    ("new", "older", "new", True),
]


@pytest.mark.parametrize(("backend_secret", "older_secret", "secret", "required"), SECRETS)
def test_a_secret_has_two_names_and_only_the_newer_one_requires_it(
    backend_secret: str, older_secret: str, secret: str, required: bool
) -> None:
    request = asked(backendSecret=backend_secret, signalFinishSecret=older_secret)
    assert (request.secret, request.secret_required) == (secret, required)
    assert not secret or secret not in repr(request)


@pytest.mark.parametrize("name", ["backendSecret", "signalFinishSecret"])
def test_a_secret_has_a_longest_length(name: str) -> None:
    assert asked(**{name: "x" * MAX_SECRET_CHARS}).secret == "x" * MAX_SECRET_CHARS
    assert "at most 4096 characters" in str(refused(**{name: "x" * (MAX_SECRET_CHARS + 1)}))


@pytest.mark.parametrize(("text", "uid"), [("0", 0), ("1000", 1000), ("007", 7), ("4294967294", 2**32 - 2)])
def test_an_owner_is_a_numeric_user_id(text: str, uid: int) -> None:
    assert asked(fileOwnerUid=text).file_owner_uid == uid


@pytest.mark.parametrize("text", ["root", "-1", "+1", "1.0", " 1", "²", "١", "4294967295", "0" * 11])  # noqa: RUF001
def test_a_malformed_user_id_is_refused(text: str) -> None:
    assert "numeric user id" in str(refused(fileOwnerUid=text))


# --- what version 2 adds -----------------------------------------------------------------------------------


def test_a_ticket_asks_for_nothing_more_by_itself() -> None:
    assert (asked().wants_sha256, asked().metadata, asked().max_bytes_per_s) == (False, "", 0)


def test_sha256_is_the_only_digest_that_needs_asking() -> None:
    assert asked(digest="sha256").wants_sha256
    for other in ("SHA256", "sha-256", "md5", "crc32c", "true", " sha256"):
        assert "must be sha256" in str(refused(digest=other))


@pytest.mark.parametrize(
    "text", ["{}", "0", "null", '"ü <&>"', ' {"a": [1, 2.5e3, {"b": "\\ud83d"}]} ', "[" * 50 + "]" * 50]
)
def test_metadata_are_any_json_and_taken_as_they_are(text: str) -> None:
    assert asked(metadata=text).metadata == text
    assert "ü" not in repr(asked(metadata=text))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{'a': 1}",
        "undefined",
        "{} {}",
        " ",
        "\ufeff{}",
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "[" * 9999,
    ],
)
def test_malformed_json_is_refused_as_metadata(text: str) -> None:
    assert "must be JSON" in str(refused(metadata=text))


@pytest.mark.parametrize("letter", ["x", "ü", "😀"])
def test_metadata_have_a_largest_size_in_bytes(letter: str) -> None:
    count, rest = divmod(MAX_METADATA_BYTES - 2, len(letter.encode()))
    largest = f'"{letter * count}{"x" * rest}"'
    assert asked(metadata=largest).metadata == largest
    assert "at most 16384 bytes" in str(refused(metadata=largest[:-1] + 'x"'))


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("0500", 500), ("9" * 15, 10**15 - 1)])
def test_a_limit_is_a_whole_number_of_bytes_a_second(text: str, limit: int) -> None:
    assert asked(maxBytesPerS=text).max_bytes_per_s == limit


@pytest.mark.parametrize("text", ["0", "-1", "+1", "1.5", "1e6", " 1", "1M", "²", "١", "1" * 16])  # noqa: RUF001
def test_a_malformed_rate_limit_is_refused(text: str) -> None:
    assert "whole number of bytes a second" in str(refused(maxBytesPerS=text))


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("007", 7), ("9" * 15, 10**15 - 1)])
def test_a_length_is_a_whole_number_of_bytes_and_may_be_0(text: str, length: int) -> None:
    assert asked(lengthBytes=text).length_bytes == length


@pytest.mark.parametrize("text", ["-1", "+1", "1.5", "1e6", " 1", "²", "١", "1" * 16, "true"])  # noqa: RUF001
def test_a_malformed_length_is_refused(text: str) -> None:
    assert "whole number from 0 to 999999999999999" in str(refused(lengthBytes=text))


def test_a_ticket_has_any_length_and_leads_nowhere_unless_it_is_asked_for() -> None:
    assert (asked().length_bytes, asked().return_url) == (None, "")


def test_an_id_is_required_and_taken_as_it_is() -> None:
    assert ticket_id({"id": "anything"}) == "anything"
    for parameters in ({}, {"id": ""}):
        with pytest.raises(BadParameter, match="The parameter id is required"):
            ticket_id(parameters)


# --- in quotes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ['"{}"', "\ufeff{}", '\ufeff"{}"'])
def test_a_value_is_understood_in_quotes_and_behind_a_byte_order_mark(form: str) -> None:
    values = {
        "signalFinishURL": URL, "destType": "file", "removeFileWhenFinished": "false", "fileOwnerUid": "5",
        "digest": "sha256", "maxBytesPerS": "1000", "maxBytes": "2000", "lengthBytes": "0", "returnURL": URL,
    }  # fmt: skip
    quoted = {name: form.format(value) for name, value in values.items()}
    assert new_upload(quoted) == new_upload(values)
    assert ticket_id({"id": form.format("0b8a")}) == "0b8a"
    assert listing({"id": form.format("0b8a"), "limit": form.format("7")}) == listing(
        {"id": "0b8a", "limit": "7"}
    )


def test_an_empty_value_in_quotes_counts_as_absent() -> None:
    assert asked(destType='""', maxBytes='""') == asked()
    with pytest.raises(BadParameter, match="The parameter id is required"):
        ticket_id({"id": '""'})


@pytest.mark.parametrize("text", ['"in quotes"', "\ufeffx", '"'])
def test_the_apps_own_texts_are_kept_with_their_quotes(text: str) -> None:
    assert asked(backendSecret=text).secret == text
    assert asked(metadata='"in quotes"').metadata == '"in quotes"'


# --- in a JSON object ----------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d", "e", "id", "metadata")


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ('{"a": "x", "b": "", "c": null}', {"a": "x", "b": "", "c": ""}),
        ('{"a": true, "b": false}', {"a": "true", "b": "false"}),
        ('{"a": 5, "b": -5, "c": 5.0, "d": 5.5, "e": 1e3}',
         {"a": "5", "b": "-5", "c": "5", "d": "5.5", "e": "1000"}),
        ('{"metadata": {"a": ["\u00fc", 1]}}', {"metadata": '{"a": ["\u00fc", 1]}'}),
        (r'{"metadata": {"a": "\ud800"}}', {"metadata": r'{"a": "\ud800"}'}),
        (r'{"metadata": {"\udfff": "\ud83d\ude00"}}', {"metadata": r'{"\udfff": "\ud83d\ude00"}'}),
        ('{"metadata": "{}"}', {"metadata": "{}"}),
        ('{"metadata": 5}', {"metadata": "5"}),
        ('{"other": [], "a": "x"}', {"a": "x"}),  # an unknown parameter is ignored
        ("{}", {}),
        ("\ufeff {}", {}),
    ],
)  # fmt: skip
def test_a_json_object_has_the_parameters_of_a_form(body: str, values: dict[str, str]) -> None:
    assert as_texts(from_json(body.encode()), NAMES) == values


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"5", b"null", b'"id"', b"{", b'{"a": NaN}', b'{"a": "\xff"}', b"id=5", b"[" * 50_000,
     b'{"a": %s}' % (b"9" * 5000)],
)  # fmt: skip
def test_a_body_that_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        as_texts(from_json(body), NAMES)


@pytest.mark.parametrize("value", ["[]", "{}", '["x"]', '"\\ud800"'])
def test_a_value_that_no_form_could_hold_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(BadParameter) as refusal:
        as_texts(from_json(b'{"id": %s}' % value.encode()), NAMES)
    assert refusal.value.parameter == "id"


@pytest.mark.parametrize("name", ["maxbytes", "MaxBytes", "max_bytes", "max-bytes", "MAXBYTES"])
def test_a_name_with_the_letters_of_a_parameter_is_misspelt(name: str) -> None:
    assert misspelt([name, "maxBytes", "other"], ["id", "maxBytes"]) == {name: "maxBytes"}


@same_each_run
@given(st.binary(max_size=60))
def test_whatever_comes_as_json_is_taken_or_refused(body: bytes) -> None:
    try:
        values = as_texts(from_json(body), NAMES)
    except (BadParameter, BadRequest):
        return
    assert all(isinstance(value, str) for value in values.values())


# --- whose cancellation --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "is_operator"), [("", False), ("app", False), ("operator", True), ('"operator"', True)]
)
def test_a_cancellation_is_the_apps_unless_it_says_otherwise(by: str, is_operator: bool) -> None:
    assert is_by_operator({"by": by}) is is_operator
    assert not is_by_operator({})


def test_a_cancellation_is_by_the_app_or_by_the_operator() -> None:
    with pytest.raises(BadParameter, match="The parameter by must"):
        is_by_operator({"by": "user"})
