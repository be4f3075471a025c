"""The files for TLS in the address of a Redis: one that is wrong is named before anything is connected."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from incoming.core.errors import BadSetting
from incoming.runtime.redis_address import parse_address
from incoming.runtime.redis_tls import check_tls_files
from tests.support.certificates import make_certificate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has a certificate, its key, the key with a passphrase, the key of another one, and a text."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder)
    (folder / "other").mkdir()
    make_certificate(folder / "other")
    (folder / "text.pem").write_text("no certificate\n")
    subprocess.run(
        ["openssl", "pkey", "-aes128", "-passout", "pass:secret", "-in", "key.pem", "-out", "locked.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize(
    "options",
    [
        "", "ssl_ca_certs=cert.pem", "ssl_certfile=cert.pem&ssl_keyfile=key.pem",
        "ssl_ca_certs=other/cert.pem&ssl_certfile=cert.pem&ssl_keyfile=key.pem",
    ],
)  # fmt: skip
def test_files_that_are_right_are_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    monkeypatch.chdir(folder)
    check_tls_files(parse_address(f"rediss://:secret@localhost?{options}"))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("ssl_ca_certs=missing.pem", "ssl_ca_certs is missing.pem, which can't be read: No such file"),
        ("ssl_ca_certs=other", "ssl_ca_certs is other, which can't be read"),
        ("ssl_ca_certs=", "ssl_ca_certs is , which can't be read"),
        ("ssl_ca_certs=text.pem", "ssl_ca_certs is text.pem: it has no certificate in PEM format"),
        ("ssl_keyfile=key.pem", "ssl_keyfile, which needs ssl_certfile"),
        ("ssl_certfile=cert.pem&ssl_keyfile=no.pem", "ssl_keyfile is no.pem, which can't be read"),
        ("ssl_certfile=no.pem&ssl_keyfile=key.pem", "ssl_certfile is no.pem, which can't be read"),
        ("ssl_certfile=cert.pem", "ssl_certfile is cert.pem: it needs a certificate, and its key"),
        ("ssl_certfile=cert.pem&ssl_keyfile=other/key.pem", "it needs a certificate, and its key"),
        ("ssl_certfile=cert.pem&ssl_keyfile=locked.pem", "its key without a passphrase"),
    ],
)
def test_a_file_that_is_wrong_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: str, why: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(BadSetting) as refused:
        check_tls_files(parse_address(f"rediss://:secret@localhost?{options}"))
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)
