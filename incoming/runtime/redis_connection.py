"""Calls to a Redis or Valkey: scripts that are one step, reads, and a channel of messages.

Each call has a time limit, and nothing is retried but what is safe to run twice. Whatever fails is
RegistryFailed with its cause; RegistryFull when Redis has no memory left, and ForeignKeys when a key has
another kind of value. Only this module imports redis-py, which is an extra. So import it only where a Redis
is configured.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from incoming.core.errors import BadSetting, ForeignKeys, IncomingError, RegistryFailed, RegistryFull
from incoming.core.stats import CALL_BUCKETS_S, Lag, StoreFigures
from incoming.runtime.base import Runtime
from incoming.runtime.logs import LogRateLimit
from incoming.runtime.redis_address import SETTING, RedisAddress, parse_address
from incoming.runtime.redis_tls import check_tls_files

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.maint_notifications import MaintNotificationsConfig
    from redis.retry import Retry
    from redis.sentinel import (
        MasterNotFoundError,
        Sentinel,
        SentinelManagedConnection,
        SentinelManagedSSLConnection,
    )
except ModuleNotFoundError as missing:
    NEEDED: Final = "it needs the Python package redis: pip install 'incoming-server[redis]'"
    raise BadSetting(SETTING, NEEDED) from missing

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_LIMIT_S: Final = 2.0
ANSWER_LIMIT_S: Final = 5.0
CALL_LIMIT_S: Final = CONNECT_LIMIT_S + ANSWER_LIMIT_S
"""For a whole call, with the wait for a connection and with a repetition."""
CONNECTIONS: Final = 32
"""How many calls may be under way at a time."""
PING_INTERVAL_S: Final = 5.0
SILENCE_LIMIT_S: Final = 15.0
"""A subscription that receives nothing for this time, not even the answer to a ping, is broken."""
REFUSALS_LOGGED_EVERY_S: Final = 300.0
"""A refusal may come with each call of one kind, while other calls succeed: the log has it only so often."""
_PLACE: Final = re.compile(
    r" ?script: \w+, on @user_script:\d+\.|(Error running script \(call to \w+\): )?@user_script: ?\d+: "
)
"""What Redis 7, or 6, adds to the reason of a refusal inside a script."""
_WRONG_TYPE: Final = "WRONGTYPE"
_CLIENT: Final = re.compile(r"<redis\.client\.Redis\(.*?\)>\)>\)> - ")
"""What redis-py says of a client for each Sentinel that knows no primary."""
Argument = str | bytes | int | float
Failures: Final = (redis.RedisError, OSError, MasterNotFoundError)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script: Redis runs it in one step, and nothing else meanwhile."""

    text: str
    sha1: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha1", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class RedisConnection:
    """The connections of one process to one Redis. Replies are as RESP2 has them: bytes, int, list, None."""

    def __init__(self, address: RedisAddress, runtime: Runtime) -> None:
        """Connects at the first call. See `open_redis`."""
        self.address = address
        self.latency = Lag(CALL_BUCKETS_S)
        """How long calls took, if they were answered."""
        self.failures: Counter[str] = Counter()
        """Calls without an answer, by the name of the error."""
        self.is_away = False
        """Whether the last call had no answer, or was refused."""
        self._is_silent = False
        """Whether the log says that Redis does not answer."""
        self._refusals = LogRateLimit(REFUSALS_LOGGED_EVERY_S)
        self._runtime = runtime
        self._places = runtime.semaphore(CONNECTIONS)
        self._client = _make_client(address)
        self._subscriber = _make_client(address)
        self._is_closed = False

    def run(
        self, script: Script, keys: Sequence[str] = (), args: Sequence[Argument] = (), *, repeat: bool
    ) -> Any:
        """Runs a script and returns its reply.

        With `repeat` it is run again when its answer was lost. So it has to be a script that may run twice.
        Raises RegistryFailed, RegistryFull. Then the script may have run, or may not.
        """
        return self._call(lambda: self._evaluate(script, keys, args), repeat=repeat)

    def run_marked(self, script: Script, keys: Sequence[str] = (), args: Sequence[Argument] = ()) -> Any:
        """Runs a script like `run`, with one more argument at the end: "1" if its first answer was lost."""
        marks = iter(("0", "1"))
        return self._call(lambda: self._evaluate(script, keys, (*args, next(marks))), repeat=True)

    def read(self, *command: Argument) -> Any:
        """Makes a call that may be made twice, and returns its reply. Raises RegistryFailed, RegistryFull."""
        return self._call(lambda: self._client.execute_command(*command), repeat=True)

    def read_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Makes several such calls in one round trip."""
        return self._call(lambda: self._execute(commands), repeat=True) if commands else []

    def subscribe(self, channel: str) -> Subscription:
        """Returns once this channel is subscribed. Raises RegistryFailed."""
        with self._as_storage_errors(), self._runtime.time_limit(CALL_LIMIT_S, _too_late()):
            return Subscription(self._subscriber, channel)

    def primary_host(self) -> str:
        """Returns the host of the Redis that is used now; empty for a local socket. Raises RegistryFailed."""
        pool: Any = self._client.connection_pool
        if not self.address.sentinel_name:
            return self.address.servers[0][0] if self.address.servers else ""
        return self._call(lambda: str(pool.get_master_address()[0]), repeat=True)

    def figures(self) -> StoreFigures:
        """Returns how Redis answers."""
        return StoreFigures("redis", self.latency, self.failures, self.is_away)

    def close(self) -> None:
        """Closes all connections. Calls that wait for an answer raise RegistryFailed."""
        self._is_closed = True
        for client in (self._client, self._subscriber):
            with contextlib.suppress(*Failures):
                client.connection_pool.disconnect()

    # --- one call ----------------------------------------------------------------------------------------

    def _evaluate(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        try:
            return self._client.execute_command("EVALSHA", script.sha1, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:  # a Redis that was started since
            return self._client.execute_command("EVAL", script.text, len(keys), *keys, *args)

    def _execute(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute())

    def _call(self, attempt: Callable[[], T], *, repeat: bool) -> T:
        with (
            self._as_storage_errors(),
            self._runtime.time_limit(CALL_LIMIT_S, _too_late()),
            self._places,
        ):
            began_s = time.monotonic()
            try:
                answer = attempt()
            except redis.ConnectionError as exc:
                if not repeat or isinstance(exc, redis.BusyLoadingError):
                    raise
                answer = attempt()  # an old connection of ours, or one that was just cut
            except redis.ReadOnlyError:  # nothing was done: this Redis has become a replica of another one
                self._disconnect_idle()
                answer = attempt()
            except redis.TimeoutError:
                self._disconnect_idle()
                raise
        self.latency.add(time.monotonic() - began_s)
        self._answered()
        return answer

    def _disconnect_idle(self) -> None:
        """The next calls connect anew, perhaps to another Redis that has this address by now."""
        self._client.connection_pool.disconnect(inuse_connections=False)

    @contextlib.contextmanager
    def _as_storage_errors(self) -> Iterator[None]:
        """Turns what redis-py raises into errors of the storage, and logs the first one."""
        try:
            yield
        except redis.OutOfMemoryError as exc:
            self._failed(exc)
            raise RegistryFull from exc
        except IncomingError as exc:
            self._failed(exc)
            raise
        except Failures as exc:
            self._failed(exc)
            is_foreign = isinstance(exc, redis.ResponseError) and _WRONG_TYPE in str(exc)
            raise (ForeignKeys if is_foreign else RegistryFailed) from exc
        except (AttributeError, ValueError) as exc:  # what redis-py makes of a socket that `close` has closed
            if not self._is_closed:
                raise
            raise RegistryFailed from exc

    def _failed(self, exc: Exception) -> None:
        if self._is_closed:
            return
        self.failures[type(exc).__name__] += 1
        self.is_away = True
        if isinstance(exc, redis.ResponseError):  # it answers, and refuses this call, perhaps no other
            why_not = _reason(exc)
            exc.args = (why_not,)  # for those who log what this leads to
            if self._refusals.allows(why_not):
                log.error(
                    "Redis (%(redis)s) refuses a call: %(error)s", {"redis": self.address, "error": why_not}
                )
            return
        if isinstance(exc, MasterNotFoundError):
            exc.args = (_CLIENT.sub("", str(exc)),)
        if not self._is_silent:
            self._is_silent = True
            why = exc.__cause__ or exc if isinstance(exc, IncomingError) else exc
            log.error("Redis (%(redis)s) failed: %(error)s", {"redis": self.address, "error": why})

    def _answered(self) -> None:
        if self._is_silent:
            log.info("Redis (%(redis)s) answers again", {"redis": self.address})
        self.is_away = self._is_silent = False


class Subscription:
    """One subscribed channel. It does not reconnect, since what was sent meanwhile is lost."""

    def __init__(self, client: redis.Redis, channel: str) -> None:
        """Subscribes, and waits for the answer. Raises what redis-py raises."""
        self._pubsub = client.pubsub()
        self._heard_at_s = self._asked_at_s = time.monotonic()
        try:
            self._pubsub.subscribe(channel)
            answer = self._pubsub.get_message(timeout=ANSWER_LIMIT_S)
        except BaseException:
            self.close()
            raise
        if answer is None:
            self.close()
            raise redis.TimeoutError("no answer to SUBSCRIBE")

    def next_message(self, wait_s: float) -> bytes | None:
        """Returns the next message; None if none comes within this time. Raises RegistryFailed when cut."""
        try:
            now_s = time.monotonic()
            if now_s > self._asked_at_s + PING_INTERVAL_S:
                self._asked_at_s = now_s
                self._pubsub.ping()
            message = self._pubsub.get_message(timeout=wait_s)
        except (*Failures, AttributeError, ValueError) as exc:  # the last two: it was closed meanwhile
            raise RegistryFailed from exc
        now_s = time.monotonic()
        if message is None:
            if now_s > self._heard_at_s + SILENCE_LIMIT_S:
                raise RegistryFailed
            return None
        self._heard_at_s = now_s
        data = message["data"]
        return data if message["type"] == "message" and isinstance(data, bytes) else None

    def close(self) -> None:
        """Ends it."""
        with contextlib.suppress(*Failures):
            self._pubsub.close()


class _ClosedWhenGivenUp:
    """Closes a connection whose answer nobody reads, since the next call would get that answer.

    redis-py does so itself, but not for connections to a primary that Sentinels name.
    """

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Returns the next answer, as redis-py does."""
        return super().read_response(*args, **{"disconnect_on_error": True, **options})  # type: ignore[misc]


