"""Why a call to an app failed: exceptions of sockets, TLS and http.client, as FailureKind."""

from __future__ import annotations

import errno
import socket
import ssl
import zlib
from http.client import HTTPException, IncompleteRead
from typing import Final

from incoming.handover.answers import FailureKind, NoAnswer, no_answer
from incoming.wire.answer_reader import AnswerTooLong

NO_SUCH_NAME: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
ENDED: Final = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN)
NOT_CONNECTED: Final = (FailureKind.CONNECTION_REFUSED, FailureKind.UNREACHABLE, FailureKind.CONNECT_TIMEOUT)
"""After these, another address of the same app is tried."""


class AddressRefused(Exception):
    """All addresses of the host are refused by the settings."""


class NoAddress(Exception):
    """The host name has no address."""


class CallTimeout(Exception):
    """The whole call took too long."""


FAILURES: Final = (HTTPException, zlib.error, OSError, ValueError, AddressRefused, NoAddress, CallTimeout)
"""What a call to an app may raise, unless there is a defect. UnicodeError is a ValueError."""


def failed(exc: Exception, *, connected: bool) -> NoAnswer:
    """Returns what one of FAILURES means. `connected`: whether there was a connection when it was raised."""
    return no_answer(_kind(exc, connected), str(exc))


def _kind(exc: Exception, connected: bool) -> FailureKind:
    match exc:
        case AddressRefused():
            return FailureKind.NEVER_CALLED
        case NoAddress() | UnicodeError():
            return FailureKind.UNKNOWN_NAME
        case socket.gaierror():
            return FailureKind.UNKNOWN_NAME if exc.errno in NO_SUCH_NAME else FailureKind.NAME_SERVER
        case CallTimeout() | TimeoutError():
            return FailureKind.TIMEOUT if connected else FailureKind.CONNECT_TIMEOUT
        case ssl.SSLCertVerificationError():
            return FailureKind.CERTIFICATE
        case AnswerTooLong():
            return FailureKind.TOO_LONG
        case IncompleteRead():
            return FailureKind.CUT
        case ssl.SSLError():
            return FailureKind.CUT if connected else FailureKind.TLS
        case OSError():
            return _kind_of_socket_error(exc, connected)
        case HTTPException() | zlib.error():
            return FailureKind.BAD_ANSWER
    return FailureKind.BAD_URL if not connected else FailureKind.BAD_ANSWER


def _kind_of_socket_error(exc: OSError, connected: bool) -> FailureKind:
    if exc.errno in OUT_OF_RESOURCES:
        return FailureKind.NO_DESCRIPTORS
    if connected or exc.errno in ENDED or isinstance(exc, ConnectionResetError):
        return FailureKind.CUT
    return FailureKind.CONNECTION_REFUSED if exc.errno == errno.ECONNREFUSED else FailureKind.UNREACHABLE
