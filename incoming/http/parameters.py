"""Reads and checks the parameters of the HTTP routes.

A value may be in the quotes of a JSON string, or after a byte order mark (`quotes`). Secrets and metadata
are the app's own texts: they are kept as they are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from incoming.core.backend_requests import LIST_LIMIT, Listing, NewUpload
from incoming.core.errors import BadParameter, BadRequest
from incoming.core.lifecycle import State
from incoming.core.networks import is_possible_host
from incoming.core.quoted_text import unquoted
from incoming.core.storage_kinds import KINDS, listed
from incoming.core.ticket import DEST_TYPES, FILE

_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
MAX_URL_CHARS: Final = 8192
MAX_SECRET_CHARS: Final = 4096
MAX_METADATA_BYTES: Final = 16 * 1024
MAX_LENGTH_BYTES: Final = 10**15 - 1
MAX_UID: Final = 2**32 - 2
"""2**32 - 1 is -1 to chown(2): "leave it"."""
MAX_LIST_LIMIT: Final = 500
MAX_LIST_START: Final = 1_000_000
MAX_HISTORY_S: Final = 300
MAX_SEARCH_CHARS: Final = 200


def from_json(body: bytes) -> dict[str, Any]:
    """Returns the JSON object in a body. Raises BadRequest."""
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadRequest("The body of the request is not a JSON object in UTF-8.")
    return found


def as_texts(found: Mapping[str, Any], names: Collection[str]) -> dict[str, str]:
    """Returns the parameters of these names in a JSON object, as texts. Raises BadParameter.

    Values are strings, numbers, booleans, or null for none. `metadata` may be anything.
    """
    return {name: _text(name, value) for name, value in found.items() if name in names}


def misspelt(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Returns the names that are not known, but have the letters of one that is: {name: known name}.

    Capital letters, `_` and `-` don't count.
    """
    unknown = [name for name in names if name not in known]
    by_letters = {_letters(name): name for name in known} if unknown else {}  # nearly no request has any
    return {name: by_letters[letters] for name in unknown if (letters := _letters(name)) in by_letters}


def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _text(name: str, value: Any) -> str:
    """Returns a value of a JSON object as a form has it. Raises BadParameter."""
    if name == "metadata" and not isinstance(value, str | None):
        text = json.dumps(value, ensure_ascii=False)
        # Half of a surrogate pair is valid in JSON, but only as an escape.
        return text if _is_encodable(text) else json.dumps(value)
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case str():
            if not _is_encodable(value):
                raise BadParameter(name, "contains half of a surrogate pair")
            return value
    raise BadParameter(name, "must be a string, a number, true or false")


