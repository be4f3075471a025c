"""Runs a compose file without a container engine, for tests, as root.

Each service has a network of its own, a process number 1, and the root file system of our image, read-only.
It runs as the image's user, without privileges. Services reach each other by their names. nginx, Valkey and
SeaweedFS are those of this machine, with the options and the files of the compose file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import yaml

from tests.net.namespaces import Namespace
from tests.support.nginx import MAIN
from tests.support.owned_process import children_of
from tests.support.s3_server import weed
from tests.support.server import ROOT
from tests.support.tools import program
from tests.support.waiting import wait_until

NETWORK: Final = "172.30.77"
START_DEADLINE_S: Final = 90.0
STOP_DEADLINE_S: Final = 60.0
OUR_IMAGE: Final = "incoming"
DEVICES: Final = ("null", "zero", "full", "random", "urandom")
ISOLATED: Final = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "sh", "-euc")


def first_child(pid: int) -> int:
    """Waits until a process has a child, and returns its id."""
    return wait_until(lambda: children_of(pid), f"process {pid} has a child")[0]


class Image:
    """What scripts/build-image.sh has made: a root file system, and how it runs."""

    def __init__(self, folder: Path) -> None:
        self.rootfs = folder / "rootfs"
        self.config: dict[str, Any] = json.loads((folder / "image.json").read_text())["Docker"]["config"]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that each of its containers has."""
        return dict(line.split("=", 1) for line in self.config["Env"])

    @property
    def user(self) -> tuple[int, int]:
        """The user and the group that it runs as, by their numbers."""
        user, _, group = self.config["User"].partition(":")
        return int(user), int(group)


