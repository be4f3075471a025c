"""The page of one upload, for people whose browser has no script of the app: its state, and a form.

It is plain HTML. While something is still to happen, a header makes it load itself again. A link does the
same, for people whose browser ignores that header. Each text of a stranger, such as the name of the file, is
shown as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Final, Self
from urllib.parse import urlsplit

from incoming.core.lifecycle import State
from incoming.core.units import readable_size
from incoming.http_uploads.request import MAX_WAIT_S
from incoming.wire.page_policy import page_headers

_SHOWN_S: Final = 1
"""How long the page is shown before it waits for news. With 0, Chromium and WebKit do not show it at all."""
_WATCHED_S: Final = 5
"""How often the page of an upload that somebody else sends is loaded again: no news tells of its bytes."""
_RESTART_S: Final = 10
"""How long a server may take to be there again after it has stopped."""

_SENDABLE: Final = frozenset((State.ISSUED, State.PAUSED))
_WITH_APP: Final = frozenset((State.HANDING_OVER, State.WAITING))
_CALLED_OFF: Final = frozenset((State.FAILED, State.CANCELLED, State.EXPIRED))
_TEXTS: Final[dict[State, tuple[str, str]]] = {
    State.ISSUED: (
        "Send a file",
        "Choose the file, then press the button. Leave this page open until the file has arrived.",
    ),
    State.UPLOADING: ("The file is being uploaded", "This page shows when it has arrived."),
    State.PAUSED: (
        "The upload is paused",
        "Resume it where it was started. Or choose the same file here: the part that has arrived is kept.",
    ),
    State.HANDING_OVER: (
        "The file has arrived",
        "The app has not accepted it yet. This page shows when it has. Do not send the file again.",
    ),
    State.FINISHED: ("Finished", "The app has the file."),
    State.FAILED: ("The app did not accept the file", "Please go back to the app, and try again there."),
    State.CANCELLED: ("The upload was cancelled", "Please go back to the app to send a file."),
    State.EXPIRED: (
        "The upload has expired",
        "It was idle for too long. Please go back to the app, and start it again.",
    ),
}
_TEXTS[State.WAITING] = _TEXTS[State.HANDING_OVER]
_FOLDER_TEXTS: Final[dict[State, tuple[str, str]]] = {
    State.ISSUED: ("Send a folder", "Send it from the page of the app. A form can't send folders."),
    State.PAUSED: ("The upload is paused", "Resume it where it was started."),
}
NOT_POSSIBLE: Final = "The upload is not possible"


@dataclass(frozen=True, slots=True)
class UploadView:
    """What the client of an upload may see of it.

    `offset_bytes`: how many bytes count as uploaded. `reason`: why the upload has failed or was called off,
    or why the app has not answered yet. `return_url`: where the app wants its user to go, or empty.
    """

    state: State
    offset_bytes: int
    length_bytes: int | None
    name: str = ""
    reason: str = ""
    return_url: str = ""
    server_stops: bool = False
    is_folder: bool = False

    @property
    def may_change(self) -> bool:
        """Whether the server or another client may still change the state."""
        return self.state is State.UPLOADING or self.state in _WITH_APP


def _texts(view: UploadView) -> tuple[str, str]:
    """Returns the heading of the page, and what it explains."""
    heading, explanation = _TEXTS[view.state]
    if not view.is_folder:
        return heading, explanation
    about_folders = heading.replace("file", "folder"), explanation.replace("file", "folder")
    return _FOLDER_TEXTS.get(view.state, about_folders)


@dataclass(frozen=True, slots=True)
class UploadPage:
    """The page's template. `address` below is always that of the upload, relative to the page's."""

    template: Template
    style: str

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Returns the page that is in this directory in two pieces. Raises OSError."""
        html, style = ((directory / name).read_text("utf-8") for name in ("upload.html", "upload.css"))
        return cls(Template(html), style)

    def render(self, view: UploadView, address: str, wrong: str = "") -> tuple[str, dict[str, str]]:
        """Returns the page of an upload, and its headers. `wrong`: a sentence about a request that failed."""
        heading, explanation = _texts(view)
        if view.reason and (view.state in _WITH_APP or view.state in _CALLED_OFF):
            explanation = f"{explanation} The reason is: {view.reason}."
        form = _form(address) if view.state in _SENDABLE and not view.is_folder else ""
        back = _link(view.return_url, "Back to the app") if view.state in _CALLED_OFF else ""
        latest = _link(address, "Show the latest state") if view.may_change else ""
        html = self.template.substitute(
            style=self.style,
            state=view.state.value,
            heading=escape(heading),
            wrong=_wrong(wrong),
            explanation=escape(explanation),
            file=_file(view),
            form=form + back + latest,
        )
        headers = page_headers(self.style, form_targets=_form_targets(view) if form else ())
        return html, headers | _refresh(view, address)

    def render_error(self, wrong: str) -> tuple[str, dict[str, str]]:
        """Returns the page for a request about no upload that there is, and its headers."""
        html = self.template.substitute(
            style=self.style,
            state=State.FAILED.value,
            heading=NOT_POSSIBLE,
            wrong=_wrong(wrong),
            explanation="Please go back to the app, and start again there.",
            file="",
            form="",
        )
        return html, page_headers(self.style)


def _refresh(view: UploadView, address: str) -> dict[str, str]:
    """Returns the header that loads the page again, once there is news if it can wait for that."""
    if not view.may_change:
        return {}
    if view.server_stops:
        return {"Refresh": f"{_RESTART_S}; url={address}"}
    if view.state is State.UPLOADING:
        return {"Refresh": f"{_WATCHED_S}; url={address}"}
    return {"Refresh": f"{_SHOWN_S}; url={address}?wait={MAX_WAIT_S}"}


def _form_targets(view: UploadView) -> list[str]:
    """Returns where the form may lead: here, and from here to where the app wants its user to go."""
    parts = urlsplit(view.return_url)
    return ["'self'", *([f"{parts.scheme}://{parts.netloc}"] if parts.netloc else [])]


def _form(address: str) -> str:
    attributes = 'method="post" enctype="multipart/form-data" accept-charset="utf-8"'
    return (
        f'<form {attributes} action="{escape(address)}">'
        '<label for="file">File</label><input id="file" type="file" name="file" required>'
        "<button>Upload</button></form>"
    )


def _link(url: str, text: str) -> str:
    return f'<p><a href="{escape(url)}">{text}</a></p>' if url else ""


def _wrong(sentence: str) -> str:
    return f'<p class="wrong" role="alert">{escape(sentence)}</p>' if sentence else ""


def _file(view: UploadView) -> str:
    """Returns the name, the size and the progress of the file, once they are known."""
    if view.state is State.ISSUED or (not view.name and view.length_bytes is None):
        return ""
    size = "" if view.length_bytes is None else readable_size(view.length_bytes)
    progress = ""
    if view.state in (State.UPLOADING, State.PAUSED):
        size = f"{readable_size(view.offset_bytes)} of {size or 'an unknown size'}"
    if view.length_bytes and view.state in (State.UPLOADING, State.PAUSED):
        percent = 100 * view.offset_bytes // view.length_bytes
        progress = f'<progress max="100" value="{percent}" aria-label="Progress">{percent} %</progress>'
    name = f'<span class="name">{escape(view.name)}</span>'
    return f'<p class="file">{name}<span class="size">{size}</span></p>{progress}'
