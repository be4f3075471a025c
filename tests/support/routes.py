"""The routes as WSGI, called through WebTest, with the real service behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from webtest import TestApp, TestResponse

from incoming.http.routes import make_app
from incoming.settings.table import Settings
from incoming.uploads.overview import Overview
from tests.support.uploads import House

URL: Final = "http://app.example.org/finished"
PREFIXES: Final = ("/incoming/", "/incoming/0.1/")
BACKEND_ROUTES: Final = ("new_upload", "finish_upload", "cancel_upload", "retry_upload")
Pairs = Mapping[str, str]


class Routes:
    """The app, and the house behind it. Callers are on this machine unless `wsgi.extra_environ` says else."""

    def __init__(self, house: House, **settings: Any) -> None:
        self.house = house
        self.overview = Overview(house.uploads)
        self.app = make_app(Settings(**settings), house.uploads, self.overview)
        self.wsgi = TestApp(self.app, extra_environ={"REMOTE_ADDR": "127.0.0.1"})

    def post(
        self,
        route: str,
        query: Pairs | None = None,
        form: Pairs | None = None,
        headers: Pairs | None = None,
        prefix: str = PREFIXES[1],
    ) -> TestResponse:
        """Returns the answer, whatever it is."""
        url = f"{prefix}backend/{route}?{urlencode(query or {})}"
        return self.wsgi.post(url, dict(form or {}), dict(headers or {}), status="*")

    def get(
        self, route: str, query: Pairs | None = None, headers: Pairs | None = None, prefix: str = PREFIXES[0]
    ) -> TestResponse:
        """Returns the answer, whatever it is."""
        return self.wsgi.get(f"{prefix}{route}", dict(query or {}), dict(headers or {}), status="*")

    def new_ticket(self, **parameters: str) -> str:
        """Returns the id of a new ticket."""
        answer = self.post("new_upload", {"signalFinishURL": URL, **parameters})
        assert answer.status_int == 200, answer.text
        return str(answer.text)
