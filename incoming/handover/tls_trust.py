"""Which certificates of apps are trusted."""

from __future__ import annotations

import ssl

import certifi

from incoming.core.errors import BadSetting


def context(ca_file: str = "") -> ssl.SSLContext:
    """Returns what apps' certificates are checked with.

    Trusted are the authorities of the system (or of SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL reads in
    their place), those of certifi, for systems that have none, and those in `ca_file`, in PEM.

    Raises BadSetting when the file can't be read or holds no certificate.
    """
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())
    if ca_file:
        try:
            trusted.load_verify_locations(ca_file)
        except ssl.SSLError as exc:
            raise BadSetting("handover_ca_file", f"{ca_file} contains no certificates in PEM format") from exc
        except OSError as exc:
            raise BadSetting("handover_ca_file", f"{ca_file} can't be read: {exc.strerror}") from exc
    return trusted
