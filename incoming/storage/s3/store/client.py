"""The calls to S3 that an upload needs, over botocore. Only callers know what may be repeated.

The payload is not signed: its CRC-32C is sent along (x-amz-checksum-crc32c), which is known anyway, and the
store compares it. A store whose last answer had no CRC-32C gets an MD5, too (Content-MD5): some compare only
that, such as Ceph 16. All calls have to be made in greenlets: connections belong to the event loop.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib
import logging
import re
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from incoming.core.errors import BadSetting, StorageFailed
from incoming.core.stats import CALL_BUCKETS_S, Lag
from incoming.core.ticket import with_short_ids
from incoming.runtime.base import Runtime
from incoming.runtime.logs import LogRateLimit
from incoming.storage.s3.metadata.manifest import StoredPart
from incoming.storage.s3.part_buffer import PartBody
from incoming.storage.s3.store.bodies import send_in_threads
from incoming.storage.s3.store.refusals import CREDENTIALS, reason

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 30.0
"""How long the store may say nothing. It takes seconds to complete a large file."""
MAX_CONNECTIONS: Final = 64
READ_BYTES: Final = 256 * 1024
TICKET_FIELD: Final = "incoming-ticket"
"""The metadata of an object that tells which upload it is of."""
NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})
DELETED_AT_ONCE: Final = 1000
"""S3's limit."""
_RETRYABLE_CODES: Final = frozenset((
    *("RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"),
    *("OperationAborted", "ConditionalRequestConflict", "InternalError", "ServiceUnavailable"),
    *("BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "ExpiredToken"),
))  # fmt: skip
"""Codes in answers with a status below 500 after which the same call may succeed."""
_NOT_IMPLEMENTED: Final = 501
_PASSING: Final = (
    *("ConnectionError", "HTTPClientError", "IncompleteReadError", "ChecksumError", "FlexibleChecksumError"),
    *("MetadataRetrievalError", "CredentialRetrievalError", "TokenRetrievalError"),
)
"""botocore's errors that may pass: no answer, half of one, or none from the service that has the credentials.
All others are about how botocore is set up."""
_AMAZON: Final = (".amazonaws.com", ".amazonaws.com.cn")
_FORBIDDEN: Final = frozenset((401, 403))
REFUSALS_LOGGED_EVERY_S: Final = 300.0
"""Each call of one kind may be refused: the log has it only so often."""
UNTRUSTED: Final = "UntrustedCertificate"
NOT_FROM_S3: Final = "NotFromS3"
"""The code of an answer that no S3 store gives, such as the page of a proxy. It may pass."""
_WHO_COUNTS: Final = "AWS_CA_BUNDLE has to name a PEM file with the authority of the store's certificate"
_MISSING: Final = "the Python package botocore is missing, which calls S3: pip install 'incoming-server[s3]'"


class S3Error(Exception):
    """A call failed. `code` is S3's word, or the name of botocore's error where no answer came."""

    def __init__(self, operation: str, code: str, status: int = 0, text: str = "") -> None:
        text = with_short_ids(text)  # an address contains the key
        super().__init__(f"{operation}: {code} {text}".strip())
        self.operation = operation
        self.code = code
        self.text = text
        self.status = status
        """The HTTP status; 0 where no answer came: then it is unknown whether the call did its work."""
        self.needs_operator = False
        """Whether only the operator can mend it: the store refuses the bucket, or the call can't be made."""

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may succeed later."""
        if self.code == "BadDigest" and self.operation == "complete_multipart_upload":
            return False  # the whole object differs, so the data was not damaged in transit
        if self.status == _NOT_IMPLEMENTED:
            return False
        return not self.status or self.status >= 500 or self.status == 429 or self.code in _RETRYABLE_CODES

    @property
    def is_missing(self) -> bool:
        """Whether the store does not have what was asked for."""
        return self.status == 404


@contextlib.contextmanager
def s3_errors() -> Iterator[None]:
    """Turns an S3Error inside the with-block into StorageFailed."""
    try:
        yield
    except S3Error as exc:
        raise StorageFailed from exc


@dataclass(frozen=True, slots=True)
class BucketConfig:
    """Where the bucket is. botocore finds what is empty: in the environment, a profile, the role."""

    name: str
    endpoint_url: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What HEAD tells of an object."""

    size_bytes: int
    etag: str
    ticket_id: str
    """The upload that it is of; empty for an object of somebody else."""
    crc32c: int | None
    """Of the whole object; None where the store does not know it."""


@dataclass(frozen=True, slots=True)
class ListedPart:
    """What ListParts tells of a part."""

    number: int
    etag: str
    size_bytes: int
    crc32c: int | None


class PutOptions(NamedTuple):
    """How an object is stored."""

    only_if_new: bool = False
    """No object is replaced."""
    replaces_etag: str = ""
    """Only an object with this ETag is replaced."""
    metadata: Mapping[str, str] = NO_METADATA
    """More metadata, in addition to that of every object."""


DEFAULTS: Final = PutOptions()


class ListedObject(NamedTuple):
    """What a list tells of an object."""

    key: str
    size_bytes: int
    etag: str


@dataclass(slots=True)
class CallStats:
    """Counts of the calls of this process, for the metrics."""

    latency: Lag = field(default_factory=lambda: Lag(CALL_BUCKETS_S))
    """Of calls that had an answer."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed calls that may succeed later, by S3's error code: the store was slow or away."""
    is_away: bool = False
    """Whether the last call failed in that way."""
    parts_in_flight: int = 0
    sent_bytes: int = 0


class S3Client:
    """A bucket. Methods raise S3Error."""

    def __init__(self, bucket: BucketConfig, runtime: Runtime) -> None:
        """Raises BadSetting if botocore is not installed, or the configuration is not complete."""
        self.stats = CallStats()
        self._refusals = LogRateLimit(REFUSALS_LOGGED_EVERY_S)
        self._runtime = runtime
        self._client, self._errors = _connect(bucket, runtime)
        self._unreadable: Any = importlib.import_module("botocore.parsers").ResponseParserError
        self._passing: Any = (OSError, *(getattr(self._errors, name) for name in _PASSING))
        self._bucket = bucket.name
        host = urlsplit(str(self._client.meta.endpoint_url)).hostname or ""
        self._compares_crc32c = host.endswith(_AMAZON)
        """Whether the store is known to compare a CRC-32C."""

    # --- multipart uploads ---------------------------------------------------------------------------

    def create(self, key: str, ticket_id: str, metadata: Mapping[str, str] = NO_METADATA) -> str:
        """Begins a multipart upload, and returns its id."""
        kind = {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"}
        about = {"Metadata": {TICKET_FIELD: ticket_id, **metadata}, **kind}
        return str(self._call("create_multipart_upload", "UploadId", Key=key, **about)["UploadId"])

    def put_part(self, key: str, upload_id: str, number: int, body: PartBody, crc32c: int) -> str:
        """Stores a part, and returns its ETag. The same number again replaces it."""
        part = {"Key": key, "UploadId": upload_id, "PartNumber": number}
        return str(self._send("upload_part", body, crc32c, part)["ETag"])

    def list_parts(self, key: str, upload_id: str) -> list[ListedPart]:
        """Returns all parts that are stored, in order."""
        found: list[ListedPart] = []
        marker = 0
        while True:
            page = self._call("list_parts", Key=key, UploadId=upload_id, PartNumberMarker=marker)
            for part in page.get("Parts", ()):
                crc = _number(part.get("ChecksumCRC32C"))
                found.append(ListedPart(part["PartNumber"], part["ETag"], part["Size"], crc))
            if not page.get("IsTruncated"):
                return found
            marker = page["NextPartNumberMarker"]

    def complete(self, key: str, upload_id: str, parts: Sequence[StoredPart], crc32c: int) -> None:
        """Makes the object of its parts, unless there is an object with this key.

        `crc32c` is that of the whole object. botocore reads the body of the answer: S3 may answer 200 first,
        and say there that it failed.
        """
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, "ChecksumCRC32C": _base64(part.crc32c)}
            for part in parts
        ]
        checked = {"ChecksumCRC32C": _base64(crc32c), "ChecksumType": "FULL_OBJECT", "IfNoneMatch": "*"}
        of = {"Key": key, "UploadId": upload_id, "MultipartUpload": {"Parts": listed}}
        self._call("complete_multipart_upload", **of, **checked)

    def abort(self, key: str, upload_id: str) -> None:
        """Ends a multipart upload. Parts that were under way may be stored after that: see `list_parts`."""
        self._call("abort_multipart_upload", Key=key, UploadId=upload_id)

    def uploads(self, key: str) -> list[str]:
        """Returns the ids of the unfinished multipart uploads of this key; of one page, if there are many."""
        return [upload_id for found, upload_id in self.uploads_below(key) if found == key]

    def uploads_below(self, prefix: str) -> list[tuple[str, str]]:
        """Returns the keys that begin with this and have unfinished multipart uploads, with the id of each.

        Of one page, if there are many.
        """
        page = self._call("list_multipart_uploads", Prefix=prefix)
        return [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", ())]

    # --- objects -------------------------------------------------------------------------------------

    def put(
        self, key: str, body: PartBody, crc32c: int, ticket_id: str, options: PutOptions = DEFAULTS
    ) -> str:
        """Stores an object, and returns its ETag. Where the condition is not met, that is a 412."""
        about = {"Key": key, "Metadata": {TICKET_FIELD: ticket_id, **options.metadata}}
        condition = {"IfNoneMatch": "*"} if options.only_if_new else {}
        if options.replaces_etag:
            condition = {"IfMatch": options.replaces_etag}
        return str(self._send("put_object", body, crc32c, {**about, **condition}).get("ETag", ""))

    def head(self, key: str) -> ObjectFacts | None:
        """Returns what is known of an object; None if there is none."""
        try:
            found = self._call("head_object", Key=key, ChecksumMode="ENABLED")
        except S3Error as exc:
            if exc.is_missing:
                return None
            raise
        ticket_id = found.get("Metadata", {}).get(TICKET_FIELD, "")
        crc = _number(found.get("ChecksumCRC32C"))
        return ObjectFacts(found["ContentLength"], found.get("ETag", ""), ticket_id, crc)

    def read(self, key: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """Passes the bytes from `start` to `end` of an object to `take`, piece by piece. Others may run."""
        answer = self._call("get_object", Key=key, Range=f"bytes={start}-{end - 1}")
        missing_bytes = end - start
        with self._mapped("get_object"), contextlib.closing(answer["Body"]) as body:
            while missing_bytes and (data := body.read(min(READ_BYTES, missing_bytes))):
                take(memoryview(data))
                missing_bytes -= len(data)
                self._runtime.yield_if_due()
        if missing_bytes:
            raise S3Error("get_object", "IncompleteBody")

    def delete(self, key: str, only_etag: str = "") -> None:
        """Deletes an object. A missing one is not an error.

        `only_etag`: only if it has this ETag; else that is a 412. Many stores do not know this condition.
        """
        condition = {"IfMatch": only_etag} if only_etag else {}
        self._call("delete_object", Key=key, **condition)

    def delete_all(self, keys: Sequence[str]) -> None:
        """Deletes up to DELETED_AT_ONCE objects with one call. Missing ones are not an error."""
        objects = [{"Key": key} for key in keys]
        failed = self._call("delete_objects", Delete={"Objects": objects, "Quiet": True}).get("Errors", ())
        for error in failed:
            raise S3Error("delete_objects", str(error.get("Code")), 500, _one_line(error.get("Message", "")))

    def keys(self, prefix: str) -> list[str]:
        """Returns the keys that begin with this."""
        found, token = self.page(prefix)
        while token:
            more, token = self.page(prefix, token)
            found += more
        return [item.key for item in found]

    def page(self, prefix: str, token: str = "") -> tuple[list[ListedObject], str]:
        """Returns up to a thousand objects whose keys begin with this, and the token of the next page.

        The token is empty at the end.
        """
        more = {"ContinuationToken": token} if token else {}
        page = self._call("list_objects_v2", Prefix=prefix, **more)
        items = page.get("Contents", ())
        found = [ListedObject(item["Key"], item.get("Size", 0), item.get("ETag", "")) for item in items]
        return found, page["NextContinuationToken"] if page.get("IsTruncated") else ""

    def check(self) -> None:
        """Asks whether the bucket is there, and whether it may be used.

        The answer to this call has no body. So after a refusal, a call that needs the same right asks for the
        reason.
        """
        try:
            self._call("head_bucket")
        except S3Error as exc:
            if not exc.status or exc.is_retryable:
                raise
            found = self._refusal()
            code, text = (found.code, reason(found.code, found.text)) if found else (exc.code, exc.text)
            refusal = S3Error("head_bucket", code, exc.status, text)
            refusal.needs_operator = True
            raise refusal from exc

    def _refusal(self) -> S3Error | None:
        """Returns how the store refuses to list the bucket; None if it does not, or does not answer."""
        try:
            with self._mapped("list_objects_v2"):
                self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
        except S3Error as exc:
            return exc if exc.status else None
        return None

    def presigned_url(self, key: str, lifetime_s: int) -> str:
        """Returns a URL that gives anybody the object for `lifetime_s`. It makes no call to the store."""
        asked = {"Bucket": self._bucket, "Key": key}
        with self._mapped("presign"):
            return str(self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=lifetime_s))

    # --- one call ------------------------------------------------------------------------------------

    def _call(self, operation: str, needs: str = "", /, **parameters: Any) -> Any:
        """Returns the answer of a call. Raises S3Error, also for one without what the caller `needs`."""
        began_s = self._runtime.now_s()
        try:
            with self._mapped(operation):
                answer = getattr(self._client, operation)(Bucket=self._bucket, **parameters)
            _check_answer(operation, answer, needs)
        except S3Error as exc:
            if exc.is_missing and exc.code == "NoSuchKey" and "UploadId" in parameters:
                exc.code = "NoSuchUpload"  # Ceph's word
            self.stats.is_away = exc.is_retryable
            if exc.is_retryable:
                self.stats.failures[exc.code] += 1
            else:
                self._log_refusal(exc)
                self.stats.latency.add(self._runtime.now_s() - began_s)
            raise
        self.stats.is_away = False
        self.stats.latency.add(self._runtime.now_s() - began_s)
        return answer

    def _log_refusal(self, error: S3Error) -> None:
        """Logs what only the operator can mend: a missing right, other credentials, a wrong clock.

        The check of the bucket reports it itself.
        """
        if error.operation == "head_bucket" or error.status not in _FORBIDDEN:
            return
        if self._refusals.allows(f"{error.operation} {error.code}"):
            log.error("S3 refuses a call: %(error)s", {"error": error})

    def _send(self, operation: str, body: PartBody, crc32c: int, parameters: Mapping[str, Any]) -> Any:
        """Stores a body, and returns the answer. The store refuses what is damaged on the way."""
        checked = {"ChecksumCRC32C": _base64(crc32c)}
        if not self._compares_crc32c:
            checked["ContentMD5"] = self._md5(body)
        self.stats.sent_bytes += len(body)
        self.stats.parts_in_flight += 1
        try:
            answer = self._call(operation, "ETag", Body=body, **parameters, **checked)
        finally:
            self.stats.parts_in_flight -= 1
        self._compares_crc32c = "ChecksumCRC32C" in answer
        return answer

    def _md5(self, body: PartBody) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        while piece := body.read():
            self._runtime.in_pool(digest.update, piece)
        body.seek(0)
        return base64.b64encode(digest.digest()).decode()

    @contextlib.contextmanager
    def _mapped(self, operation: str) -> Iterator[None]:
        """Turns errors of botocore, and of its sockets, into S3Error within a with-block."""
        try:
            yield
        except self._errors.ClientError as exc:
            error = exc.response.get("Error", {})
            status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = str(error.get("Code", ""))
            # S3 answers 200 and then an error in the body of the answer; botocore calls that a 500.
            raise S3Error(operation, code, status, _one_line(error.get("Message", ""))) from exc
        except self._errors.ParamValidationError as exc:
            raise StorageFailed from exc
        except self._errors.SSLError as exc:
            if untrusted := _untrusted(exc):
                raise _unsent(operation, UNTRUSTED, untrusted) from exc
            raise S3Error(operation, type(exc).__name__, 0, _one_line(exc)) from exc
        except self._passing as exc:
            raise S3Error(operation, type(exc).__name__, 0, _one_line(exc)) from exc
        except self._unreadable as exc:
            raise S3Error(operation, NOT_FROM_S3, 0, _one_line(exc)) from exc
        except self._errors.BotoCoreError as exc:
            raise _unsent(operation, type(exc).__name__, f"{_one_line(exc)}. {CREDENTIALS}") from exc


def _connect(bucket: BucketConfig, runtime: Runtime) -> tuple[Any, Any]:
    """Returns botocore's client of the bucket, and its module of errors. Raises BadSetting."""
    try:
        session_module, config_module, errors, handlers = (
            importlib.import_module(f"botocore.{name}")
            for name in ("session", "config", "exceptions", "handlers")
        )
    except ImportError as exc:
        raise BadSetting("storage", _MISSING) from exc
    config = config_module.Config(
        signature_version="s3v4",
        retries={"total_max_attempts": 1},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=MAX_CONNECTIONS,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"payload_signing_enabled": False},
    )
    given = {
        "endpoint_url": bucket.endpoint_url,
        "region_name": bucket.region,
        "aws_access_key_id": bucket.access_key,
        "aws_secret_access_key": bucket.secret_key,
    }
    try:
        session = session_module.get_session()
        named = {name: value for name, value in given.items() if value}
        client = session.create_client("s3", config=config, **named)
    except (errors.BotoCoreError, ValueError) as exc:
        raise BadSetting("storage", f"S3 can't be used: {_one_line(exc)}") from exc
    # A store that does not answer "100 Continue" would cost a second for each part.
    client.meta.events.unregister("before-call.s3", handlers.add_expect_header)
    send_in_threads(client, runtime, READ_TIMEOUT_S)
    return client, errors