def _is_encodable(text: str) -> bool:
    """Returns whether a text can be sent in UTF-8: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _word(parameters: Mapping[str, str], name: str, default: str = "") -> str:
    """Returns the value without quotes; an empty one counts as absent."""
    return unquoted(parameters.get(name) or "") or default


def listing(parameters: Mapping[str, str]) -> Listing:
    """Returns the request for a list; empty parameters count as absent. Raises BadParameter."""
    state = _word(parameters, "state")
    if state not in ("", *State):
        raise BadParameter("state", f"must be one of {', '.join(State)}")
    return Listing(
        id=_word(parameters, "id"),
        secret=parameters.get("backendSecret") or parameters.get("signalFinishSecret") or "",
        state=state,
        start=_number("start", _word(parameters, "start", "0"), 0, MAX_LIST_START),
        limit=_number("limit", _word(parameters, "limit", str(LIST_LIMIT)), 1, MAX_LIST_LIMIT),
        history=_number("history", _word(parameters, "history", "0"), 0, MAX_HISTORY_S),
        search=_search("search", parameters.get("search") or ""),
    )


def new_upload(parameters: Mapping[str, str]) -> NewUpload:
    """Returns the request for a ticket; empty parameters count as absent. Raises BadParameter."""
    dest_type = _word(parameters, "destType", FILE)
    if dest_type not in DEST_TYPES:
        raise BadParameter("destType", f"must be {' or '.join(DEST_TYPES)}")
    secret = parameters.get("backendSecret") or ""
    older_secret = parameters.get("signalFinishSecret") or ""
    for name, value in (("backendSecret", secret), ("signalFinishSecret", older_secret)):
        if len(value) > MAX_SECRET_CHARS:
            raise BadParameter(name, f"must have at most {MAX_SECRET_CHARS} characters")
    return NewUpload(
        signal_finish_url=absolute_url("signalFinishURL", _word(parameters, "signalFinishURL")),
        remove_file_when_finished=_boolean(
            "removeFileWhenFinished", _word(parameters, "removeFileWhenFinished", "true")
        ),
        secret=secret or older_secret,
        secret_required=bool(secret),
        file_owner_uid=_uid("fileOwnerUid", _word(parameters, "fileOwnerUid")),
        wants_sha256=_digest("digest", _word(parameters, "digest")),
        metadata=json_text("metadata", parameters.get("metadata") or ""),
        max_bytes_per_s=_limit("maxBytesPerS", _word(parameters, "maxBytesPerS"), "bytes a second"),
        max_bytes=_limit("maxBytes", _word(parameters, "maxBytes"), "bytes"),
        length_bytes=length("lengthBytes", _word(parameters, "lengthBytes")),
        return_url=optional_url("returnURL", _word(parameters, "returnURL")),
        storage=_storage("storage", _word(parameters, "storage")),
        destination=_word(parameters, "destinationKey"),
        dest_type=dest_type,
    )


def _storage(name: str, value: str) -> str:
    if value and value not in KINDS:
        raise BadParameter(name, f"must be {listed(tuple(KINDS))}")
    return value


def ticket_id(parameters: Mapping[str, str]) -> str:
    """Returns the parameter `id`. Raises BadParameter when there is none."""
    value = _word(parameters, "id")
    if not value:
        raise BadParameter("id", "is required")
    return value


def is_by_operator(parameters: Mapping[str, str]) -> bool:
    """Returns whether the operator cancels, and not the app. Raises BadParameter."""
    who = _word(parameters, "by", "app")
    if who not in ("app", "operator"):
        raise BadParameter("by", "must be app or operator")
    return who == "operator"


def optional_url(name: str, value: str) -> str:
    """Returns `value` if it is empty, or an absolute http or https URL. Raises BadParameter."""
    return absolute_url(name, value) if value else ""


def absolute_url(name: str, value: str) -> str:
    """Returns `value` if it is an absolute http or https URL. Raises BadParameter."""
    if not value:
        raise BadParameter(name, "is required")
    if len(value) > MAX_URL_CHARS or any(c <= " " or c in "\\\x7f" for c in value):
        # Parsers differ on a backslash: handover_hosts would check another host than the one that is called.
        raise BadParameter(name, "is too long, or contains backslashes, spaces or control characters")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise BadParameter(name, "is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadParameter(name, "must be an absolute http or https URL")
    if not is_possible_host(parts):
        raise BadParameter(name, "names a host that can't exist")
    return value


def _search(name: str, value: str) -> str:
    if len(value) > MAX_SEARCH_CHARS:
        raise BadParameter(name, f"must have at most {MAX_SEARCH_CHARS} characters")
    return value


def _boolean(name: str, value: str) -> bool:
    if value not in _TRUE | _FALSE:
        raise BadParameter(name, "must be true or false")
    return value in _TRUE


def _digest(name: str, value: str) -> bool:
    """Returns whether SHA-256 is requested; CRC-32C always is. Raises BadParameter for another digest."""
    if value not in ("", "sha256"):
        raise BadParameter(name, "must be sha256, the only supported digest")
    return bool(value)


def json_text(name: str, value: str) -> str:
    """Returns the JSON text as it is. Raises BadParameter."""
    if len(value.encode("utf-8", "replace")) > MAX_METADATA_BYTES:
        raise BadParameter(name, f"must have at most {MAX_METADATA_BYTES} bytes")
    try:
        if value:
            json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadParameter(name, "must be JSON") from None
    return value


def _no_constant(word: str) -> None:
    """Refuses NaN and Infinity, which Python reads but which are not JSON (RFC 8259 section 6)."""
    raise ValueError(word)


def _limit(name: str, value: str, unit: str) -> int:
    """Returns the limit; 0 for none. Raises BadParameter."""
    if value and (not (value.isascii() and value.isdigit()) or len(value) > 15 or int(value) < 1):
        raise BadParameter(name, f"must be a whole number of {unit}, at least 1")
    return int(value or 0)


def _number(name: str, value: str, least: int, most: int) -> int:
    """Returns the whole number that `value` is. Raises BadParameter."""
    if not (value.isascii() and value.isdigit()) or len(value) > 15 or not least <= int(value) <= most:
        raise BadParameter(name, f"must be a whole number from {least} to {most}")
    return int(value)


def length(name: str, value: str) -> int | None:
    """Returns the length of a file in bytes; None if `value` is empty. Raises BadParameter."""
    return _number(name, value, 0, MAX_LENGTH_BYTES) if value else None


def _uid(name: str, value: str) -> int | None:
    """Returns the user id that `value` is, if any. Raises BadParameter."""
    if not value:
        return None
    if not (value.isascii() and value.isdigit()) or len(value) > 10 or int(value) > MAX_UID:
        raise BadParameter(name, "must be a numeric user id")
    return int(value)
