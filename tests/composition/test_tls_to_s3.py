"""A store behind TLS, whose certificate is from an authority of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import requests

from incoming.composition.s3_files import s3_storage
from incoming.core.errors import BadSetting
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.settings.table import Settings
from tests.support.app import ScriptedApp
from tests.support.certificates import Authority
from tests.support.client_v1 import ClientV1
from tests.support.cluster import CREDENTIALS, S3BackedServer, s3_settings
from tests.support.data import MIB, FileBytes
from tests.support.nginx import Nginx
from tests.support.s3_place import BUCKET
from tests.support.s3_server import REGION, S3Server
from tests.support.server import new_upload
from tests.support.tus import KEPT
from tests.support.waiting import wait_until

BUNDLE: Final = "AWS_CA_BUNDLE"
SITE: Final = """
server {{
    listen 127.0.0.1:{port} ssl;
    listen 127.0.0.1:{plain_port};
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    client_max_body_size 0;
    location / {{
        proxy_pass http://127.0.0.1:{store_port};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_request_buffering off;
    }}
}}
"""


class StoreOverTls(Nginx):
    """nginx in front of a store. `authority` has signed its certificate."""

    def __init__(self, folder: Path, store_port: int) -> None:
        super().__init__(folder, store_port)
        self.authority = Authority(folder / "authority")
        self.authority.issue(folder)
        ports = {"port": self.port, "plain_port": self.plain_port, "store_port": store_port}
        self.site = SITE.format(folder=folder, **ports)


@pytest.fixture
def store(s3_server: S3Server, tmp_path: Path) -> Iterator[StoreOverTls]:
    """The store."""
    with StoreOverTls(tmp_path / "nginx", s3_server.port) as front:
        yield front


def test_an_upload_into_a_store_with_a_private_authority_outlives_a_certificate_that_is_not_trusted(
    s3_server: S3Server,
    store: StoreOverTls,
    app: ScriptedApp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app.hash_files = False
    stranger = Authority(tmp_path / "stranger")
    monkeypatch.setenv(BUNDLE, str(store.authority.file))
    settings = s3_settings(s3_server, tmp_path.name) | {"s3_endpoint": store.url}
    with S3BackedServer(tmp_path / "storage", None, **settings) as server:

        def health() -> str:
            return requests.get(f"{server.url}/incoming/healthz", timeout=60).text.strip()

        data = FileBytes(12 * MIB, 5)
        client = ClientV1(server.url, new_upload(server, app.url, storage="s3", **KEPT), data)
        client.open().send_until_acked(9 * MIB)
        client.drop()
        for signer, expected in ((stranger, "storage"), (store.authority, "ok")):
            store.stop()
            signer.issue(store.folder)
            store.start()
            wait_until(lambda: health() == expected, f"healthz says {expected}")  # noqa: B023
        said = server.log_text()
        assert "UntrustedCertificate unable to get local issuer certificate. AWS_CA_BUNDLE" in said
        client.upload()
        assert client.resumed_at[-1] >= 9 * MIB
        (delivery,) = app.wait_for(1)
        assert delivery.fields["url"].startswith(f"{store.url}/")
        stored = s3_server.client().get_object(Bucket=BUCKET, Key=delivery.fields["key"])
        assert stored["Body"].read() == data.read(0, data.length_bytes)


@pytest.mark.parametrize(
    ("bundle", "host", "reason"),
    [
        ("", "localhost", "unable to get local issuer certificate. AWS_CA_BUNDLE has to name a PEM file"),
        ("missing.pem", "localhost", "No such file or directory. AWS_CA_BUNDLE has to name a PEM file"),
        ("key.pem", "localhost", "no certificate or crl found"),
        ("authority/authority.pem", "127.0.0.1", "'127.0.0.1' doesn't match 'localhost'"),
    ],
)  # fmt: skip
def test_a_store_whose_certificate_is_not_trusted_is_refused_in_words(
    store: StoreOverTls, monkeypatch: pytest.MonkeyPatch, bundle: str, host: str, reason: str
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    if bundle:
        monkeypatch.setenv(BUNDLE, str(store.folder / bundle))
    settings = Settings(storage="s3://uploads", s3_endpoint=f"https://{host}:{store.port}", s3_region=REGION)
    with ExitStack() as undo, pytest.raises(BadSetting) as refused:
        s3_storage(settings, GeventRuntime(), None, None, undo)
    assert str(refused.value).startswith("storage: s3://uploads can't be used: ")
    assert reason in str(refused.value)
