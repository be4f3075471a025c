"""Starts servers in a twentieth of the usual time: by forking a process that has everything imported already.

It reads commands from its standard input, a JSON object a line, and answers each with a line. The servers are
what `incoming serve` is, unless they get a `faultpoints.Plan` or are another script, such as an example app;
they die with this process. At SIGUSR2 each prints what all its greenlets do: see `forked.show_greenlets`.
"""

from __future__ import annotations

from incoming import cli  # isort: skip  (patches)

import ctypes
import gc
import json
import os
import resource
import runpy
import signal
import sys
import traceback
from importlib import import_module
from types import FrameType
from typing import Any, Final

import greenlet  # type: ignore[import-untyped]
from gevent.monkey import get_original

from tests.support import faultpoints

_fork: Final = get_original("os", "fork")
_waitpid: Final = get_original("os", "waitpid")
ALL_SHOWN: Final = "these were all greenlets"
DIE_WITH_PARENT: Final = (1, 9)  # PR_SET_PDEATHSIG, SIGKILL


def main() -> None:
    """Obeys until its input ends."""
    for module in ("incoming.commands.serve", "requests", "gevent.pywsgi"):
        import_module(module)
    gc.freeze()  # or each child copies all pages at its first collection
    print("ready", flush=True)
    while line := sys.stdin.readline():
        command = json.loads(line)
        if command["do"] == "start":
            print(_start(command), flush=True)
        else:
            print(_waitpid(command["pid"], 0)[1], flush=True)


def _start(command: dict[str, Any]) -> int:
    """Returns the process id of a new server."""
    pid: int = _fork()
    if pid:
        return pid
    try:
        _become_server(command)
    except SystemExit as exc:
        if isinstance(exc.code, str):
            print(exc.code, file=sys.stderr)
        sys.stderr.flush()
        os._exit(exc.code if isinstance(exc.code, int) else int(exc.code is not None))
    except BaseException:
        traceback.print_exc()
    os._exit(70)


def _show_greenlets(_: int, frame: FrameType | None) -> None:
    sys.stderr.write(f"what runs now\n{''.join(traceback.format_stack(frame))}\n")
    for one in gc.get_objects():
        if isinstance(one, greenlet.greenlet) and one.gr_frame:
            sys.stderr.write(f"{one!r}\n{''.join(traceback.format_stack(one.gr_frame))}\n")
    print(ALL_SHOWN, file=sys.stderr, flush=True)


def _become_server(command: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(*DIE_WITH_PARENT)
    os.setsid()
    log_fd = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null_fd = os.open(os.devnull, os.O_RDONLY)
    for fd, source in ((0, null_fd), (1, log_fd), (2, log_fd)):
        os.dup2(source, fd)
    signal.signal(signal.SIGUSR2, _show_greenlets)
    os.environ.clear()
    os.environ.update(command["environment"])
    if command["plan"] is not None:
        plan = faultpoints.Plan(**command["plan"])
        if plan.open_files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (plan.open_files, plan.open_files))
        faultpoints.install(plan)
    if command["script"]:
        sys.argv = [command["script"], *command["options"]]
        runpy.run_path(command["script"], run_name="__main__")
    else:
        cli.main(["serve", *command["options"]])


if __name__ == "__main__":
    main()
