"""Where recordings lie while somebody looks at them, and how they go.

A *visitor* is a browser, known by a cookie. A *session* is one open page of it: it owns a private folder and the
uploads that it took, and it alone can fetch what it shared. When the page is closed, or lost for :data:`GRACE_S`, all
of that is removed. All sessions of a server live in one run folder, removed when the server ends; what a crashed one
left is removed at the next start. A run that is alive holds a lock on its folder. A lock goes with its process, however
that ends, and on every system, which a process number written in a file does not.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from painsense.errors import OutputError, PainsenseError

if TYPE_CHECKING:
    import gradio as gr

GRACE_S = 20.0  # how long a page may be out of touch: a phone changes its network, a laptop wakes up
NEVER_SEEN_S = 120.0  # how long a page may take to get in touch at all
UNTAKEN_S = 600.0  # how long an upload may wait to be taken by a page


class SessionError(PainsenseError):
    """A page asks for something of a session that has ended, or that is not its own."""


@dataclass(frozen=True)
class Shared:
    """A file that a session may fetch: ``name`` is what the browser calls it, ``inline`` shows it instead of saving."""

    path: Path
    name: str
    inline: bool


@dataclass(eq=False)
class Session:
    """One open page.

    Attributes
    ----------
    id : unguessable name, part of the addresses of its files
    visitor : the browser it belongs to
    folder : private; for whatever the page makes
    ended : set when the page has gone: long work should look at it and stop
    """

    id: str
    visitor: str
    folder: Path
    store: Store = field(repr=False)
    ended: threading.Event = field(default_factory=threading.Event, repr=False)
    _shared: dict[str, Shared] = field(default_factory=dict, repr=False)

    def share(self, path: Path, name: str, *, inline: bool = False) -> str:
        """The address of a file, for this session alone. ``inline`` is for what a page plays or shows.

        Sharing the same file under the same name again gives the same address.
        """
        self._alive()
        wanted = Shared(Path(path), name, inline)
        token = next((token for token, shared in list(self._shared.items()) if shared == wanted), None)
        if token is None:
            token = secrets.token_urlsafe(18)
            self._shared[token] = wanted
        return f"/session/{self.id}/files/{token}/{quote(name, safe='')}"

    def shared(self, token: str) -> Shared | None:
        """What was shared under this token."""
        return self._shared.get(token)

    def take(self, path: str | Path) -> Path:
        """Make an upload this session's own, so that it goes when the session does; its place is returned.

        Taking it again is fine. SessionError when it is another visitor's or gone.
        """
        self._alive()
        root = self.store.upload_root(path)
        if root is None or not Path(path).is_file():
            raise SessionError("this upload is not there any more; choose the recording again")
        self.store.claim(root, self)
        return Path(path)

    def end(self) -> None:
        """Remove everything of this session."""
        self.store.end(self)

    def names(self) -> set[str]:
        """What the browser calls the files that were shared."""
        return {shared.name for shared in list(self._shared.values())}

    def _alive(self) -> None:
        if self.ended.is_set():
            raise SessionError("this page was out of touch for too long and its data has been removed; load it again")


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Inside a Gradio event: the page is told of a SessionError in words, and the terminal of nothing."""
    import gradio as gr

    try:
        yield
    except SessionError as error:
        raise gr.Error(str(error), print_exception=False) from None


def of(request: gr.Request) -> Session:
    """The session of a Gradio event. The guard put the store and the visitor beside the request."""
    assert request.request is not None
    store, visitor = request.request.scope["painsense"]
    with told():
        found: Session = store.open(visitor, request.session_hash or "")
    return found


