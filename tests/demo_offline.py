"""Run inside a network namespace without routes (``unshare -rn``): the demo has to start and work there.

unshare -rn python tests/demo_offline.py FOLDER
"""

from __future__ import annotations

import fcntl
import re
import socket
import struct
import sys
from pathlib import Path

from demo_server import Pages, chromium, serving, show_tab
from playwright.sync_api import expect

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def bring_loopback_up() -> None:
    """What ``ip link set lo up`` does, which not every machine has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def main(folder: Path) -> None:
    """Start the server, load every page, run the self-test."""
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    assert not routes, f"there is a route: {routes}"
    bring_loopback_up()
    with serving(folder) as running, chromium() as browser:
        pages = Pages(browser, running.url)
        page = pages()
        for tab in ("Recording", "Live", "Compare", "About"):
            show_tab(page, tab)
        page.get_by_role("button", name="Run the self-test").click()
        expect(page.locator("#ps-selftest")).to_contain_text(re.compile(r"Everything needed works|faults? found"))
        assert pages.outside() == [], pages.outside()
        assert pages.unexpected() == [], pages.unexpected()
        assert "Traceback" not in running.printed, running.printed
    print("no route, and all of it works")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