class _SentinelConnection(_ClosedWhenGivenUp, SentinelManagedConnection):
    pass


class _SentinelTlsConnection(_ClosedWhenGivenUp, SentinelManagedSSLConnection):
    pass


def _reason(refusal: redis.ResponseError) -> str:
    """Returns why Redis refuses a call, without the place in a script: one fault stops all scripts."""
    return _PLACE.sub("", str(refusal)).strip()


def _too_late() -> RegistryFailed:
    """Returns the error of a call whose time is up."""
    error = RegistryFailed()
    error.__cause__ = TimeoutError(f"no answer within {CALL_LIMIT_S:.0f} s")
    return error


def open_redis(url: str, runtime: Runtime, insecure: bool = False) -> RedisConnection:
    """Returns the connections to the Redis at `url`: see `redis_address`.

    Beyond this machine it has to have TLS and a password, unless `insecure`. Raises BadSetting. Raises
    RegistryFailed if Sentinels do not answer.
    """
    address = parse_address(url)
    if not insecure:
        address.check_exposure()
    if address.is_tls:
        check_tls_files(address)
    connection = RedisConnection(address, runtime)
    if address.sentinel_name and not insecure:
        address.check_exposure(connection.primary_host())
    return connection


def _make_client(address: RedisAddress) -> Any:
    """Returns a client that retries nothing and interprets no reply."""
    options: dict[str, Any] = {
        "db": address.db,
        "username": address.username or None,
        "password": address.password or None,
        **_common_options(address),
    }
    if address.sentinel_name:
        own = {name: value for name, value in address.options if name.startswith("sentinel_")}
        login = {name.removeprefix("sentinel_"): value for name, value in own.items()}
        sentinel = Sentinel(address.servers, sentinel_kwargs={**_common_options(address), **login})
        kind = _SentinelTlsConnection if address.is_tls else _SentinelConnection
        client: Any = sentinel.master_for(address.sentinel_name, connection_class=kind, **options)
    else:
        client = redis.Redis(**options, **_place(address))
    client.response_callbacks.clear()
    return client


def _common_options(address: RedisAddress) -> dict[str, Any]:
    tls_files = {name: value for name, value in address.options if name.startswith("ssl_")}
    return {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_LIMIT_S,
        "socket_timeout": ANSWER_LIMIT_S,
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "client_name": "incoming",
        **({"ssl": True, **tls_files} if address.is_tls else {}),
    }


def _place(address: RedisAddress) -> dict[str, Any]:
    if address.unix_socket:
        return {"unix_socket_path": address.unix_socket}
    host, port = address.servers[0]
    return {"host": host, "port": port}
