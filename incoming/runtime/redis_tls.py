"""The files for TLS that the address of a Redis names. They are tried before the first connection.

redis-py reads them for each connection, and its errors do not name the file.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from incoming.core.errors import BadSetting
from incoming.runtime.redis_address import SETTING, RedisAddress

CA_CERTS: Final = "ssl_ca_certs"
CERTFILE: Final = "ssl_certfile"
KEYFILE: Final = "ssl_keyfile"


def check_tls_files(address: RedisAddress) -> None:
    """Raises BadSetting for a file that can't be read, or that does not have what it has to have."""
    files = dict(address.options)
    context = ssl.create_default_context()
    if CA_CERTS in files:
        with _readable(CA_CERTS, files[CA_CERTS], "it has no certificate in PEM format"):
            context.load_verify_locations(files[CA_CERTS])
    if KEYFILE in files and CERTFILE not in files:
        raise BadSetting(SETTING, f"it has {KEYFILE}, which needs {CERTFILE}")
    for name in (CERTFILE, KEYFILE):
        if name in files:
            with _readable(name, files[name]), Path(files[name]).open("rb"):
                pass
    if CERTFILE in files:
        with _readable(CERTFILE, files[CERTFILE], "it needs a certificate, and its key without a passphrase"):
            context.load_cert_chain(files[CERTFILE], files.get(KEYFILE), password="")  # it asks nobody


@contextlib.contextmanager
def _readable(name: str, path: str, otherwise: str = "") -> Iterator[None]:
    """Turns an error of reading a file into BadSetting; `otherwise`: what it lacks if it can be read."""
    try:
        yield
    except ssl.SSLError as exc:
        raise BadSetting(SETTING, f"{name} is {path}: {otherwise}") from exc
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise BadSetting(SETTING, f"{name} is {path}, which can't be read: {why}") from exc
