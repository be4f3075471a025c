"""`incoming uploads`, `retry`, `cancel`, `sweep`: the operator's commands for a running server."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import wraps
from typing import Any, Final

import click

from incoming.client.address import is_http
from incoming.commands.option_types import FILLED
from incoming.commands.server_client import NotReached, Remote, Unreachable, sentence
from incoming.commands.setting_options import setting_options, settings
from incoming.core.errors import IncomingError
from incoming.core.lifecycle import State
from incoming.core.units import readable_size
from incoming.runtime import output
from incoming.runtime.logs import printable

ENDED: Final = {"finished", "cancelled", "expired"}
REFRESH_EVERY_S: Final = 2.0
PLACE: Final = (
    *("storage_dir", "storage", "storage_choice", "registry", "redis_insecure"),
    *("host", "port", "backend_token"),
)
"""The settings that tell where the server is, and where its tickets are."""
NAME_CHARS: Final = 36
LAST: Final = "NAME"
HEAD: Final = f"{'UPLOAD':<9} {'STATE':<13} {'DONE':>5} {'SIZE':>9} {'SPEED':>11} {'IDLE':>9}  {LAST}"


def _with_a_server(function: Callable[..., None]) -> Callable[..., None]:
    """Passes the server to a command as its first argument, and prints errors as sentences."""

    @wraps(function)
    def command(config_file: str | None, server: str | None, **given: Any) -> None:
        if server and not is_http(server):
            raise click.BadParameter(f"{server} is not an http address.", param_hint="--server")
        options = {name: given.pop(name) for name in PLACE}
        try:
            function(Remote(settings(config_file, options), server or ""), **given)
        except (IncomingError, NotReached) as exc:
            sys.exit(sentence(exc))

    where = click.option(
        "--server", type=FILLED, metavar="URL", help="The URL of the server, if it differs from the settings."
    )
    return where(setting_options(command, PLACE))


@click.command()
@click.option("--all", "everything", is_flag=True, help="Include uploads that have ended.")
@click.option(
    "--state", type=click.Choice([state.value for state in State]), help="Show only uploads in this state."
)
@click.option("--watch", is_flag=True, help="Refresh every two seconds, until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line and upload, for programs."
)
@_with_a_server
def uploads(remote: Remote, everything: bool, state: str | None, watch: bool, as_json: bool) -> None:
    """List uploads, with their progress.

    If the server is not running, the list comes from its journal or its Redis.
    """
    while True:
        try:
            rows, note = list(remote.list_uploads(state or "")), ""
        except Unreachable as exc:
            try:
                found = list(_without_server(remote))
            except NotReached as no_tickets:
                raise NotReached(f"{exc} {no_tickets}") from no_tickets
            rows = [row for row in found if state in (None, row["state"])]
            note = f"{exc} {remote.source} says:"
        rows = [row for row in rows if everything or state or row["state"] not in ENDED]
        if watch:
            click.clear()
        _print(rows, note, as_json)
        output.ensure_complete()
        if not watch:
            return
        time.sleep(REFRESH_EVERY_S)


@click.command()
@click.argument("upload_id", metavar="ID", type=FILLED)
@_with_a_server
def retry(remote: Remote, upload_id: str) -> None:
    """Retry a failed handover, for example when the app is repaired.

    ID is the id in the log and in `incoming uploads`. Its first characters are enough.
    """
    _post(remote, "retry_upload", upload_id)
    click.echo("The handover is being retried.")


@click.command()
@click.argument("upload_id", metavar="ID", type=FILLED)
@_with_a_server
def cancel(remote: Remote, upload_id: str) -> None:
    """Cancel an upload: its file is removed, and its client and its app are notified.

    ID is the id in the log and in `incoming uploads`. Its first characters are enough.
    """
    _post(remote, "cancel_upload", upload_id, by="operator")
    click.echo("Cancelled.")


@click.command()
@_with_a_server
def sweep(remote: Remote) -> None:
    """Do the regular housekeeping now; the server does it every half minute.

    Uploads that were idle for too long expire, apps that answered "wait" long ago are called again, and old
    results are removed.
    """
    touched = int(remote.ask("POST", "sweep").text)
    click.echo(f"{touched} uploads were swept." if touched else "There was nothing to do.")


def _post(remote: Remote, route: str, upload_id: str, **more: str) -> None:
    ticket = remote.ticket(upload_id)
    remote.ask("POST", route, id=ticket.id, backendSecret=ticket.secret, **more)


# --- what is printed ---------------------------------------------------------------------------------


def _without_server(remote: Remote) -> Iterator[dict[str, Any]]:
    """Yields the uploads as their tickets and files say, in the form of `GET backend/uploads`."""
    tickets = list(remote.tickets())
    sizes = remote.stored_bytes(tickets)
    for ticket in tickets:
        state = ticket.state if remote.settings.registry else ticket.recovered(0.0).state
        yield {
            "id": ticket.short_id, "name": ticket.name, "state": state.value, "reason": ticket.reason,
            "length_bytes": ticket.length_bytes, "offset_bytes": sizes[ticket.id] or 0, "bytes_per_s": 0,
            "idle_s": None, "instance": None,
        }  # fmt: skip


def _print(rows: Iterable[dict[str, Any]], note: str, as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    if note:
        click.echo(note, err=True)
    rows = list(rows)
    width = max((len(row.get("instance") or "") for row in rows), default=0)
    head = f"{HEAD[: -len(LAST)]}{'ON':<{width}}  {LAST}" if width else HEAD
    lines = [_line(row, width) for row in rows]
    click.echo("\n".join([head, *lines]) if lines else "There are no uploads.")


def _line(row: dict[str, Any], instance_chars: int) -> str:
    """Returns a line of the list. `instance_chars`: the width of the column with the instance; 0 if none."""
    length_bytes, offset_bytes = row["length_bytes"], row["offset_bytes"] or 0
    done = "" if not length_bytes else f"{100 * offset_bytes // length_bytes} %"
    speed = f"{readable_size(row['bytes_per_s'])}/s" if row["bytes_per_s"] else ""
    idle = "" if row["idle_s"] is None else str(timedelta(seconds=int(row["idle_s"])))
    size = "" if length_bytes is None else readable_size(length_bytes)
    name = printable(row["name"])
    if len(name) > NAME_CHARS:
        name = name[: NAME_CHARS - 1] + "…"
    reason = f"  ({printable(row['reason'])})" if row["reason"] else ""
    state = row["state"].replace("_", " ")
    on = f"{printable(row.get('instance') or ''):<{instance_chars}}  " if instance_chars else ""
    about = f"{row['id']:<9} {state:<13} {done:>5} {size:>9} {speed:>11} {idle:>9}"
    return f"{about}  {on}{name}{reason}".rstrip()
