"""Three RabbitMQ nodes with the MQTT plugin on loopback: started, killed and restarted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.harness.mosquitto import free_port, listens

_PROGRAMS = "/usr/lib/rabbitmq/bin"
_START_S = 240.0
_PAUSE_S = 0.1
_USER = "rabbitmq"
_POLICY = '{"ha-mode":"all","ha-sync-mode":"automatic","ha-promote-on-shutdown":"always"}'
COOKIE = "EDGEDAEMON"
"""Secret that Erlang nodes show each other."""
_ERLANG = (
    "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
    " -kernel net_ticktime 8"
)
"""One thread per node, without busy waiting; a silent node is missed after 8 s instead of a minute."""


def is_installed(root: Path = Path("/")) -> bool:
    """Return whether RabbitMQ is installed below `root`."""
    return (root / _PROGRAMS[1:] / "rabbitmq-server").exists()


class RabbitMqNode:
    """One node: an Erlang machine with one MQTT listener at `port` of 127.0.0.1."""

    def __init__(self, cluster: RabbitMqCluster, number: int) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.name = f"edge{number}@localhost"
        self._cluster = cluster
        self._dist_port = free_port()
        self._folder = cluster.make_folder(f"node{number}")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> list[int]:
        """Process ids of the node: the Erlang machine and its helpers."""
        return [] if self._process is None else _session(self._process.pid)

    def start(self) -> None:
        """Start it, or start it again, without waiting."""
        self._cluster.write(
            self._folder / "rabbitmq.conf",
            f"listeners.tcp = none\nmqtt.listeners.tcp.1 = {self.host}:{self.port}\n"
            "mqtt.allow_anonymous = true\nlog.file.level = warning\nvm_memory_high_watermark.absolute = 1GB\n"
            "disk_free_limit.absolute = 50MB\n"
            f"cluster_partition_handling = {self._cluster.partitions}\n"
            "cluster_formation.peer_discovery_backend = classic_config\n"
            + "".join(
                f"cluster_formation.classic_config.nodes.{count} = {node}\n"
                for count, node in enumerate(self._cluster.names, 1)
            ),
        )
        self._cluster.write(self._folder / "plugins", "[rabbitmq_mqtt].\n")
        with (self._folder_outside / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                self._cluster.command("rabbitmq-server"),
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_started(self) -> None:
        """Return when it accepts MQTT connections; fail if it ended."""
        deadline = time.monotonic() + _START_S
        while not listens(self.host, self.port):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {self._last_output()}")
            time.sleep(_PAUSE_S)

    def kill(self) -> None:
        """End it with SIGKILL."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._process = None

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl at this node and return its output."""
        command = self._cluster.command("rabbitmqctl", "-q", "-n", self.name, *arguments)
        return subprocess.run(
            command, env=self._environ(), check=True, capture_output=True, text=True, timeout=120
        ).stdout

    @property
    def _folder_outside(self) -> Path:
        return self._cluster.outside(self._folder)

    def _environ(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self._cluster.folder),
            "ERL_EPMD_ADDRESS": self.host,
            "ERL_EPMD_PORT": str(self._cluster.epmd_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            "RABBITMQ_CTL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def _last_output(self) -> str:
        return (self._folder_outside / "output.txt").read_text(errors="replace")[-1500:]


class RabbitMqCluster:
    """`count` nodes of one cluster; a context manager that starts and ends them.

    `root` is the folder of another Debian with RabbitMQ, whose version differs from this system's; it needs
    a mounted /proc and /dev. As root the nodes run as the user `rabbitmq`. `partitions` is the nodes'
    `cluster_partition_handling`.
    """

    def __init__(self, count: int = 3, root: Path = Path("/"), partitions: str = "autoheal") -> None:
        if not is_installed(root):
            raise FileNotFoundError(f"no RabbitMQ below {root}; scripts/dev/test-cluster installs it")
        self._root = root
        self.partitions = partitions
        self._parted: RabbitMqNode | None = None
        self.epmd_port = free_port()
        self.folder = Path("/") / Path(tempfile.mkdtemp(prefix="rabbitmq-", dir=root / "tmp")).relative_to(
            root
        )
        self._own(self.folder)
        self.write(self.folder / ".erlang.cookie", COOKIE, mode=0o400)
        self._port_mapper: subprocess.Popen[bytes] | None = None
        self.nodes = [RabbitMqNode(self, number) for number in range(1, count + 1)]

    @property
    def names(self) -> list[str]:
        """Names of the nodes."""
        return [node.name for node in self.nodes]

    @property
    def pids(self) -> list[int]:
        """Process ids of all nodes."""
        return [pid for node in self.nodes for pid in node.pids]

    @property
    def version(self) -> str:
        """RabbitMQ's version."""
        return next(self.outside(Path("/usr/lib/rabbitmq/lib")).iterdir()).name.rpartition("-")[2]

    def __enter__(self) -> RabbitMqCluster:
        self._port_mapper = subprocess.Popen(
            self.command("epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_started()
        if self.version.startswith("3."):
            # Subscriptions of a node that is down block its clients at the other nodes, unless mirrored.
            # "always" lets a node restart after a partition without a synchronised mirror.
            self.nodes[0].ctl("set_policy", "mqtt", "^mqtt-subscription-", _POLICY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.kill()
        if self._port_mapper is not None:
            self._port_mapper.kill()
            self._port_mapper.wait()
        shutil.rmtree(self.outside(self.folder), ignore_errors=True)

    def part(self, node: RabbitMqNode) -> None:
        """Cut the connections of one node to all others, and refuse new ones, until `join`."""
        self._parted = node
        others = ",".join(f"'{each}'" for each in self.names if each != node.name)
        node.ctl(
            "eval",
            f"[begin erlang:set_cookie(N, parted), erlang:disconnect_node(N) end || N <- [{others}]].",
        )

    def join(self) -> None:
        """Let the parted node connect to the others again."""
        assert self._parted is not None
        others = ",".join(f"'{each}'" for each in self.names if each != self._parted.name)
        self._parted.ctl("eval", f"[erlang:set_cookie(N, '{COOKIE}') || N <- [{others}]].")

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return the command line of a program in `root`, as the user `rabbitmq`."""
        path = "/usr/bin/epmd" if program == "epmd" else f"{_PROGRAMS}/{program}"
        prefix = []
        if os.getuid() == 0:
            prefix = ["chroot", f"--userspec={_USER}:{_USER}", str(self._root)]
        return [*prefix, path, *arguments]

    def outside(self, path: Path) -> Path:
        """Return the path of a file in `root` as seen from here."""
        return self._root / path.relative_to("/")

    def make_folder(self, name: str) -> Path:
        """Make a folder of the cluster and return its path in `root`."""
        path = self.folder / name
        self.outside(path).mkdir()
        self._own(path)
        return path

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        """Write a file in `root` that belongs to the nodes' user."""
        outside = self.outside(path)
        outside.write_text(text)
        outside.chmod(mode)
        self._own(path)

    def _own(self, path: Path) -> None:
        if os.getuid() == 0:
            lines = self.outside(Path("/etc/passwd")).read_text().splitlines()
            fields = next(line.split(":") for line in lines if line.startswith(f"{_USER}:"))
            os.chown(self.outside(path), int(fields[2]), int(fields[3]))


def _session(leader: int) -> list[int]:
    """Return the processes of a session."""
    pids = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            pids.append(int(entry.parent.name))
    return pids
