"""How botocore's connections send the body of a part: in a thread, beside the event loop.

botocore has no setting for this. Its connections are subclassed where it looks up their classes.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any, Final

from incoming.runtime.base import Runtime
from incoming.storage.s3.part_buffer import PartBody

log = logging.getLogger(__name__)

THREAD_BYTES: Final = 512 * 1024
"""A shorter body is sent by the event loop, sooner than a thread would begin."""


def send_in_threads(client: Any, runtime: Runtime, stall_limit_s: float) -> None:
    """Has this client of botocore send the bodies of parts in threads."""
    module = importlib.import_module("botocore.awsrequest")
    try:
        pools = client._endpoint.http_session._pool_classes_by_scheme
        pools.update({scheme: _pool_class(module, scheme, runtime, stall_limit_s) for scheme in pools})
    except AttributeError as exc:
        log.warning(
            "parts are sent more slowly: this version of botocore is not known (%(error)s)", {"error": exc}
        )


def _pool_class(module: Any, scheme: str, runtime: Runtime, stall_limit_s: float) -> type:
    """Returns botocore's connection pool for `http` or `https`, with connections that send in threads."""
    pool, connection = (getattr(module, f"AWS{scheme.upper()}Connection{kind}") for kind in ("Pool", ""))

    def request(
        self: Any, method: str, url: str, body: object = None, headers: Mapping[str, Any] | None = None,
        *args: object, **options: object,
    ) -> None:  # fmt: skip
        if isinstance(body, PartBody) and len(body) >= THREAD_BYTES:
            connection.request(self, method, url, None, headers, *args, **options)
            runtime.send_all(self.sock, body.views(), stall_limit_s)
        else:
            connection.request(self, method, url, body, headers, *args, **options)

    threaded = type("ThreadedConnection", (connection,), {"request": request})
    return type("ThreadedConnectionPool", (pool,), {"ConnectionCls": threaded})