class Store:
    """The sessions of a running server, in one private folder. Close it when the server ends."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.grace_s = grace_s
        self._lock = threading.RLock()
        self._sessions: dict[str, Session] = {}  # by the page's own name for itself
        self._pulses: dict[str, int] = {}  # open heartbeats of each page
        self._quiet_since: dict[str, float] = {}  # monotonic; pages without a heartbeat
        self._uploads: dict[Path, tuple[str, float]] = {}  # folder of an upload: visitor, when
        self._claims: dict[Path, Session] = {}
        self._doomed: list[Path] = []  # folders that somebody was still writing into
        self.folder, self._owner = _own_run_folder()
        self.uploads = self.folder / "uploads"
        self.temporary = self.folder / "temporary"
        self.uploads.mkdir(mode=0o700)
        self.temporary.mkdir(mode=0o700)

    # ---- sessions

    def open(self, visitor: str, page: str) -> Session:
        """The session of a page, made when it is not there yet. ``page`` is Gradio's name for it."""
        if not visitor or not re.fullmatch(r"[A-Za-z0-9_-]{4,64}", page):
            raise SessionError("this page cannot be told from others; load it again, with cookies allowed")
        with self._lock:
            session = self._sessions.get(page)
            if session is None:
                name = secrets.token_urlsafe(18)
                folder = self.folder / "sessions" / name
                folder.mkdir(mode=0o700, parents=True)
                session = self._sessions[page] = Session(name, visitor, folder, self)
                if not self._pulses.get(page):
                    self._quiet_since[page] = time.monotonic() + NEVER_SEEN_S - self.grace_s
            elif session.visitor != visitor:
                raise SessionError("this page belongs to another browser; load it again")
            return session

    def find(self, visitor: str, identity: str) -> Session | None:
        """The session of this id, if it is this visitor's."""
        with self._lock:
            return next((s for s in self._sessions.values() if s.id == identity and s.visitor == visitor), None)

    def allows(self, visitor: str, page: str) -> bool:
        """Whether a page is this visitor's, or nobody's yet."""
        with self._lock:
            session = self._sessions.get(page)
            return session is None or session.visitor == visitor

    @contextlib.contextmanager
    def pulse(self, page: str) -> Iterator[None]:
        """While inside, the page is open: its heartbeat is connected."""
        with self._lock:
            self._pulses[page] = self._pulses.get(page, 0) + 1
            self._quiet_since.pop(page, None)
        try:
            yield
        finally:
            with self._lock:
                self._pulses[page] -= 1
                if not self._pulses[page]:
                    del self._pulses[page]
                    self._quiet_since[page] = time.monotonic()

    def end(self, session: Session) -> None:
        """Remove everything of a session."""
        with self._lock:
            session.ended.set()
            for page in [page for page, other in self._sessions.items() if other is session]:
                del self._sessions[page]
                self._quiet_since.pop(page, None)
            taken = [root for root, owner in self._claims.items() if owner is session]
            for root in taken:
                self._uploads.pop(root, None)
                del self._claims[root]
        self._remove([session.folder, *taken])

    def end_all_of(self, visitor: str) -> None:
        """Remove everything of a visitor."""
        with self._lock:
            sessions = [session for session in self._sessions.values() if session.visitor == visitor]
            roots = [root for root, (owner, _) in self._uploads.items() if owner == visitor]
        for session in sessions:
            self.end(session)
        for root in roots:
            self.drop_upload(root)

    # ---- uploads

    def new_upload(self, visitor: str) -> Path:
        """A folder of its own for one upload of a visitor."""
        root = self.uploads / secrets.token_urlsafe(18)
        with self._lock:  # known before it is there: what is not known is swept away
            self._uploads[root] = (visitor, time.monotonic())
        root.mkdir(mode=0o700)
        return root

    def drop_upload(self, root: Path) -> None:
        """Remove an upload that failed."""
        with self._lock:
            self._uploads.pop(root, None)
        self._remove([root])

    def upload_root(self, path: str | Path) -> Path | None:
        """The folder of the upload that a file belongs to; None where it is no upload."""
        if "\0" in str(path):
            return None  # no file has such a name, and asking for one fails
        path = Path(os.path.realpath(path))
        if not path.is_relative_to(self.uploads) or path == self.uploads:
            return None
        return self.uploads / path.relative_to(self.uploads).parts[0]

    def claim(self, root: Path, session: Session) -> None:
        """Note that an upload is a session's."""
        with self._lock:
            session._alive()  # under the lock: once it has ended, nothing would remove the upload
            owner = self._uploads.get(root)
            if owner is None or owner[0] != session.visitor:
                raise SessionError("this upload is not there any more; choose the recording again")
            if self._claims.setdefault(root, session) is not session:
                raise SessionError("this upload belongs to another page; choose the recording again")

    def readable(self, visitor: str, path: str) -> Path | None:
        """The upload at ``path`` if it is this visitor's."""
        root = self.upload_root(path)
        with self._lock:
            owner = self._uploads.get(root) if root is not None else None
        if owner is None or owner[0] != visitor:
            return None
        real = Path(os.path.realpath(path))
        return real if real.is_file() else None

    # ---- the end

    def sweep(self) -> None:
        """End the sessions of pages that have gone, and remove uploads that no page took."""
        now = time.monotonic()
        folders = list(self.folder.glob("sessions/*"))
        with self._lock:
            owned = {session.folder for session in self._sessions.values()}
            gone = [page for page, since in self._quiet_since.items() if now - since > self.grace_s]
            sessions = [self._sessions[page] for page in gone if page in self._sessions]
            for page in gone:
                self._quiet_since.pop(page, None)
            present = {session.visitor for session in self._sessions.values()}
            stale = [
                root
                for root, (visitor, since) in self._uploads.items()
                if root not in self._claims
                and now - since > (UNTAKEN_S if visitor in present else max(self.grace_s, 1.0))
            ]
            for root in stale:
                del self._uploads[root]
            doomed, self._doomed = self._doomed, []
            idle = not self._sessions and not self._uploads
        for session in sessions:
            self.end(session)
        # work that was at its last step when its page went has made its folder anew
        self._remove([*doomed, *stale, *(folder for folder in folders if folder not in owned)])
        if idle:  # whatever Gradio has copied for itself
            self._remove([place for place in self.uploads.iterdir() if place not in self._uploads])

    def names(self) -> set[str]:
        """The names of all recordings that are here, for keeping them out of the log."""
        with self._lock:
            uploads, sessions = list(self._uploads), list(self._sessions.values())
        # os.walk, for one may be removed meanwhile
        names = {name for root in uploads for _, _, files in os.walk(root) for name in files}
        return names.union(*(session.names() for session in sessions))

    def close(self) -> None:
        """Remove everything of this run."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            self.end(session)
        for _ in range(20):  # a thread may be writing still
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
            time.sleep(0.1)
        self._owner.close()
        _lock_of(self.folder).unlink(missing_ok=True)

    def _remove(self, places: list[Path]) -> None:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
        again = [place for place in places if place.exists()]
        if again:
            with self._lock:
                self._doomed += again


def home() -> Path:
    """The folder under which every run of this person's demo has its own."""
    try:
        person = str(os.getuid())
    except AttributeError:  # Windows, where the temporary folder is the person's own
        person = getpass.getuser()
    return Path(os.path.realpath(tempfile.gettempdir())) / f"painsense-demo-{person}"


