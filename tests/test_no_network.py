"""Nothing leaves the machine: what the kernel saw of a whole ``painsense score``."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

#: A call of the kernel that names an internet address: connect, sendto, sendmsg, bind, ...
_CALL = re.compile(
    r"\b(?P<call>\w+)\(.*?sa_family=AF_INET6?, "
    r"sin6?_port=htons\((?P<port>\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )\"(?P<address>[^\"]+)\""
)
_LOOPBACK = re.compile(r"^(127\.|::1$|::ffff:127\.)")
_DNS_PORTS = ("53", "853", "5353")


def reached_out(trace: str) -> list[str]:
    """The lines of a trace in which something beyond this machine is addressed, or a name looked up."""
    found = []
    for line in trace.splitlines():
        named = _CALL.search(line)
        if named and named["call"] in ("connect", "sendto", "sendmsg", "sendmmsg"):
            if not _LOOPBACK.match(named["address"]) or named["port"] in _DNS_PORTS:
                found.append(line)
        # a resolver on this machine that asks others
        elif "sun_path" in line and re.search(r"systemd/resolve|avahi", line):
            found.append(line)
    return found


@pytest.mark.parametrize(
    "line",
    [
        'connect(5, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}, 16) = -1 EINPROGRESS',
        '1 connect(5, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), '
        'inet_pton(AF_INET6, "2001:db8::7", &sin6_addr), sin6_scope_id=0}, 28) = 0',
        'sendto(5, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.7")}, 16) = 1',
        'sendmmsg(5, [{msg_hdr={msg_name={sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.7")}, 1',
        'connect(5, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0',
        'connect(5, {sa_family=AF_UNIX, sun_path="/run/systemd/resolve/io.systemd.Resolve"}, 42) = 0',
    ],
)  # fmt: skip
def test_reaching_out_is_recognised(line: str) -> None:
    assert reached_out(f"socket(AF_INET, SOCK_STREAM, 0) = 5\n{line}\n") == [line]


@pytest.mark.parametrize(
    "line",
    [
        'connect(5, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
        'connect(5, {sa_family=AF_INET6, sin6_port=htons(8080), sin6_flowinfo=htonl(0), '
        'inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}, 28) = 0',
        'bind(5, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("0.0.0.0")}, 16) = 0',
        'connect(5, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT',
        'socketpair(AF_UNIX, SOCK_STREAM, 0, [5, 6]) = 0',
    ],
)  # fmt: skip
def test_what_stays_on_the_machine_is_left_alone(line: str) -> None:
    assert reached_out(line) == []


@pytest.fixture(scope="module")
def strace() -> str:
    """The strace command. Without it there is no proof: skipped on a stranger's machine, a failure in CI."""
    command = shutil.which("strace")
    if command is None:
        message = "needs strace, which is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return command


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of this machine where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


#: what makes packages keep quiet of their own accord: ONNX Runtime reports nothing where CI is set
QUIETING = ("PAINSENSE_OFFLINE", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "GITHUB_ACTIONS", "TF_BUILD")


def traced(strace: str, trace: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a command with all its children and return what it said and what the kernel saw of its network use."""
    # nothing but painsense itself shall keep it off the network: some packages call nobody where they see a CI
    environment = {name: value for name, value in os.environ.items() if name not in QUIETING}
    done = subprocess.run(
        [strace, "-f", "--seccomp-bpf", "-e", "trace=%network", "-o", str(trace), *command],
        capture_output=True,
        text=True,
        env=environment,
    )
    return done, trace.read_text()


def test_the_trace_sees_connections_of_children(strace: str, tmp_path: Path, listener: int) -> None:
    child = f"import socket; socket.create_connection(('127.0.0.1', {listener}))"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    _, trace = traced(strace, tmp_path / "trace", sys.executable, "-c", parent)
    assert [f"htons({listener})" in line for line in trace.splitlines() if " connect(" in line] == [True]
    assert reached_out(trace) == []


def test_score_reaches_nobody(strace: str, tmp_path: Path, sample_clip: Path) -> None:
    out = tmp_path / "out"
    command = (sys.executable, "-m", "painsense", "score", str(sample_clip), "--out", str(out), "--include-frames")
    done, trace = traced(strace, tmp_path / "trace", *command)
    assert done.returncode == 0, done.stderr
    assert {path.suffix for path in out.iterdir()} == {".json", ".csv", ".html"}
    assert "exited with 0" in trace, "nothing was traced"
    assert reached_out(trace) == []


def test_doctor_and_models_reach_nobody(strace: str, tmp_path: Path) -> None:
    for command in ("doctor", "models"):
        done, trace = traced(strace, tmp_path / "trace", sys.executable, "-m", "painsense", command)
        assert done.returncode == 0, done.stdout
        assert reached_out(trace) == []


@pytest.mark.parametrize(
    "code",
    [
        "from painsense import providers; providers.check('cpu')",
        "from painsense import action_units; action_units.estimator()",
        "from painsense import doctor; list(doctor.examine())",
    ],
)
def test_onnx_runtime_keeps_no_number_for_this_machine(tmp_path: Path, code: str) -> None:
    """It calls its maker some ten seconds after its import, which a trace may miss; this file is there at once."""
    environment = {name: value for name, value in os.environ.items() if name not in QUIETING}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name.lower()] == []
