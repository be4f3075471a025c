"""Which certificate authorities are trusted for calls to apps."""

from __future__ import annotations

import ssl

import certifi

from incoming.core.errors import BadSetting


def context(ca_file: str = "") -> ssl.SSLContext:
    """Returns the context that checks apps' certificates.

    It trusts the authorities of the system (or of SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL reads
    instead), those of certifi, for systems without any, and those in `ca_file`, in PEM.

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
