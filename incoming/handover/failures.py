"""What kept an app from answering: exceptions of sockets, TLS and http.client, as kinds of trouble."""

from __future__ import annotations

import errno
import socket
import ssl
import zlib
from http.client import HTTPException, IncompleteRead
from typing import Final

from incoming.handover.answer_reader import AnswerTooLong
from incoming.handover.answers import NoAnswer, Trouble, no_answer

NO_SUCH_NAME: Final = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
ENDED: Final = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN)
NOT_CONNECTED: Final = (Trouble.CONNECTION_REFUSED, Trouble.UNREACHABLE, Trouble.CONNECT_TIMEOUT)
"""After these another address of the same app may do better."""


class MustNotCall(Exception):
    """The host has no address but ones that are never called."""


class NoAddress(Exception):
    """The host's name leads to no address."""


class TooSlow(Exception):
    """The whole call took longer than the app may take."""


FAILURES: Final = (HTTPException, zlib.error, OSError, ValueError, MustNotCall, NoAddress, TooSlow)
"""Whatever a call to an app raises, unless there is a defect. UnicodeError is a ValueError."""


def failed(exc: Exception, *, connected: bool) -> NoAnswer:
    """Returns what one of FAILURES means. `connected`: the connection stood when it was raised."""
    return no_answer(_trouble(exc, connected), str(exc))


def _trouble(exc: Exception, connected: bool) -> Trouble:
    match exc:
        case MustNotCall():
            return Trouble.NEVER_CALLED
        case NoAddress() | UnicodeError():
            return Trouble.UNKNOWN_NAME
        case socket.gaierror():
            return Trouble.UNKNOWN_NAME if exc.errno in NO_SUCH_NAME else Trouble.NAME_SERVER
        case TooSlow() | TimeoutError():
            return Trouble.TIMEOUT if connected else Trouble.CONNECT_TIMEOUT
        case ssl.SSLCertVerificationError():
            return Trouble.CERTIFICATE
        case AnswerTooLong():
            return Trouble.TOO_LONG
        case IncompleteRead():
            return Trouble.CUT
        case ssl.SSLError():
            return Trouble.CUT if connected else Trouble.TLS
        case OSError():
            return _trouble_with_socket(exc, connected)
        case HTTPException() | zlib.error():
            return Trouble.BAD_ANSWER
    return Trouble.BAD_URL if not connected else Trouble.BAD_ANSWER


def _trouble_with_socket(exc: OSError, connected: bool) -> Trouble:
    if exc.errno in OUT_OF_RESOURCES:
        return Trouble.NO_DESCRIPTORS
    if connected or exc.errno in ENDED or isinstance(exc, ConnectionResetError):
        return Trouble.CUT
    return Trouble.CONNECTION_REFUSED if exc.errno == errno.ECONNREFUSED else Trouble.UNREACHABLE