def _check_answer(operation: str, answer: Mapping[str, Any], needs: str) -> None:
    """Raises S3Error for an answer without what its caller needs: it is not that of a store."""
    if needs and needs not in answer:
        raise S3Error(operation, NOT_FROM_S3, 0, f"the answer has no {needs}")


def _unsent(operation: str, code: str, text: str) -> S3Error:
    """Returns the error of a call that can't be made before the operator changes something."""
    error = S3Error(operation, code, 0, text)
    error.needs_operator = True
    return error


def _untrusted(error: Any) -> str:
    """Returns why the store's certificate is not trusted; nothing if TLS failed in another way."""
    causes = getattr(error.kwargs.get("error"), "args", ())
    match causes[0] if causes else None:
        case ssl.SSLCertVerificationError(verify_message=reason):
            return f"{reason}. {_WHO_COUNTS}"
        case ssl.SSLError(library="X509") | FileNotFoundError() | PermissionError() as cause:
            return f"{_one_line(cause)}. {_WHO_COUNTS}"
        case ValueError() as cause:  # urllib3's: it is the certificate of another host
            return _one_line(cause)
    return ""


def _base64(crc32c: int) -> str:
    return base64.b64encode(crc32c.to_bytes(4)).decode()


def _number(text: str | None) -> int | None:
    """Returns the checksum of a whole; that of the checksums of its parts ends with `-` and their number."""
    if not text or "-" in text:
        return None
    return int.from_bytes(base64.b64decode(text))


def _one_line(text: object) -> str:
    return re.sub(r"\s+", " ", str(text))[:200]
