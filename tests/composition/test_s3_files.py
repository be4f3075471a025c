"""How the files in S3 are opened: what is refused in words, and what is only a warning."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from incoming.composition.directory import OwnedDirectory
from incoming.composition.s3_files import MANIFESTS, s3_storage
from incoming.core.errors import BadParameter, BadSetting, StorageFailed
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.settings.table import Settings
from incoming.storage.s3.storage import S3Storage
from tests.storage.contract import TICKET
from tests.support.fake_s3 import FakeS3

ROLE = """
import datetime, json, pathlib, sys
asked = pathlib.Path({asked!r})
count = int(asked.read_text()) if asked.exists() else 0
asked.write_text(str(count + 1))
if count == 1:
    sys.exit("not now")
expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=count)
print(json.dumps(dict(
    Version=1, AccessKeyId="test", SecretAccessKey="secret", SessionToken="x", Expiration=expiry.isoformat(),
)))
"""
"""Gives credentials that have expired, then none, and then good ones."""


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeS3]:
    """A store."""
    with FakeS3() as server:
        yield server


@pytest.fixture
def undo() -> Iterator[contextlib.ExitStack]:
    """Releases what was opened."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def directory(tmp_path: Path, undo: contextlib.ExitStack) -> OwnedDirectory:
    """The storage directory of the process."""
    found = OwnedDirectory(tmp_path / "storage", False, GeventRuntime())
    undo.callback(found.release)
    return found


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where botocore finds them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def opened(directory: OwnedDirectory, undo: contextlib.ExitStack, endpoint: str, **more: object) -> S3Storage:
    """Returns the storage of these settings."""
    settings = Settings(
        storage="s3://uploads/in", s3_endpoint=endpoint, s3_region="us-east-1", **more,  # type: ignore[arg-type]
    )  # fmt: skip
    return s3_storage(settings, GeventRuntime(), None, directory, undo)


def test_files_go_below_the_prefix_and_their_manifests_into_the_storage_directory(
    fake: FakeS3, directory: OwnedDirectory, undo: contextlib.ExitStack
) -> None:
    storage = opened(directory, undo, fake.place.endpoint_url, s3_destination_prefixes=("videos/",))
    assert storage.location(TICKET) == f"s3://uploads/in/{TICKET}"
    assert storage.location(TICKET, "videos/a") == "s3://uploads/videos/a"
    writer = storage.open(TICKET, 3, destination="videos/a")
    writer.write(memoryview(b"abc"))
    writer.finish()
    assert fake.content("videos/a") == b"abc"
    assert (directory.path / MANIFESTS).exists()
    storage.objects.check_destination("videos/b")
    with pytest.raises(BadParameter):
        storage.objects.check_destination("in/b")


def test_equal_parts_need_a_known_length(
    fake: FakeS3, directory: OwnedDirectory, undo: contextlib.ExitStack
) -> None:
    storage = opened(directory, undo, fake.place.endpoint_url, s3_equal_parts=True)
    storage.open(TICKET, 3)
    with pytest.raises(BadParameter, match="must be known"):
        storage.open("another", None)


@pytest.mark.parametrize("prefix", ["/", "in/rest/"])
def test_a_prefix_that_no_app_may_use_prevents_the_start(
    fake: FakeS3, directory: OwnedDirectory, undo: contextlib.ExitStack, prefix: str
) -> None:
    with pytest.raises(BadSetting, match="s3_destination_prefixes: has the prefix"):
        opened(directory, undo, fake.place.endpoint_url, s3_destination_prefixes=(prefix,))


def test_a_bucket_that_is_refused_prevents_the_start(
    fake: FakeS3, directory: OwnedDirectory, undo: contextlib.ExitStack
) -> None:
    fake.fail("head_bucket", "forbidden")
    with pytest.raises(BadSetting, match="storage: s3://uploads/in can't be used"):
        opened(directory, undo, fake.place.endpoint_url)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, r"NoCredentialsError.*AWS_ACCESS_KEY_ID.*~/\.aws.*docs/how-to/many-machines\.md"),
        ({"AWS_ACCESS_KEY_ID": "test"}, "missing: AWS_SECRET_ACCESS_KEY"),
        ({"AWS_PROFILE": "nobody"}, "nobody"),
    ],
    ids=["none", "half", "another profile"],
)
@pytest.mark.parametrize("is_away", [False, True])
def test_credentials_that_are_not_found_prevent_the_start(  # noqa: PLR0913, PLR0917 - fixtures and cases
    fake: FakeS3, directory: OwnedDirectory, undo: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, environment: dict[str, str], said: str, is_away: bool,
) -> None:  # fmt: skip
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", **environment}.items():
        monkeypatch.setenv(name, value)
    endpoint = "http://127.0.0.1:9" if is_away else fake.place.endpoint_url
    with pytest.raises(BadSetting, match=said):
        opened(directory, undo, endpoint)


def test_a_role_that_does_not_answer_may_do_so_later(  # noqa: PLR0913, PLR0917 - fixtures
    fake: FakeS3, directory: OwnedDirectory, undo: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    script, asked = tmp_path / "credentials.py", tmp_path / "asked"
    script.write_text(ROLE.format(asked=str(asked)))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    storage = opened(directory, undo, fake.place.endpoint_url)
    assert "CredentialRetrievalError" in caplog.text
    storage.check()


def test_a_store_that_is_away_may_come_back(
    directory: OwnedDirectory, undo: contextlib.ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    storage = opened(directory, undo, "http://127.0.0.1:9")
    assert "does not answer yet" in caplog.text
    with pytest.raises(StorageFailed):
        storage.check()


def test_an_address_that_is_not_encrypted_is_warned_of_unless_it_is_this_machine(
    fake: FakeS3, directory: OwnedDirectory, undo: contextlib.ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    opened(directory, undo, fake.place.endpoint_url)
    assert "not encrypted" not in caplog.text
    opened(directory, undo, "http://s3.invalid")
    assert "http://s3.invalid is not encrypted" in caplog.text
