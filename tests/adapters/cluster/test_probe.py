"""The seal probe's attempts: what answers is somebody, or it is nobody."""

import json
import subprocess
import sys

import pytest

ALONE = """
import fcntl, json, socket, struct, sys
from spe.adapters.cluster.embedded.probe_inside import ATTEMPTS, attempt

with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
    file.write("40001 40001")
with socket.socket() as end:
    fcntl.ioctl(end, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
plan = {"tcp4": 40001, "tcp6": 40001, "udp4": 40001, "udp6": 40001}
json.dump({name: attempt(ATTEMPTS[name], plan) for name in sys.argv[1:]}, sys.stdout)
"""
"""Tried where the only port that the system can pick for a socket is the one that is aimed at."""


@pytest.mark.parametrize("name", ["tcp-ipv4", "tcp-ipv6", "udp-ipv4", "udp-ipv6"])
def test_a_socket_that_met_itself_got_nowhere(name: str) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", ALONE, name]
    said = subprocess.run(alone, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == {name: "stopped: only the socket itself answered"}