class Container(Namespace):
    """One service. A context manager: it ends with all of its processes."""

    def __init__(self, name: str, number: int, service: dict[str, Any], image: Image, folder: Path) -> None:
        self.name = name
        self.service = service
        self.address = f"{NETWORK}.{number}"
        self.log_file = folder / f"{name}.log"
        self._number = number
        self._image = image
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        near, far = f"near{self._number}", f"eth{self._number}"
        run("ip", "link", "add", "name", near, "type", "veth", "peer", "name", far)
        run("ip", "link", "set", far, "netns", str(self.pid))
        run("ip", "link", "set", near, "master", "containers", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", far)
        self.run("ip", "link", "set", far, "up")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        super().__exit__(*exc_info)

    @property
    def log(self) -> str:
        """What it has said."""
        return self.log_file.read_text("utf-8", "replace")

    def start(self) -> None:
        """Starts its program."""
        script = self._isolated() if self.service.get("image") == OUR_IMAGE else self._of_this_machine()
        with self.inside(), self.log_file.open("ab") as log:
            self._process = subprocess.Popen([*ISOLATED, script], stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL, for all of its processes."""
        process, self._process = self._process, None
        if process and process.poll() is None:
            # Number 1, which takes all others with it. It loses the signal of --kill-child with its user.
            os.kill(first_child(process.pid), signal.SIGKILL)
            process.wait(STOP_DEADLINE_S)

    def stop(self) -> int:
        """Asks its process number 1 to stop, as the image says. Returns the exit code."""
        assert self._process
        os.kill(self.first_pid, signal.Signals[self._image.config.get("StopSignal", "SIGTERM")])
        return self._process.wait(STOP_DEADLINE_S)

    def ended(self) -> int:
        """Returns the exit code of a service that ends by itself."""
        assert self._process
        return self._process.wait(START_DEADLINE_S)

    @property
    def first_pid(self) -> int:
        """The process that is number 1 in the container."""
        assert self._process
        return first_child(self._process.pid)

    @property
    def runs(self) -> bool:
        """Whether its program runs."""
        return self._process is not None and self._process.poll() is None

    def healthy(self) -> bool:
        """Does what an engine does for the image's HEALTHCHECK."""
        kind, *words = self._image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        assert self.runs, self.log
        return self.execute(*words).returncode == 0

    def execute(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in it, as its user."""
        user, group = self._image.user
        into = ("nsenter", "--target", str(self.first_pid), "--mount", "--net", "--pid", "--root", "--wd")
        who = ("--setuid", str(user), "--setgid", str(group), "env", "-i")
        variables = [f"{name}={value}" for name, value in self._variables().items()]
        command = [*into, *who, *variables, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_DEADLINE_S)

    def _variables(self) -> dict[str, str]:
        given = {name: str(value) for name, value in self.service.get("environment", {}).items()}
        return self._image.environment | given

    def _mounts(self) -> Iterator[tuple[Path, str]]:
        """Yields what is mounted where. A volume begins as what the image has there: an empty folder."""
        user, group = self._image.user
        for volume in self.service.get("volumes", ()):
            source, target, *_ = volume.split(":")
            if source.startswith("."):
                yield ROOT / source, target
                continue
            folder = self._folder / "volumes" / source
            if not folder.exists():
                folder.mkdir(parents=True)
                os.chown(folder, user, group)
                folder.chmod(0o2770)
            yield folder, target

    def _isolated(self) -> str:
        root = self._folder / "roots" / self.name
        root.mkdir(parents=True, exist_ok=True)
        lines = ["mount --make-rprivate /", f"mount --bind {self._image.rootfs} {root}"]
        for source, target in self._mounts():
            place = self._image.rootfs / target.lstrip("/")
            if source.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            lines.append(f"mount --bind {source} {root}{target}")
        assert self.service["read_only"], "all of ours are"
        lines += [
            f"mount -o remount,bind,ro {root}",
            f"mount -t proc proc {root}/proc",
            f"mount -t tmpfs tmpfs {root}/dev",
            *(f"touch {root}/dev/{name}; mount --bind /dev/{name} {root}/dev/{name}" for name in DEVICES),
            *(f"mount -t tmpfs -o mode=1777 tmpfs {root}{place}" for place in self.service.get("tmpfs", ())),
            f"mount --bind {self._folder}/hosts {root}/etc/hosts",
        ]
        user, group = self._image.user
        entrypoint = self.service.get("entrypoint", self._image.config["Entrypoint"])
        words = [*entrypoint, *self.service.get("command", self._image.config.get("Cmd") or ())]
        if "entrypoint" in self.service and "command" not in self.service:
            words = list(entrypoint)
        variables = [f"{name}={value}" for name, value in self._variables().items()]
        path = self._image.environment["PATH"]
        inside = f'cd {self._image.config["WorkingDir"]} && PATH={path} && exec "$@"'
        command = [
            *("setpriv", "--no-new-privs", "chroot", f"--userspec={user}:{group}", "--groups=", str(root)),
            *("/usr/bin/env", "-i", *variables, "/bin/sh", "-c", inside, "sh", *words),
        ]
        return "\n".join([*lines, f"exec {shlex.join(command)}"])

    def _of_this_machine(self) -> str:
        name = self.service["image"].rpartition("/")[2].partition(":")[0]
        private = f"mount --make-rprivate /; mount --bind {self._folder}/hosts /etc/hosts; exec "
        return private + shlex.join(PROGRAMS[name](self))

    def nginx(self) -> list[str]:
        """Returns the command of nginx, with the one file that is mounted into its folder of sites."""
        ((site, target),) = self._mounts()
        assert target == "/etc/nginx/conf.d/default.conf"
        place = self._folder / self.name
        (place / "temp").mkdir(parents=True, exist_ok=True)
        main = MAIN.format(user="user root;", folder=place)
        (place / "nginx.conf").write_text(main)
        shutil.copy(site, place / "site.conf")
        files = ["-c", str(place / "nginx.conf"), "-e", str(place / "error.log")]
        return [program("nginx", "/usr/sbin/nginx"), *files]

    def valkey(self) -> list[str]:
        """Returns the command of Redis, which has the options of Valkey."""
        ((folder, target),) = self._mounts()
        assert target == "/data"
        options = self.service["command"][1:]
        return [program("redis-server"), "--dir", str(folder), "--protected-mode", "no", *options]

    def seaweedfs(self) -> list[str]:
        """Returns the command of SeaweedFS."""
        ((folder, target),) = self._mounts()
        command = [word.replace(f"-dir={target}", f"-dir={folder}") for word in self.service["command"]]
        return [weed(), f"-logdir={self._folder}", *command]


PROGRAMS: Final[dict[str, Callable[[Container], list[str]]]] = {
    "nginx": Container.nginx,
    "valkey": Container.valkey,
    "seaweedfs": Container.seaweedfs,
}


class Project:
    """A compose file, up. A context manager; `inside` is the network where its ports can be reached."""

    def __init__(self, file: Path, image: Image, folder: Path, **variables: str) -> None:
        """`variables`: those of the environment that the file asks for."""
        text = re.sub(
            r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), file.read_text("utf-8")
        )
        services = yaml.safe_load(text)["services"]
        self._folder = folder
        self._hub = Namespace()
        self.containers = {
            name: Container(name, number, service, image, folder)
            for number, (name, service) in enumerate(services.items(), 10)
        }

    def __enter__(self) -> Self:
        lines = [f"{one.address} {name}\n" for name, one in self.containers.items()]
        (self._folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(lines))
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._hub)
            stack.enter_context(self._hub.inside())
            run("ip", "link", "add", "containers", "type", "bridge")
            run("ip", "address", "add", f"{NETWORK}.1/24", "dev", "containers")
            run("ip", "link", "set", "containers", "up")
            for one in self.containers.values():
                stack.enter_context(one)
            for name in self.containers:
                self._start(name)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def __getitem__(self, name: str) -> Container:
        return self.containers[name]

    def _start(self, name: str) -> None:
        """Starts a service after those that it depends on, unless it runs."""
        one = self.containers[name]
        if one.log_file.exists():
            return
        depends = one.service.get("depends_on", {})
        for other_name in depends:
            other = self.containers[other_name]
            self._start(other_name)
            condition = depends[other_name]["condition"] if isinstance(depends, dict) else "service_started"
            if condition == "service_completed_successfully":
                assert other.ended() == 0, other.log
            elif condition == "service_healthy" and other.service["image"] == OUR_IMAGE:
                wait_until(other.healthy, f"{other_name} is healthy", START_DEADLINE_S)
        one.start()


def run(*command: str) -> None:
    """Runs a command. Raises subprocess.CalledProcessError."""
    subprocess.run(command, check=True)