def _own_run_folder() -> tuple[Path, IO[bytes]]:
    """A fresh folder and the lock that says it is in use; what dead runs left is removed first."""
    place = home()
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        mine = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
        if place.is_symlink() or not place.is_dir() or not mine:
            raise OutputError(
                f"{place}: expected a folder that is yours alone, and it is not; remove it, or name another "
                "temporary folder with TMPDIR"
            )
        with _locked(place / "start.lock", wait=True):  # so that nobody takes a run that just starts for a dead one
            _remove_dead(place)
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=place))
            owner = _try_lock(_lock_of(folder), wait=False)
            assert owner is not None
            return folder, owner
    except OSError as error:
        raise OutputError(
            f"{place}: no place for recordings ({error.strerror}); name another temporary folder with TMPDIR"
        ) from error


def _remove_dead(place: Path) -> None:
    for folder in place.glob("run-*"):
        if folder.suffix == ".lock":
            continue
        lock = _try_lock(_lock_of(folder), wait=False)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()
            if not folder.exists():
                _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    file = _try_lock(path, wait=wait)
    try:
        yield
    finally:
        if file is not None:
            file.close()


def _try_lock(path: Path, *, wait: bool) -> IO[bytes] | None:
    """An open file whose lock is ours until it is closed or this process ends; None when another holds it."""
    file = path.open("ab")
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        file.close()
        return None
    return file
