"""Whom the server calls: the address that was checked, and no other one, whatever its name says later."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from incoming.handover.notifier import Notifier
from incoming.handover.schedule import Answer, Done, NoAnswer
from tests.support.app import ScriptedApp
from tests.support.fakes import FakeRuntime

NEVER_CALLED = NoAnswer("the app's address is one that this server never calls")
UNREACHED = NoAnswer("the app could not be reached")
INSIDE = "127.0.0.1"
NAME = "app.example.org"
NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "no such name")


class Names:
    """The names' owner: says each time something else, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[list[str] | Exception] = []
        self.asked: list[str] = []

    def look_up(self, host: str, port: int) -> list[Any]:
        """See Runtime."""
        self.asked.append(host)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        families = (socket.AF_INET6 if ":" in text else socket.AF_INET for text in answer)
        return [(family, 1, 6, "", (text, port)) for family, text in zip(families, answer, strict=True)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Looking a name up asks its owner."""
    owner = Names()
    monkeypatch.setattr(FakeRuntime, "look_up", lambda _, host, port: owner.look_up(host, port))
    yield owner


def call(app: ScriptedApp, *refused: str, scheme: str = "http") -> Answer:
    """Calls the app by its name."""
    url = f"{scheme}://{NAME}:{app.port}/finished"
    return Notifier(5.0, 5.0, FakeRuntime(), refused).post(url, {"id": "1"})


def test_an_address_that_may_be_called_is_called(names: Names, app: ScriptedApp) -> None:
    names.answers = [[INSIDE]]
    assert call(app, "169.254.0.0/16") == Done()
    assert app.deliveries[0].headers["host"] == f"{NAME}:{app.port}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_where_nobody_may_call_is_not_called(
    names: Names, app: ScriptedApp, scheme: str
) -> None:
    names.answers = [[INSIDE, "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]]
    assert call(app, "127.0.0.0/8", "::1", scheme=scheme) == NEVER_CALLED
    assert app.deliveries == []


def test_a_name_that_changes_after_it_was_looked_at_changes_nothing(names: Names, app: ScriptedApp) -> None:
    """DNS rebinding: harmless when it is checked, and inside when it is connected to."""
    names.answers = [["192.0.2.1"], [INSIDE]]
    notifier = Notifier(0.2, 0.2, FakeRuntime(), (INSIDE,))
    answer = notifier.post(f"http://{NAME}:{app.port}/finished", {"id": "1"})
    assert isinstance(answer, NoAnswer)
    assert (names.asked, app.deliveries) == ([NAME], [])
    assert call(app, INSIDE) == NEVER_CALLED


def test_of_several_addresses_those_are_called_that_may_be(names: Names, app: ScriptedApp) -> None:
    names.answers = [["169.254.169.254", INSIDE]]
    assert call(app, "169.254.0.0/16") == Done()


def test_an_address_that_does_not_answer_is_followed_by_the_next(names: Names, app: ScriptedApp) -> None:
    names.answers = [["127.0.0.77", INSIDE]]  # where nobody listens
    assert call(app) == Done()


@pytest.mark.parametrize("answer", [[], NO_SUCH_NAME, UnicodeError("label too long"), ["127.0.0.77"]])
def test_a_name_that_leads_nowhere_is_no_answer(
    names: Names, app: ScriptedApp, answer: list[str] | Exception
) -> None:
    names.answers = [answer]
    assert call(app) == UNREACHED


def test_an_address_in_figures_is_not_looked_up(names: Names, app: ScriptedApp) -> None:
    assert Notifier(5.0, 5.0, FakeRuntime()).post(app.url, {}) == Done()
    assert names.asked == []


def test_an_ipv6_app_is_called() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        listener.settimeout(5.0)
        url = f"http://[::1]:{listener.getsockname()[1]}/"
        assert isinstance(Notifier(0.2, 0.2, FakeRuntime()).post(url, {}), NoAnswer)
        listener.accept()[0].close()
        assert Notifier(0.2, 0.2, FakeRuntime(), ("::1",)).post(url, {}) == NEVER_CALLED
