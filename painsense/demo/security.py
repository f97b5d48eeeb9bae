"""Passwords, and the cookies that tell browsers apart."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from painsense.errors import PainsenseError

HASH_VARIABLE = "PAINSENSE_DEMO_PASSWORD_HASH"
MIN_LENGTH = 10
#: Cost of scrypt (RFC 7914): 32 MB and about a tenth of a second a try
COST, BLOCK, PARALLEL = 2**15, 8, 1
LOGIN_S = 12 * 3600.0
#: Wrong passwords from one address, and from all of them, within the time before more are refused
TRIES, TRIES_IN_ALL, TRIES_S = 5, 50, 300.0


class PasswordError(PainsenseError):
    """A password, or its stored hash, that cannot be used."""


@dataclass(frozen=True)
class Password:
    """A password as it is stored: salted and hashed. :meth:`fits` is slow on purpose."""

    cost: int
    block: int
    parallel: int
    salt: bytes
    key: bytes

    @staticmethod
    def of(text: str) -> Password:
        """Hash a new password with a fresh salt."""
        if len(text) < MIN_LENGTH:
            raise PasswordError(
                f"password: expected at least {MIN_LENGTH} characters, got {len(text)}; several words are easy to keep"
            )
        salt = os.urandom(16)
        return Password(COST, BLOCK, PARALLEL, salt, _scrypt(text, salt, COST, BLOCK, PARALLEL))

    @staticmethod
    def parse(line: str) -> Password:
        """Read what ``painsense demo --hash-password`` wrote."""
        try:
            kind, cost, block, parallel, salt, key = line.strip().split(":")
            made = Password(int(cost), int(block), int(parallel), _unpack(salt), _unpack(key))
            possible = 2**14 <= made.cost <= 2**20 and made.cost & (made.cost - 1) == 0 and 1 <= made.block <= 32
            if kind != "scrypt" or not possible or not 1 <= made.parallel <= 16 or len(made.salt) < 8:
                raise ValueError
            if len(made.key) != 32:
                raise ValueError
        except (ValueError, binascii.Error):
            raise PasswordError(
                "password: expected one line that starts with scrypt:, got something else; make it with "
                "`painsense demo --hash-password > FILE` (a password itself is never stored)"
            ) from None
        return made

    def line(self) -> str:
        """As it is stored."""
        return f"scrypt:{self.cost}:{self.block}:{self.parallel}:{_pack(self.salt)}:{_pack(self.key)}"

    def fits(self, text: str) -> bool:
        """Whether this is the password."""
        return hmac.compare_digest(_scrypt(text, self.salt, self.cost, self.block, self.parallel), self.key)


def read_password(file: Path | None) -> Password | None:
    """The stored password: from the file if one is named, else from the environment; None when there is none."""
    if file is not None:
        try:
            return Password.parse(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise PasswordError(
                f"password: cannot read {file} ({reason}); make it with `painsense demo --hash-password > {file}`"
            ) from error
    if line := os.environ.get(HASH_VARIABLE, "").strip():
        return Password.parse(line)
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Visitors:
    """Signed names for browsers, and which of them have logged in. All of it goes with the server."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._logged_in: dict[str, float] = {}  # visitor: monotonic time of the end

    def new(self) -> str:
        """A name that nobody can guess."""
        return secrets.token_urlsafe(18)

    def sign(self, visitor: str) -> str:
        """The cookie's value."""
        return f"{visitor}.{self._signature(visitor)}"

    def read(self, cookie: str) -> str | None:
        """The visitor of a cookie; None when we did not sign it."""
        visitor, _, signature = cookie.partition(".")
        return visitor if hmac.compare_digest(signature.encode(), self._signature(visitor).encode()) else None

    def log_in(self) -> str:
        """A visitor that has given the password: a new name, so that one known before is worth nothing."""
        now = time.monotonic()
        self._logged_in = {visitor: end for visitor, end in self._logged_in.items() if end > now}
        visitor = self.new()
        self._logged_in[visitor] = now + LOGIN_S
        return visitor

    def log_out(self, visitor: str) -> None:
        """Forget a visitor."""
        self._logged_in.pop(visitor, None)

    def may_enter(self, visitor: str | None) -> bool:
        """Whether this visitor has given the password, not too long ago."""
        return visitor is not None and self._logged_in.get(visitor, 0.0) > time.monotonic()

    def _signature(self, visitor: str) -> str:
        return _pack(hmac.digest(self._secret, visitor.encode(), "sha256"))


class Tries:
    """Counts wrong passwords, so that guessing gets nowhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: dict[str, deque[float]] = {}
        self._all: deque[float] = deque()

    def wait_s(self, address: str) -> float:
        """How long this address has to wait before it may try; 0 when it may."""
        now = time.monotonic()
        with self._lock:
            mine = self._failed.get(address, deque())
            return max(_wait_s(mine, TRIES, now), _wait_s(self._all, TRIES_IN_ALL, now))

    def failed(self, address: str) -> None:
        """Note a wrong password."""
        now = time.monotonic()
        with self._lock:
            self._failed = {other: times for other, times in self._failed.items() if now - times[-1] < TRIES_S}
            self._failed.setdefault(address, deque(maxlen=TRIES)).append(now)
            self._all.append(now)
            while len(self._all) > TRIES_IN_ALL:
                self._all.popleft()

    def worked(self, address: str) -> None:
        """The right password clears what came before."""
        with self._lock:
            self._failed.pop(address, None)


def _wait_s(times: deque[float], allowed: int, now: float) -> float:
    return max(0.0, times[-allowed] + TRIES_S - now) if len(times) >= allowed else 0.0


def _scrypt(text: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    room = 256 * cost * block  # twice what it needs
    return hashlib.scrypt(text.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=room, dklen=32)


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unpack(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
