"""Calls to a real S3 server, and what is said when they can't be made."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import botocore.auth
import pytest
import requests

from incoming.core.checksum import checksum
from incoming.core.errors import BadParameter, BadSetting
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.storage.s3.keys import BucketAddress
from incoming.storage.s3.memory_budget import MemoryBudget
from incoming.storage.s3.metadata.manifest import StoredPart
from incoming.storage.s3.objects import S3Objects
from incoming.storage.s3.part_buffer import PartBody, PartBuffer
from incoming.storage.s3.store.bodies import THREAD_BYTES, send_in_threads
from incoming.storage.s3.store.client import BucketConfig, PutOptions, S3Client, S3Error
from incoming.storage.s3.store.retrying import Retries
from incoming.storage.s3.store.stored_objects import StoredObjects
from tests.support.data import FileBytes
from tests.support.ports import free_port
from tests.support.relay import Relay
from tests.support.s3_place import BUCKET, client_of
from tests.support.s3_server import STRANGER, S3Server

MIB = 1 << 20


@pytest.fixture
def client(s3_server: S3Server) -> S3Client:
    """A client of the bucket."""
    return client_of(s3_server.place(BUCKET))


@pytest.fixture
def key() -> str:
    """A key that nobody has used."""
    return f"{uuid.uuid4()}/ä b+c&d"


def body(content: bytes) -> PartBody:
    """Returns these bytes as a body."""
    runtime = GeventRuntime()
    buffer = PartBuffer(1, len(content), MemoryBudget(64 * MIB, runtime))
    buffer.append(memoryview(content))
    with buffer.lent(len(content)) as segments:
        return PartBody(segments, len(content), runtime.yield_if_due)


def read(client: S3Client, key: str, start: int, end: int) -> bytes:
    """Returns a range of an object."""
    found = bytearray()
    client.read(key, start, end, found.extend)
    return bytes(found)


def test_an_object_is_stored_found_and_deleted(client: S3Client, s3_server: S3Server, key: str) -> None:
    assert client.head(key) is None
    client.put(key, body(b"content"), checksum(b"content"), "the ticket", PutOptions(only_if_new=True))
    found = client.head(key)
    assert found
    assert (found.size_bytes, found.ticket_id) == (7, "the ticket")
    assert found.crc32c == (checksum(b"content") if s3_server.knows_checksums else None)
    assert read(client, key, 1, 4) == b"ont"
    assert client.keys(key) == [key]
    client.delete(key)
    client.delete(key)
    assert client.head(key) is None


def test_a_file_comes_in_parts_and_has_a_checksum_as_a_whole(
    client: S3Client, s3_server: S3Server, key: str
) -> None:
    parts = [bytes([number]) * 5 * MIB for number in (1, 2)] + [b"the end"]
    upload_id = client.create(key, "the ticket")
    assert client.uploads(key) == [upload_id]
    etags = [
        client.put_part(key, upload_id, number, body(part), checksum(part))
        for number, part in enumerate(parts, 1)
    ]
    assert [(p.number, p.etag, p.size_bytes) for p in client.list_parts(key, upload_id)] == [
        (number, etag, len(part)) for number, (etag, part) in enumerate(zip(etags, parts, strict=True), 1)
    ]
    stored = [
        StoredPart(number, etag, len(part), checksum(part), 0)
        for number, (etag, part) in enumerate(zip(etags, parts, strict=True), 1)
    ]
    client.complete(key, upload_id, stored, checksum(b"".join(parts)))
    found = client.head(key)
    assert found
    assert (found.size_bytes, found.ticket_id) == (10 * MIB + 7, "the ticket")
    assert found.crc32c == (checksum(b"".join(parts)) if s3_server.knows_checksums else None)
    client.delete(key)


@pytest.mark.parametrize("only_if_new", [True, False])
def test_an_object_is_replaced_only_on_purpose(client: S3Client, key: str, only_if_new: bool) -> None:
    client.put(key, body(b"first"), checksum(b"first"), "", PutOptions(only_if_new=True))
    if only_if_new:
        with pytest.raises(S3Error) as caught:
            client.put(key, body(b"second"), checksum(b"second"), "", PutOptions(only_if_new=True))
        assert caught.value.status == 412
        assert not caught.value.is_retryable
    else:
        client.put(key, body(b"second"), checksum(b"second"), "")
    assert read(client, key, 0, 5) == (b"first" if only_if_new else b"secon")


@pytest.mark.parametrize("is_part", [False, True])
def test_bytes_that_are_damaged_on_the_way_are_refused_and_may_be_sent_again(
    s3_server: S3Server, key: str, is_part: bool
) -> None:
    content = b"\0these bytes\0"
    with Relay(s3_server.port) as relay:
        place = replace(s3_server.place(BUCKET), endpoint_url=f"http://{relay.host}")
        client = S3Client(place, GeventRuntime())
        upload_id = client.create(key, "") if is_part else ""

        def put() -> None:
            if is_part:
                client.put_part(key, upload_id, 1, body(content), checksum(content))
            else:
                client.put(key, body(content), checksum(content), "", PutOptions(only_if_new=True))

        for _ in range(2):  # at first it does not know whether the store compares CRC-32C
            relay.damage = (content, content.upper())
            with pytest.raises(S3Error) as caught:
                put()
            assert caught.value.is_retryable
            assert client.head(key) is None
            relay.damage = (b"", b"")
            put()
            client.delete(key)
        if is_part:
            client.abort(key, upload_id)


def test_an_upload_that_is_not_there_is_told_from_a_store_that_is_away(client: S3Client, key: str) -> None:
    upload_id = client.create(key, "")
    client.abort(key, upload_id)
    with pytest.raises(S3Error) as caught:
        client.list_parts(key, upload_id)
    assert (caught.value.code, caught.value.is_missing) == ("NoSuchUpload", True)
    away = S3Client(BucketConfig("uploads", "http://127.0.0.1:9", "us-east-1", "a", "b"), GeventRuntime())
    with pytest.raises(S3Error) as caught:
        away.check()
    assert (caught.value.status, caught.value.is_retryable) == (0, True)


REFUSED = [
    ({"name": "missing"}, "NoSuchBucket", "Create the bucket, or correct its name"),
    ({"secret_key": "another"}, "SignatureDoesNotMatch", "Correct the secret key"),
    ({"access_key": "nobody"}, "InvalidAccessKeyId", "Correct the access key"),
    (dict(zip(("access_key", "secret_key"), STRANGER, strict=True)), "AccessDenied", "need the rights in"),
]


@pytest.mark.parametrize(("wrong", "code", "change"), REFUSED, ids=[code for _, code, _ in REFUSED])
def test_a_bucket_that_is_refused_tells_why_and_what_to_change(
    s3_server: S3Server, caplog: pytest.LogCaptureFixture, wrong: dict[str, str], code: str, change: str
) -> None:
    if code == "AccessDenied" and type(s3_server) is not S3Server:
        pytest.skip("only SeaweedFS has the stranger")
    with pytest.raises(S3Error, match=f"head_bucket: {code} .*{change}") as caught:
        client_of(replace(s3_server.place(BUCKET), **wrong)).check()
    assert not caught.value.is_retryable
    assert caught.value.needs_operator
    assert not caplog.records


def test_a_clock_that_is_wrong_is_told_from_missing_rights(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *args, **more: now(*args, **more) - timedelta(hours=2)
    )
    with pytest.raises(S3Error, match=r"RequestTimeTooSkewed .*Correct the clock of this machine"):
        client_of(s3_server.place(BUCKET)).check()


def test_curl_gets_an_object_by_its_url_until_that_expires(client: S3Client, key: str) -> None:
    client.put(key, body(b"content"), checksum(b"content"), "", PutOptions(only_if_new=True))
    stored = StoredObjects(client, Retries(GeventRuntime(), 0.0))
    objects = S3Objects(client, stored, BucketAddress(BUCKET), ["videos/"], 60.0)
    address = objects.address("unused", key)
    assert (address.bucket, address.key) == (BUCKET, key)
    assert address.url not in repr(address)
    curl = shutil.which("curl")
    assert curl
    command = [curl, "--silent", "--show-error", "--fail", address.url]
    assert subprocess.run(command, capture_output=True, check=True, timeout=60).stdout == b"content"
    assert requests.get(address.url.replace("Signature=", "Signature=0"), timeout=60).status_code == 403
    assert requests.put(address.url, b"other", timeout=60).status_code == 403
    with pytest.raises(BadParameter, match="destinationKey"):
        objects.check_destination(key)


def test_without_botocore_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(BadSetting, match=r"botocore is missing.*incoming-server\[s3\]"):
        S3Client(BucketConfig("uploads"), GeventRuntime())


def test_a_place_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(BadSetting, match="storage: S3 can't be used"):
        S3Client(BucketConfig("uploads", "no address", "us-east-1", "a", "b"), GeventRuntime())


def test_an_error_does_not_show_the_whole_id_of_an_upload() -> None:
    config = BucketConfig(BUCKET, f"http://127.0.0.1:{free_port()}", "us-east-1", "a", "b")
    ticket_id = str(uuid.uuid4())
    key = f"in/rest/{ticket_id}/a-1"
    with pytest.raises(S3Error) as failed:
        S3Client(config, GeventRuntime()).put(key, body(b"a"), checksum(b"a"), ticket_id)
    assert ticket_id not in str(failed.value) and f"/in/rest/{ticket_id[:8]}/a-1" in str(failed.value)


def test_keys_are_not_shown() -> None:
    assert "geheim" not in repr(BucketConfig("uploads", access_key="geheim", secret_key="geheim"))


class CountingRuntime(GeventRuntime):
    """Counts the bytes that threads send."""

    def __init__(self) -> None:
        super().__init__()
        self.threaded_bytes = 0

    def send_all(self, sock: socket.socket, views: Sequence[memoryview], stall_limit_s: float) -> None:
        """See Runtime."""
        self.threaded_bytes += sum(map(len, views))
        super().send_all(sock, views, stall_limit_s)


def test_a_thread_sends_each_body_that_is_not_small(s3_server: S3Server, key: str) -> None:
    runtime = CountingRuntime()
    client = S3Client(s3_server.place(BUCKET), runtime)
    sizes = (1, THREAD_BYTES - 1, THREAD_BYTES, 5 * MIB + 3)
    for size_bytes in sizes:
        content = FileBytes(size_bytes).read(0, size_bytes)
        client.put(key, body(content), checksum(content), "the ticket")
        assert read(client, key, 0, size_bytes) == content
    assert runtime.threaded_bytes == sum(size for size in sizes if size >= THREAD_BYTES)


def test_with_an_unknown_botocore_parts_are_sent_as_well_as_without_threads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    send_in_threads(object(), GeventRuntime(), 1.0)
    assert "parts are sent more slowly: this version of botocore is not known" in caplog.text


def test_a_call_that_the_store_forbids_is_logged_once_with_its_reason(
    s3_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    place = replace(s3_server.place(BUCKET), secret_key="another")
    client = S3Client(place, GeventRuntime())
    for _ in range(3):
        with pytest.raises(S3Error):
            client.uploads("a key")
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("S3 refuses a call: list_multipart_uploads: SignatureDoesNotMatch")
    assert "another" not in said


PAGES: Final = {
    "a page": b"<!DOCTYPE html><p>Log in",
    "well-formed": b"<html><body>Log in</body></html>",
    "empty": b"",
}


@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
def test_the_page_of_a_proxy_is_not_an_answer_and_may_pass(page: bytes) -> None:
    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_PUT = do_POST  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        endpoint_url = f"http://127.0.0.1:{proxy.server_port}"
        config = BucketConfig(BUCKET, endpoint_url, "us-east-1", "a", "b")
        client = S3Client(config, GeventRuntime())
        calls: list[Callable[[], object]] = [
            lambda: client.create("key", "ticket"),
            lambda: client.put("key", body(b"content"), checksum(b"content"), "ticket"),
        ]
        for call in calls:
            with pytest.raises(S3Error) as failed:
                call()
            assert failed.value.is_retryable
            assert failed.value.code in ("NotFromS3", "500")  # botocore's word for a page that is not XML
        proxy.shutdown()
