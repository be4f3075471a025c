"""Resumable uploads of the IETF, rule by rule, over a real socket, in each interop version where it matters.

The names of the tests begin with the rules, R1 to R29, in the order of the draft. Each test that stores bytes
compares what is stored, or what the app got.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import http_sf
import pytest

from incoming.core.lifecycle import State
from incoming.protocol.rules import PREFIXES
from tests.conftest import StartServer
from tests.http_uploads.conftest import NewHttpUpload
from tests.support.app import DONE, Delivery, Reply, ScriptedApp, SlowApp
from tests.support.client_v1 import ClientV1
from tests.support.data import FileBytes
from tests.support.digests import digest
from tests.support.http_upload import HttpUpload
from tests.support.ietf import NEW, VERSIONS, Exchange, IetfAnswer, IetfClient, without
from tests.support.on_disk import bytes_in
from tests.support.server import RunningServer, cancel_upload, new_upload
from tests.support.waiting import AT_ONCE_S, wait_until

CONTENT = FileBytes(100_000, 7).read(0, 100_000)
HALF = len(CONTENT) // 2
NewClient = Callable[..., IetfClient]
in_each_version = pytest.mark.parametrize("version", VERSIONS)
in_three_versions = pytest.mark.parametrize("version", [3, 6, 10])
"""Where the versions differ in names only."""
by_each_method = pytest.mark.parametrize(
    ("version", "method"),
    [*((version, "POST") for version in VERSIONS), *product([3, 6, 10], ["PUT", "PATCH"])],
)
NOT_INTEGERS = ["-1", "x", "5.0", "+5", "1e3", "?1", "5, 5", "9" * 16]


@pytest.fixture
def new_client(server: RunningServer, new_http_upload: NewHttpUpload) -> Iterator[NewClient]:
    """Returns a client of a new ticket's upload, by its interop version.

    Uploads that are left unfinished are cancelled: each holds disk space of the server that all tests share.
    """
    uploads: list[HttpUpload] = []

    def new(version: int | None, **params: str) -> IetfClient:
        uploads.append(new_http_upload(**params))
        return IetfClient(uploads[-1], version)

    yield new
    for upload in uploads:
        cancel_upload(server, upload.ticket_id)


@pytest.fixture
def stored(server: RunningServer) -> Callable[[IetfClient], bytes]:
    """Returns what is stored of an upload."""
    return lambda client: server.stored_file(client.upload.ticket_id).read_bytes()


def check_delivered(app: ScriptedApp, content: bytes = CONTENT) -> Delivery:
    """The app got this content, once."""
    (delivery,) = app.deliveries
    assert (delivery.sha256, delivery.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    return delivery


def limits(answer: IetfAnswer) -> dict[str, int]:
    """Returns the members of Upload-Limit, which is a dictionary of integers without parameters."""
    members: Any = http_sf.parse(answer.headers["upload-limit"].encode(), tltype="dictionary")
    assert all(type(value) is int and not parameters for value, parameters in members.values())
    return {name: value for name, (value, _) in members.items()}


LARGE_BYTES = 9_000_000
"""More than a buffer has, so such content is stored before its digest is known."""
DIGESTS = ("sha-256", "sha-512", "crc32c", "md5", "sha")


# --- creation ------------------------------------------------------------------------------------------


@by_each_method
def test_r1_any_method_with_content_creates_an_upload_with_the_whole_file(
    new_client: NewClient, app: ScriptedApp, version: int, method: str
) -> None:
    answer = new_client(version).create(CONTENT, method=method)
    assert (answer.status, answer.is_complete) == (201 if version < 7 else 204, True)
    check_delivered(app)


@by_each_method
def test_r1_any_method_with_content_creates_an_upload_with_a_part_of_the_file(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int, method: str
) -> None:
    client = new_client(version)
    assert client.create(CONTENT[:HALF], is_last=False, method=method).status == 201
    assert stored(client) == CONTENT[:HALF]


@in_each_version
def test_r1_a_creation_without_content_is_an_empty_file_or_the_begin_of_one(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    begun = new_client(version)
    assert begun.create(is_last=False).offset_bytes == 0
    assert app.deliveries == []
    assert new_client(version).create(is_last=True).is_complete is True
    check_delivered(app, b"")


@pytest.mark.parametrize("version", [5, 6])
def test_r1_an_empty_file_of_a_client_that_never_completes_one_is_complete(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    """tus-js-client takes the answer to this request for success."""
    assert new_client(version).create(is_last=False, more={"Upload-Length": 0}).is_complete is True
    check_delivered(app, b"")


def test_r1_a_client_of_the_final_rfc_needs_no_number(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(None)
    created = client.create(CONTENT[:HALF], is_last=False)
    assert (created.status, created.offset_bytes, created.interims) == (201, HALF, [])
    assert client.append(HALF, CONTENT[HALF:]).is_complete is True
    check_delivered(app)


@in_three_versions
def test_r1_a_creation_may_be_repeated_and_the_stored_bytes_stay(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    again = client.create(is_last=False)
    assert (again.status, again.offset_bytes) == (201, HALF)
    refused = client.create(CONTENT, is_last=False)
    assert (refused.status, refused.offset_bytes, refused.is_complete) == (409, HALF, False)
    assert stored(client) == CONTENT[:HALF]


@in_three_versions
def test_r1_a_client_that_begins_once_more_with_the_whole_file_loses_nothing(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    """It has not learned the address, so it can only send everything again."""
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    assert client.create(CONTENT).is_complete is True
    assert client.create(CONTENT).is_complete is True, "its last answer was lost"
    check_delivered(app)


@in_three_versions
@pytest.mark.parametrize("arrived", [False, True])
def test_r1_another_file_does_not_continue_an_upload(
    new_client: NewClient,
    app: ScriptedApp,
    stored: Callable[[IetfClient], bytes],
    version: int,
    arrived: bool,
) -> None:
    client = new_client(version)
    client.create(CONTENT if arrived else CONTENT[:HALF], is_last=arrived)
    other = client.create(b"!" + CONTENT[1:])
    assert (other.status, other.code, other.is_complete) == (400, "wrong_file", True)
    if not arrived:
        assert stored(client) == CONTENT[:HALF]
        assert client.append(HALF, CONTENT[HALF:]).is_complete is True
    check_delivered(app)


def test_r1_content_with_a_digest_begins_where_the_stored_bytes_end(new_client: NewClient) -> None:
    client = new_client(9)
    client.create(CONTENT[:HALF], is_last=False)
    refused = client.create(CONTENT, more={"Content-Digest": digest("sha-256", CONTENT)})
    assert (refused.status, refused.offset_bytes) == (409, HALF)


@in_three_versions
@pytest.mark.parametrize("flag", [None, "", "1", "true", "?2", "?1, ?0"])
def test_r1_a_creation_without_a_readable_flag_is_refused(
    server: RunningServer, new_client: NewClient, version: int, flag: str | None
) -> None:
    client = new_client(version)
    name = "Upload-Incomplete" if version == 3 else "Upload-Complete"
    answer = client.ask("POST", client.headers(None, {} if flag is None else {name: flag}), CONTENT)
    assert (answer.status, answer.code) == (400, "bad_header")
    assert server.journaled()[client.upload.ticket_id].state is State.ISSUED


@in_each_version
def test_r2_an_interim_answer_tells_where_the_upload_is_and_its_limits(
    new_client: NewClient, version: int
) -> None:
    client = new_client(version, maxBytes="1000000")
    with client.open("POST", client.headers(True, {"Content-Length": len(CONTENT)})) as exchange:
        interim = exchange.read_head()
        assert (interim.status, interim.headers["location"]) == (104, client.upload.ticket_id)
        if version >= 6:
            age = "expires" if version == 6 else "max-age"
            assert interim.headers["upload-limit"].startswith(f"max-size=1000000, {age}=")
        else:
            assert "upload-limit" not in interim.headers
        exchange.send(CONTENT)
        assert exchange.answer().is_complete is True


@in_three_versions
def test_r2_without_interim_answers_all_else_works(
    start_server: StartServer, app: ScriptedApp, version: int
) -> None:
    server = start_server(interim_responses="off")
    client = IetfClient(HttpUpload(server.url, new_upload(server, app.url)), version)
    part = client.create(CONTENT[:HALF], is_last=False)
    whole = client.append(HALF, CONTENT[HALF:])
    assert (part.interims, whole.interims, whole.is_complete) == ([], [], True)
    check_delivered(app)


@in_three_versions
@pytest.mark.parametrize("sign", ["Via", "X-Forwarded-For", "Forwarded"])
def test_r2_behind_a_proxy_there_are_no_interim_answers(
    new_client: NewClient, app: ScriptedApp, version: int, sign: str
) -> None:
    answer = new_client(version).create(CONTENT, more={sign: "1.1 a-proxy"})
    assert (answer.interims, answer.is_complete) == ([], True)
    check_delivered(app)


def test_r2_interim_answers_can_be_forced(start_server: StartServer, app: ScriptedApp) -> None:
    server = start_server(interim_responses="on")
    client = IetfClient(HttpUpload(server.url, new_upload(server, app.url)), 9)
    assert [one.status for one in client.create(CONTENT, more={"Via": "1.1 a-proxy"}).interims] == [104]


@in_each_version
def test_r3_a_part_is_answered_with_the_address_and_the_limits(new_client: NewClient, version: int) -> None:
    client = new_client(version)
    answer = client.create(CONTENT[:HALF], is_last=False)
    assert (answer.status, answer.is_complete, answer.offset_bytes) == (201, False, HALF)
    assert answer.headers["location"] == client.upload.ticket_id
    assert ("upload-limit" in answer.headers) is (version >= 6)


@in_three_versions
def test_r3_the_whole_file_is_answered_by_the_app(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    app.answers = [Reply(400, "no such album")]
    answer = new_client(version).create(CONTENT)
    assert (answer.status, answer.is_complete) == (422, True)
    assert "did not accept the file" in answer.problem["detail"]


@in_each_version
@pytest.mark.parametrize("is_last", [True, False])
def test_r4_the_address_is_the_same_in_all_answers_to_a_request(
    new_client: NewClient, version: int, is_last: bool
) -> None:
    answer = new_client(version).create(CONTENT[:HALF], is_last=is_last)
    told = [one.headers["location"] for one in answer.interims if "location" in one.headers]
    assert len(told) == 1
    if version >= 7 and is_last:
        assert "location" not in answer.headers, "the answer is about the file"
    else:
        assert answer.headers["location"] == told[0]


@in_each_version
def test_r5_the_flag_tells_answers_of_the_protocol_from_those_about_the_file(
    new_client: NewClient, version: int
) -> None:
    client = new_client(version)
    part = client.create(CONTENT[:HALF], is_last=False)
    conflict = client.append(HALF + 1, CONTENT[HALF:])
    malformed = client.append("x", CONTENT[HALF:])
    whole = client.append(HALF, CONTENT[HALF:])
    answers = [part, conflict, malformed, client.head(), whole]
    assert [answer.is_complete for answer in answers] == [False, False, False, True, True]


@in_three_versions
def test_r5_a_refusal_before_the_content_stops_the_client(
    server: RunningServer, new_client: NewClient, version: int
) -> None:
    unknown = IetfClient(HttpUpload(server.url, str(uuid.uuid4())), version)
    too_large = new_client(version, maxBytes="10")
    gone = new_client(version)
    gone.cancel()
    answers = [client.create(CONTENT) for client in (unknown, too_large, gone)]
    assert [answer.status for answer in answers] == [404, 413, 404 if version < 6 else 410]
    assert all(answer.is_complete is True for answer in answers)


@in_three_versions
@pytest.mark.parametrize("is_last", [True, False])
def test_r6_of_a_creation_that_breaks_off_what_came_is_stored_and_it_is_not_complete(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, version: int, is_last: bool
) -> None:
    client = new_client(version)
    with client.open("POST", client.headers(is_last, {"Content-Length": len(CONTENT)})) as exchange:
        exchange.send(CONTENT[:HALF])
    stored = server.stored_file(client.upload.ticket_id)
    wait_until(lambda: bytes_in(stored) == HALF, "what came is stored")
    found = client.head()
    assert (found.offset_bytes, found.is_complete, app.deliveries) == (HALF, False, [])
    assert stored.read_bytes() == CONTENT[:HALF]
    assert client.append(HALF, CONTENT[HALF:]).is_complete is True
    check_delivered(app)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_r4_the_address_is_absolute_where_the_server_knows_its_own(
    start_server: StartServer, app: ScriptedApp, prefix: str
) -> None:
    server = start_server(public_url="https://uploads.example.org/behind/")
    client = IetfClient(HttpUpload(server.url, new_upload(server, app.url), prefix), 9)
    answer = client.create(CONTENT[:HALF], is_last=False)
    expected = f"https://uploads.example.org/behind{prefix}frontend/uploads/{client.upload.ticket_id}"
    assert [one.headers["location"] for one in answer.interims] == [expected]
    assert answer.headers["location"] == expected


# --- the state -----------------------------------------------------------------------------------------


@in_each_version
def test_r7_the_length_is_known_from_a_header_or_from_the_end_of_the_content(
    new_client: NewClient, version: int
) -> None:
    told, implied, unknown = (new_client(version) for _ in range(3))
    told.create(CONTENT[:HALF], is_last=False, more={"Upload-Length": len(CONTENT)})
    with implied.open("POST", implied.headers(True, {"Content-Length": len(CONTENT)})) as exchange:
        exchange.read_head()
    unknown.create(CONTENT[:HALF], is_last=False)
    lengths = [client.head().headers.get("upload-length") for client in (told, implied, unknown)]
    assert lengths == [str(len(CONTENT)), str(len(CONTENT)), None]


@in_three_versions
def test_r7_two_lengths_in_one_request_are_refused(
    server: RunningServer, new_client: NewClient, version: int
) -> None:
    client = new_client(version)
    answer = client.create(CONTENT, more={"Upload-Length": len(CONTENT) + 1})
    assert (answer.status, answer.kind) == (400, "inconsistent-upload-length")
    assert answer.is_complete is False
    assert server.journaled()[client.upload.ticket_id].state is State.ISSUED


@in_three_versions
@pytest.mark.parametrize("with_header", [True, False])
def test_r7_another_length_than_before_is_refused_and_nothing_is_stored(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int, with_header: bool
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False, more={"Upload-Length": len(CONTENT)})
    if with_header:
        answer = client.append(HALF, b"more", is_last=False, more={"Upload-Length": len(CONTENT) + 1})
    else:
        answer = client.append(HALF, b"more", is_last=True)
    assert (answer.status, answer.kind) == (400, "inconsistent-upload-length")
    assert (answer.offset_bytes, stored(client)) == (HALF, CONTENT[:HALF])


@in_three_versions
def test_r7_a_wrong_offset_says_nothing_about_the_length(new_client: NewClient, version: int) -> None:
    """The end of its content is not the end of the file, since it begins at another place."""
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    assert client.append(HALF + 5, CONTENT[HALF:]).status == 409
    assert client.head().headers.get("upload-length") is None


@in_three_versions
def test_r7_a_file_that_ends_before_its_length_is_not_complete(
    new_client: NewClient, app: ScriptedApp, stored: Callable[[IetfClient], bytes], version: int
) -> None:
    """Without a Content-Length, that is only known at the end of the content (since -12)."""
    client = new_client(version)
    client.create(is_last=False, more={"Upload-Length": len(CONTENT)})
    headers = client.append_headers(0, True, {"Transfer-Encoding": "chunked"})
    with client.open("PATCH", headers) as exchange:
        exchange.send_chunk(CONTENT[:HALF])
        exchange.send_chunk(b"")
        answer = exchange.answer()
    assert (answer.status, answer.kind) == (400, "inconsistent-upload-length")
    assert (answer.offset_bytes, stored(client), app.deliveries) == (HALF, CONTENT[:HALF], [])


@in_three_versions
@pytest.mark.parametrize("range_", ["bytes 5-15/20", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT) + 1}", "5"])
def test_content_that_is_a_part_of_the_file_by_its_range_is_not_taken_for_the_whole_file(
    server: RunningServer, new_client: NewClient, version: int, range_: str
) -> None:
    client = new_client(version)
    answer = client.create(CONTENT, more={"Content-Range": range_})
    assert (answer.status, answer.code) == (400, "bad_header")
    assert server.journaled_state(client.upload.ticket_id) == "issued"


@in_three_versions
@pytest.mark.parametrize("offset", NOT_INTEGERS)
def test_r8_a_malformed_offset_counts_as_missing(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int, offset: str
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    answer = client.append(offset, CONTENT[HALF:])
    assert (answer.status, answer.code, answer.offset_bytes) == (400, "bad_header", HALF)
    assert stored(client) == CONTENT[:HALF]


@in_each_version
def test_r8_the_offset_never_decreases(new_client: NewClient, app: ScriptedApp, version: int) -> None:
    slow = SlowApp()
    app.answers = [slow]
    client, seen = new_client(version), []
    answer = client.create(CONTENT[:10], is_last=False)
    for end in range(20, 81, 20):
        seen += [answer.offset_bytes, client.head().offset_bytes]
        answer = client.append(seen[-1], CONTENT[seen[-1] : end], is_last=False)
    with client.open("PATCH", client.append_headers(80, True, {"Content-Length": 20})) as exchange:
        exchange.send(CONTENT[80:100])
        app.wait_for(1)
        seen.append(client.head().offset_bytes)
        slow.go_ahead.set()
        seen.append(exchange.answer().offset_bytes)
    seen.append(client.head().offset_bytes)
    assert seen == sorted(seen)
    assert seen[-1] == 100


@pytest.mark.parametrize("version", [3, 4, *NEW])
def test_r9_reaching_the_length_does_not_complete_an_upload(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT, is_last=False, more={"Upload-Length": len(CONTENT)})
    found = client.head()
    assert (found.is_complete, app.deliveries) == (False, [])
    offset = found.offset_bytes
    assert client.append(offset, CONTENT[offset:]).is_complete is True
    check_delivered(app)


@pytest.mark.parametrize("version", [5, 6])
def test_r9_reaching_the_length_completes_an_upload_of_a_client_that_never_says_so(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    """tus-js-client with a stream takes the answer to its last part for success."""
    client = new_client(version)
    client.create(is_last=False, more={"Upload-Length": len(CONTENT)})
    client.append(0, CONTENT[:HALF], is_last=False)
    assert client.append(HALF, CONTENT[HALF:], is_last=False).is_complete is True
    assert client.append(len(CONTENT)).is_complete is True
    check_delivered(app)


@in_three_versions
@pytest.mark.parametrize("flag", ["", "1", "yes", "?2"])
def test_r9_a_malformed_flag_never_completes_an_upload(
    new_client: NewClient, app: ScriptedApp, version: int, flag: str
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    name = "Upload-Incomplete" if version == 3 else "Upload-Complete"
    assert client.append(HALF, CONTENT[HALF:], is_last=None, more={name: flag}).status == 400
    assert (client.head().offset_bytes, app.deliveries) == (HALF, [])


@in_each_version
def test_r9_an_append_without_the_flag_completes_in_the_old_versions_only(
    new_client: NewClient, version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    answer = client.append(HALF, CONTENT[HALF:], is_last=None)
    assert answer.is_complete is (version < 7)
    assert answer.status == (201 if version < 7 else 400)


@pytest.mark.parametrize("version", [6, *NEW])
def test_r10_limits_are_the_smaller_one_of_the_ticket_and_the_server_and_never_shrink(
    start_server: StartServer, app: ScriptedApp, version: int
) -> None:
    server = start_server(max_upload_bytes=1_000_000, idle_timeout_s=77)
    age = "expires" if version == 6 else "max-age"
    for given, expected in (("", 1_000_000), ("999", 999), ("9999999", 1_000_000)):
        ticket_id = new_upload(server, app.url, **({"maxBytes": given} if given else {}))
        client = IetfClient(HttpUpload(server.url, ticket_id), version)
        answers = [client.head("OPTIONS"), client.create(b"a", is_last=False), client.head()]
        assert [limits(answer) for answer in answers] == [{"max-size": expected, age: 77}] * 3


@pytest.mark.parametrize("version", [6, *NEW])
def test_r10_where_nothing_is_limited_the_header_is_not_empty(new_client: NewClient, version: int) -> None:
    client = new_client(version)
    client.create(CONTENT)
    assert client.head().headers["upload-limit"] == "min-size=0"


@pytest.mark.parametrize("version", [None, *VERSIONS])
def test_r11_options_has_the_limits_and_the_media_type_of_appends(
    new_client: NewClient, version: int | None
) -> None:
    answer = new_client(version).head("OPTIONS")
    assert answer.status == 200
    assert ("upload-limit" in answer.headers) is (version is None or version >= 6)
    assert "application/partial-upload" in answer.headers["accept-patch"]


@pytest.mark.parametrize("version", [6, *NEW])
def test_r12_a_refusal_because_of_a_limit_names_the_limit(
    server: RunningServer, new_client: NewClient, version: int
) -> None:
    client = new_client(version, maxBytes="99")
    answer = client.create(CONTENT)
    assert (answer.status, answer.code, limits(answer)["max-size"]) == (413, "upload_too_large", 99)
    assert server.journaled()[client.upload.ticket_id].state is State.ISSUED


@in_three_versions
def test_r12_a_limit_holds_for_a_file_of_unknown_length_too(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int
) -> None:
    client = new_client(version, maxBytes="99")
    client.create(CONTENT[:90], is_last=False)
    answer = client.append(90, CONTENT[90:110], is_last=False)
    assert (answer.status, answer.code) == (413, "upload_too_large")
    assert len(stored(client)) <= 99


# --- the offset ----------------------------------------------------------------------------------------


@in_each_version
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_r13_the_offset_comes_with_the_state_and_is_not_cached(
    new_client: NewClient, version: int, method: str
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False, more={"Upload-Length": len(CONTENT)})
    answer = client.head(method)
    assert (answer.status, answer.offset_bytes, answer.is_complete) == (204, HALF, False)
    assert answer.headers["upload-length"] == str(len(CONTENT))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["upload-draft-interop-version"] == str(version)
    assert ("upload-limit" in answer.headers) is (version >= 6)
    assert "content-length" not in answer.headers


def test_r13_a_client_of_the_final_rfc_gets_the_state_too(new_client: NewClient) -> None:
    client = new_client(None)
    client.create(CONTENT[:HALF], is_last=False, more={"Upload-Length": len(CONTENT)})
    answer = client.head()
    assert (answer.offset_bytes, answer.is_complete) == (HALF, False)
    assert answer.headers["upload-length"] == str(len(CONTENT))
    assert "max-age" in limits(answer)


@in_each_version
def test_r13_an_upload_that_is_not_there_is_not_found(
    server: RunningServer, new_client: NewClient, version: int
) -> None:
    assert IetfClient(HttpUpload(server.url, str(uuid.uuid4())), version).head().status == 404
    cancelled = new_client(version)
    cancelled.cancel()
    assert cancelled.head().status == (404 if version < 6 else 410)


@in_each_version
def test_r13_a_request_for_the_offset_has_no_state_of_its_own_in_the_first_versions(
    new_client: NewClient, version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    for more in ({"Upload-Offset": 5}, client.flag(True)):
        for ask in (client.head, client.cancel) if version < 6 else (client.head,):
            answer = ask(more=more)
            assert answer.status == (400 if version < 6 else 204)
    assert client.head().offset_bytes == HALF


@in_each_version
def test_r14_an_upload_is_complete_when_the_app_has_the_file(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    slow = SlowApp()
    app.answers = [slow]
    client = new_client(version)
    with client.open("POST", client.headers(True, {"Content-Length": len(CONTENT)})) as exchange:
        exchange.send(CONTENT)
        app.wait_for(1)
        found = client.head()
        visible = len(CONTENT) - 1 if version < 7 else len(CONTENT)
        assert (found.is_complete, found.offset_bytes) == (False, visible)
        slow.go_ahead.set()
        assert exchange.answer().is_complete is True
    found = client.head()
    assert (found.is_complete, found.offset_bytes) == (True, len(CONTENT))
    check_delivered(app)


# --- appends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "media_type"),
    [
        *((version, "application/octet-stream") for version in VERSIONS),
        *product([5, 6, 10], ["application/offset+octet-stream", ""]),
    ],
)
def test_r15_an_append_has_the_media_type_of_its_version(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int, media_type: str
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    answer = client.append(HALF, CONTENT[HALF:], more={"Content-Type": media_type})
    if version < 6:
        assert answer.is_complete is True
    else:
        assert (answer.status, answer.code, stored(client)) == (415, "wrong_media_type", CONTENT[:HALF])


@in_each_version
def test_r15_an_append_without_an_offset_is_refused(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    headers = without(client.append_headers(0, True), "Upload-Offset")
    answer = client.ask("PATCH", headers, CONTENT[HALF:])
    assert answer.status == 400, "a PATCH without both creates an upload, and this is another file"
    assert stored(client) == CONTENT[:HALF]
    assert client.append(HALF, CONTENT[HALF:]).is_complete, "its length is not that of the other file"


@in_three_versions
@pytest.mark.parametrize("difference", [-1, 1, -HALF])
def test_r16_an_append_at_another_offset_is_refused_with_the_right_one(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int, difference: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    answer = client.append(HALF + difference, CONTENT[HALF:], is_last=False)
    assert (answer.status, answer.is_complete, answer.offset_bytes) == (409, False, HALF)
    assert answer.kind == "mismatching-upload-offset"
    assert answer.problem["expected-offset"] == HALF
    assert answer.problem["provided-offset"] == HALF + difference
    assert stored(client) == CONTENT[:HALF]


@in_each_version
def test_r17_a_part_is_acknowledged_and_the_last_one_completes(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:10], is_last=False)
    part = client.append(10, CONTENT[10:HALF], is_last=False)
    assert (part.status, part.is_complete, part.offset_bytes) == (201 if version < 7 else 204, False, HALF)
    whole = client.append(HALF, CONTENT[HALF:])
    assert (whole.status, whole.is_complete) == (201 if version < 7 else 204, True)
    assert whole.offset_bytes == len(CONTENT)
    check_delivered(app)


@in_three_versions
def test_r17_an_append_without_content_completes_what_is_there(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT, is_last=False)
    assert client.append(len(CONTENT)).is_complete is True
    check_delivered(app)


@in_three_versions
def test_r17_an_append_without_content_changes_nothing_otherwise(
    new_client: NewClient, stored: Callable[[IetfClient], bytes], version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    assert client.append(HALF, is_last=False).offset_bytes == HALF
    assert stored(client) == CONTENT[:HALF]


@in_each_version
def test_r18_a_complete_upload_answers_again_and_takes_nothing_more(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT)
    assert client.append(len(CONTENT)).is_complete is True
    for is_last in (True, False):
        more = client.append(len(CONTENT), b"more", is_last=is_last)
        assert (more.status, more.kind) == (400, "inconsistent-upload-length")
    assert client.append(3, CONTENT[3:]).status == 409
    assert client.head().offset_bytes == len(CONTENT)
    check_delivered(app)


@in_three_versions
def test_r19_more_bytes_than_the_length_are_refused_before_they_are_read(
    new_client: NewClient, app: ScriptedApp, stored: Callable[[IetfClient], bytes], version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False, more={"Upload-Length": len(CONTENT)})
    answer = client.append(HALF, CONTENT[HALF:] + b"!", is_last=False)
    assert (answer.status, answer.kind, answer.offset_bytes) == (400, "inconsistent-upload-length", HALF)
    assert stored(client) == CONTENT[:HALF]
    assert client.append(HALF, CONTENT[HALF:]).is_complete is True
    check_delivered(app)


@in_each_version
def test_r19_more_bytes_than_the_length_stop_at_it_also_without_a_content_length(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    client.create(is_last=False, more={"Upload-Length": HALF})
    headers = client.append_headers(0, False, {"Transfer-Encoding": "chunked"})
    with client.open("PATCH", headers) as exchange:
        exchange.send_chunk(CONTENT[:HALF])
        exchange.send_chunk(b"!")
        exchange.send_chunk(b"")
        answer = exchange.answer()
    assert (answer.status, answer.kind) == (400, "inconsistent-upload-length")
    assert answer.is_complete is (version >= 7)
    if version >= 7:
        assert client.head().status == 410, "the upload is invalid (since -08)"
        assert app.wait_for(1)[0].fields["cancelled"] == "yes"
    else:
        assert client.append(HALF - 1, CONTENT[HALF - 1 : HALF]).status == 201
        check_delivered(app, CONTENT[:HALF])


def test_r20_interim_answers_tell_the_progress_and_no_address(
    new_client: NewClient, app: ScriptedApp
) -> None:
    """All versions at once: each interim answer comes after a second."""
    clients = [new_client(version) for version in VERSIONS if version >= 5]
    for client in clients:
        client.create(is_last=False)
    exchanges = [
        client.open("PATCH", client.append_headers(0, True, {"Content-Length": len(CONTENT)}))
        for client in clients
    ]
    try:
        for start in range(0, len(CONTENT), 10_000):
            for exchange in exchanges:
                exchange.send(CONTENT[start : start + 10_000])
            time.sleep(0.15)  # a slow line
        for client, exchange in zip(clients, exchanges, strict=True):
            answer = exchange.answer()
            assert answer.is_complete is True
            assert answer.interims, client.version
            for interim in answer.interims:
                assert interim.status == 104
                assert interim.headers["upload-draft-interop-version"] == str(client.version)
                assert 0 < int(interim.headers["upload-offset"]) <= len(CONTENT)
                assert "location" not in interim.headers
    finally:
        for exchange in exchanges:
            exchange.close()
    assert len(app.deliveries) == len(clients)


# --- the end, and several requests at once ----------------------------------------------------------------


@in_three_versions
def test_r21_delete_ends_an_upload_and_its_app_is_told(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    assert client.cancel().status == 204
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"
    assert not server.stored_file(client.upload.ticket_id).exists()
    for again in (client.cancel(), client.append(HALF, CONTENT[HALF:])):
        assert again.status == (404 if version < 6 else 410)


@in_three_versions
def test_r21_delete_cuts_a_running_request(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    stored = server.stored_file(client.upload.ticket_id)
    with client.open("POST", client.headers(True, {"Content-Length": len(CONTENT)})) as exchange:
        exchange.send(CONTENT[:HALF])
        wait_until(lambda: bytes_in(stored) == HALF, "half is stored")
        assert client.cancel().status == 204
        assert exchange.answer().status >= 400
    assert app.wait_for(1)[0].fields["cancelled"] == "yes"


def test_r21_a_file_that_is_handed_over_cannot_be_cancelled(new_client: NewClient, app: ScriptedApp) -> None:
    client = new_client(9)
    client.create(CONTENT)
    assert client.cancel().status == 409
    check_delivered(app)


@in_three_versions
def test_r22_a_request_for_the_offset_ends_a_running_one_and_its_offset_is_good(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    stored = server.stored_file(client.upload.ticket_id)
    with client.open("POST", client.headers(True, {"Content-Length": len(CONTENT)})) as exchange:
        exchange.send(CONTENT[:HALF])
        wait_until(lambda: bytes_in(stored) == HALF, "half is stored")
        began_s = time.monotonic()
        offset = client.head().offset_bytes
        assert time.monotonic() - began_s < AT_ONCE_S
        loser = exchange.answer()
        assert (loser.status, loser.code, loser.is_complete) == (400, "taken_over", False)
    assert offset == HALF
    assert client.append(HALF, CONTENT[HALF:]).is_complete is True
    check_delivered(app)


@in_three_versions
def test_r22_a_new_append_takes_over_from_a_running_one(
    server: RunningServer, new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    client.create(is_last=False)
    stored = server.stored_file(client.upload.ticket_id)
    with client.open("PATCH", client.append_headers(0, True, {"Content-Length": len(CONTENT)})) as exchange:
        exchange.send(CONTENT[:HALF])
        wait_until(lambda: bytes_in(stored) == HALF, "half is stored")
        assert client.append(HALF, CONTENT[HALF:]).is_complete is True
        assert exchange.answer().code == "taken_over"
    check_delivered(app)


def test_r22_a_file_begun_over_a_websocket_continues_here(
    server: RunningServer, new_client: NewClient, app: ScriptedApp
) -> None:
    file = FileBytes(5_000_000, 3)
    client = new_client(9)
    websocket = ClientV1(server.url, client.upload.ticket_id, file).connect()
    websocket.request()
    websocket.agree()
    websocket.send_chunk()
    websocket.receive_ack()
    offset = client.head().offset_bytes
    assert 0 < offset < file.length_bytes
    assert client.append(offset, file.read(offset, file.length_bytes)).is_complete is True
    check_delivered(app, file.read(0, file.length_bytes))


@in_three_versions
def test_r23_the_client_that_waits_for_100_gets_it_although_it_got_104(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    client = new_client(version)
    headers = client.headers(True, {"Content-Length": len(CONTENT), "Expect": "100-continue"})
    with client.open("POST", headers) as exchange:
        assert sorted(exchange.read_head().status for _ in range(2)) == [100, 104]
        exchange.send(CONTENT)
        assert exchange.answer().is_complete is True
    check_delivered(app)


def test_r23_a_request_that_is_refused_gets_no_100(new_client: NewClient) -> None:
    client = new_client(9)
    headers = client.append_headers(5, True, {"Content-Length": len(CONTENT), "Expect": "100-continue"})
    with client.open("PATCH", headers) as exchange:
        answer = exchange.answer()
    assert (answer.status, answer.interims) == (409, [])


@in_three_versions
def test_r24_offsets_count_bytes_of_the_content_coding_and_not_of_the_transfer_coding(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    coded = gzip.compress(CONTENT, mtime=0)
    half = len(coded) // 2
    client = new_client(version)
    client.create(coded[:half], is_last=False, more={"Content-Encoding": "gzip"})
    headers = client.append_headers(half, True, {"Transfer-Encoding": "chunked"})
    with client.open("PATCH", headers) as exchange:
        for start in range(half, len(coded), 1000):
            exchange.send_chunk(coded[start : start + 1000])
        exchange.send_chunk(b"")
        assert exchange.answer().offset_bytes == len(coded)
    check_delivered(app, coded)


# --- digests, and names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "algorithm"), [(6, "sha-256"), *((9, one) for one in DIGESTS)])
def test_r25_a_file_with_the_digest_that_its_client_named_is_complete(
    new_client: NewClient, app: ScriptedApp, version: int, algorithm: str
) -> None:
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False, more={"Repr-Digest": digest(algorithm, CONTENT)})
    answer = client.append(HALF, CONTENT[HALF:])
    assert (answer.is_complete, answer.headers["repr-digest"]) == (True, digest(algorithm, CONTENT))
    check_delivered(app)


@pytest.mark.parametrize(("version", "algorithm"), [(6, "sha-256"), *((9, one) for one in DIGESTS)])
def test_r25_a_file_with_another_digest_has_failed_and_is_not_handed_over(
    new_client: NewClient, app: ScriptedApp, version: int, algorithm: str
) -> None:
    client = new_client(version)
    answer = client.create(CONTENT, more={"Repr-Digest": digest(algorithm, CONTENT[1:])})
    assert (answer.status, answer.code, answer.is_complete) == (422, "digest_mismatch", True)
    assert answer.kind == "digest-mismatched-values"
    (told,) = app.wait_for(1)
    assert (told.fields["cancelled"], told.fields["filename"]) == ("yes", "")
    assert "digest" in told.fields["cancelReason"]
    assert client.head().status == 410


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_r25_a_client_that_asks_for_a_digest_gets_it_at_the_end_and_again(
    new_client: NewClient, app: ScriptedApp, algorithm: str
) -> None:
    client = new_client(9)
    wanted = {"Want-Repr-Digest": f"unixsum=10, {algorithm}=5"}
    assert "repr-digest" not in client.create(CONTENT[:HALF], is_last=False, more=wanted).headers
    assert client.append(HALF, CONTENT[HALF:]).headers["repr-digest"] == digest(algorithm, CONTENT)
    assert client.head().headers["repr-digest"] == digest(algorithm, CONTENT)
    check_delivered(app)


@pytest.mark.parametrize(
    ("algorithm", "size_bytes"),
    [("sha-256", 0), ("sha-256", LARGE_BYTES), *((algorithm, 100_000) for algorithm in DIGESTS)],
)
def test_r26_content_with_its_digest_is_appended(
    new_client: NewClient, app: ScriptedApp, algorithm: str, size_bytes: int
) -> None:
    content = FileBytes(size_bytes, 5).read(0, size_bytes)
    answer = new_client(9).create(content, more={"Content-Digest": digest(algorithm, content)})
    assert answer.is_complete is True
    check_delivered(app, content)


@pytest.mark.parametrize(
    ("algorithm", "size_bytes", "chunked"),
    [
        *((algorithm, 100_000, False) for algorithm in DIGESTS),
        *product(["sha-256", "crc32c"], [LARGE_BYTES], [False, True]),
        ("sha-256", 100_000, True),
    ],
)
def test_r26_of_content_with_another_digest_nothing_is_appended(
    new_client: NewClient, app: ScriptedApp, algorithm: str, size_bytes: int, chunked: bool
) -> None:
    content = FileBytes(size_bytes, 5).read(0, size_bytes)
    client = new_client(9)
    client.create(content[:1000], is_last=False, more={"Content-Digest": digest(algorithm, content[:1000])})
    wrong = {"Content-Digest": digest(algorithm, content)}
    if chunked:
        with client.open(
            "PATCH", client.append_headers(1000, True, {**wrong, "Transfer-Encoding": "chunked"})
        ) as e:
            e.send_chunk(content[1000:])
            e.send_chunk(b"")
            answer = e.answer()
    else:
        answer = client.append(1000, content[1000:], more=wrong)
    assert (answer.status, answer.code, answer.is_complete) == (400, "checksum_mismatch", False)
    assert (answer.kind, answer.offset_bytes) == ("digest-mismatched-values", 1000)
    assert client.head().offset_bytes == 1000
    assert client.append(1000, content[1000:]).is_complete is True
    check_delivered(app, content)


@pytest.mark.parametrize("trouble", ["cut", "kill"])
@pytest.mark.parametrize("size_bytes", [100_000, LARGE_BYTES])
def test_r26_of_content_with_a_digest_that_breaks_off_nothing_is_appended(
    start_server: StartServer, app: ScriptedApp, size_bytes: int, trouble: str
) -> None:
    """Nobody knows whether that part of it is right."""
    server = start_server()
    content = FileBytes(size_bytes, 5).read(0, size_bytes)
    client = IetfClient(HttpUpload(server.url, new_upload(server, app.url)), 9)
    client.create(content[:1000], is_last=False)
    stored, rest = server.stored_file(client.upload.ticket_id), size_bytes - 1000
    about = {"Content-Digest": digest("sha-256", content[1000:])}
    headers = client.append_headers(1000, True, {**about, "Content-Length": rest})
    with client.open("PATCH", headers) as exchange:
        exchange.send(content[1000:-1])
        if size_bytes == LARGE_BYTES:
            wait_until(lambda: stored.stat().st_size > size_bytes // 2, "half of it is on the disk")
        if trouble == "kill":
            server.restart()
    wait_until(lambda: client.head().offset_bytes == 1000, "it is discarded")
    assert client.append(1000, content[1000:], more=about).is_complete is True
    check_delivered(app, content)


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [("sha-256", ""), ("sha-256=5", ""), ("nonsense=", ""), ("sha-256=:AAAA:", "digest-invalid-values")],
)
def test_r26_a_malformed_digest_is_refused_before_anything_is_read(
    server: RunningServer, new_client: NewClient, header: str, value: str, kind: str
) -> None:
    client = new_client(9)
    answer = client.create(CONTENT, more={header: value})
    assert (answer.status, answer.code, answer.kind) == (400, "bad_header", kind)
    assert header in answer.problem["detail"]
    assert server.journaled()[client.upload.ticket_id].state is State.ISSUED


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest", "Want-Repr-Digest"])
def test_r26_digests_that_the_server_does_not_know_change_nothing(
    new_client: NewClient, app: ScriptedApp, header: str
) -> None:
    assert new_client(9).create(CONTENT, more={header: "unixsum=:AAAA:"}).is_complete is True
    check_delivered(app)


@in_three_versions
@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("inline; filename=\"EURO.txt\"; filename*=UTF-8''%e2%82%ac.txt", "€.txt"),
        ('attachment; filename="holiday.mov"', "holiday.mov"),
        ('inline; filename="../../etc/passwd"', "passwd"),
        ("inline", "upload"),
        ("inline; filename=", "upload"),
    ],
)
def test_r27_the_name_of_the_file_comes_with_content_disposition(
    new_client: NewClient, app: ScriptedApp, version: int, value: str, name: str
) -> None:
    new_client(version).create(CONTENT, more={"Content-Disposition": value, "Content-Type": "video/mp4"})
    assert check_delivered(app).fields["filenameFromBrowser"] == name


# --- until the app has the file ---------------------------------------------------------------------------


@pytest.fixture
def new_brief_client(start_server: StartServer, app: ScriptedApp) -> NewClient:
    """Returns clients of a server that holds requests for a moment only."""
    server = start_server(http_hold_s=0.1, handover_retry_first_s=0.05, handover_retry_max_s=0.1)
    return lambda version: IetfClient(HttpUpload(server.url, new_upload(server, app.url)), version)


@pytest.mark.parametrize("version", [None, *NEW])
def test_a_client_resumes_at_the_offset_that_a_head_without_a_number_has_told_unless_it_names_one(
    new_brief_client: NewClient, app: ScriptedApp, version: int | None
) -> None:
    slow = SlowApp()
    app.answers = [slow]
    client = new_brief_client(version)
    created = client.create(CONTENT)
    assert (created.status, created.offset_bytes) == (504, len(CONTENT) - (version is None))
    told = client.upload.ask("HEAD").offset_bytes
    assert told == len(CONTENT) - 1
    answer = client.append(told, CONTENT[told:])
    slow.go_ahead.set()
    if version is None:
        assert (answer.status, answer.code) == (504, "app_not_ready")
        assert client.complete(told, CONTENT[told:]).is_complete
    else:
        assert (answer.status, answer.code) == (409, "offset_mismatch")
        assert client.head().offset_bytes == len(CONTENT)


@in_each_version
def test_a_client_that_sends_everything_is_told_to_come_back_while_the_app_takes_its_time(
    new_brief_client: NewClient, app: ScriptedApp, version: int
) -> None:
    slow = SlowApp()
    app.answers = [slow]
    client = new_brief_client(version)
    answer = client.create(CONTENT)
    assert (answer.status, answer.code, answer.is_complete) == (504, "app_not_ready", False)
    visible = client.head().offset_bytes
    assert visible == len(CONTENT) - (version < 7)
    assert client.append(visible, CONTENT[visible:]).status == 504
    slow.go_ahead.set()
    whole = client.complete(visible, CONTENT[visible:])
    assert (whole.is_complete, whole.offset_bytes) == (True, len(CONTENT))
    check_delivered(app)


@in_each_version
def test_a_client_that_sends_parts_never_sees_the_end_before_the_app_has_the_file(
    new_brief_client: NewClient, app: ScriptedApp, version: int
) -> None:
    slow = SlowApp()
    app.answers = [slow]
    client = new_brief_client(version)
    client.create(is_last=False, more={"Upload-Length": len(CONTENT)})
    answer, offset = client.append(0, CONTENT), len(CONTENT)
    if version < 7:
        assert (answer.status, answer.is_complete, answer.offset_bytes) == (201, False, len(CONTENT) - 1)
        offset = answer.offset_bytes
        assert client.append(offset, CONTENT[offset:]).offset_bytes == offset
    else:
        assert (answer.status, answer.is_complete, answer.offset_bytes) == (504, False, len(CONTENT))
    slow.go_ahead.set()
    app.wait_for(1)
    wait_until(lambda: client.head().is_complete, "the app has the file")
    assert client.append(offset, CONTENT[offset:]).is_complete is True
    check_delivered(app)


@in_three_versions
def test_a_refusal_is_final_in_each_answer(new_client: NewClient, app: ScriptedApp, version: int) -> None:
    app.answers = [Reply(400)]
    client = new_client(version)
    refused = client.create(CONTENT)
    for answer in (refused, client.head(), client.append(len(CONTENT)), client.create(CONTENT)):
        assert (answer.status, answer.is_complete) == (422, True)


@pytest.mark.parametrize(
    ("version", "stored_bytes"), [*((version, len(CONTENT)) for version in VERSIONS), (3, HALF), (9, HALF)]
)
def test_after_a_kill_an_upload_resumes_at_each_acknowledged_byte(
    start_server: StartServer, app: ScriptedApp, version: int, stored_bytes: int
) -> None:
    server = start_server(http_hold_s=5, handover_retry_first_s=0.05)
    client = IetfClient(HttpUpload(server.url, new_upload(server, app.url)), version)
    told = client.create(CONTENT[:stored_bytes], is_last=False)
    server.restart()
    found = client.head()
    assert (found.offset_bytes, found.is_complete) == (told.offset_bytes, False)
    assert client.append(found.offset_bytes, CONTENT[found.offset_bytes :]).is_complete is True
    check_delivered(app)


@in_three_versions
def test_a_client_that_waits_for_the_app_comes_back_after_a_kill(
    start_server: StartServer, app: ScriptedApp, version: int
) -> None:
    slow = SlowApp()
    app.answers = [slow, DONE]
    server = start_server(http_hold_s=5, handover_retry_first_s=0.05)
    client = IetfClient(HttpUpload(server.url, new_upload(server, app.url)), version)
    with client.open("POST", client.headers(True, {"Content-Length": len(CONTENT)})) as exchange:
        exchange.send(CONTENT)
        app.wait_for(1)
        server.restart()
    slow.go_ahead.set()
    offset = client.head().offset_bytes
    assert client.complete(offset, CONTENT[offset:]).is_complete is True
    assert {delivery.sha256 for delivery in app.deliveries} == {hashlib.sha256(CONTENT).hexdigest()}


@pytest.mark.parametrize("version", [5, 6])
def test_r27_the_metadata_of_tus_js_client_name_the_file_too(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    metadata = f"filename {base64.b64encode('größe.mov'.encode()).decode()}"
    new_client(version).create(CONTENT, more={"Upload-Metadata": metadata})
    assert check_delivered(app).fields["filenameFromBrowser"] == "größe.mov"
    assert check_delivered(app).fields["uploadMetadata"] == metadata


@pytest.mark.parametrize("version", [5, 6])
def test_an_empty_file_is_not_there_for_its_client_before_the_app_has_it(
    new_brief_client: NewClient, app: ScriptedApp, version: int
) -> None:
    """The client takes the offset 0 for success, also in the answer to HEAD."""
    slow = SlowApp()
    app.answers = [slow]
    client = new_brief_client(version)
    created = client.create(is_last=False, more={"Upload-Length": 0})
    assert [answer.status for answer in (created, client.head(), client.append(0))] == [504, 504, 504]
    slow.go_ahead.set()
    wait_until(lambda: client.head().is_complete, "the app has the file")
    check_delivered(app, b"")


@in_three_versions
def test_what_is_below_the_address_of_an_upload_is_not_one(new_client: NewClient, version: int) -> None:
    client = new_client(version)
    for below in ("/parts/first", "/a/b", "/another-name"):
        request = client.upload.open("POST", client.headers(True, {"Content-Length": 0}), below)
        with Exchange(request, "POST") as exchange:
            assert exchange.answer().status == 404
    assert client.head().offset_bytes == 0


# --- security, and versions ------------------------------------------------------------------------------


@in_three_versions
def test_r28_an_address_that_nobody_has_issued_creates_nothing(
    server: RunningServer, app: ScriptedApp, version: int
) -> None:
    for guess in (str(uuid.uuid4()), "1", "%2e%2e", "a" * 500):
        client = IetfClient(HttpUpload(server.url, guess), version)
        assert client.create(CONTENT).status == 404
    assert app.deliveries == []


@in_three_versions
def test_r28_the_app_is_asked_at_the_end_whether_it_still_takes_the_file(
    new_client: NewClient, app: ScriptedApp, version: int
) -> None:
    app.answers = [Reply(403, "this user may not upload any more")]
    client = new_client(version)
    client.create(CONTENT[:HALF], is_last=False)
    answer = client.append(HALF, CONTENT[HALF:])
    assert (answer.status, answer.is_complete) == (422, True)
    assert "did not accept the file" in answer.problem["detail"]
    assert client.head().status == 422


@in_three_versions
def test_r29_interim_answers_carry_the_number_of_the_client(new_client: NewClient, version: int) -> None:
    answer = new_client(version).create(CONTENT)
    assert {one.headers["upload-draft-interop-version"] for one in answer.interims} == {str(version)}
    assert answer.headers["upload-draft-interop-version"] == str(version)


@pytest.mark.parametrize("number", [None, "", "2", "11", "999", "-3", "six", "6, 6"])
def test_r29_a_client_with_another_number_gets_no_interim_answer_and_the_newest_version(
    new_client: NewClient, app: ScriptedApp, number: str | None
) -> None:
    client = new_client(None)
    more = {} if number is None else {"Upload-Draft-Interop-Version": number}
    answer = client.create(CONTENT, more=more)
    assert (answer.interims, answer.status, answer.is_complete) == ([], 204, True)
    assert "upload-draft-interop-version" not in answer.headers
    check_delivered(app)
