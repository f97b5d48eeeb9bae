"""pseudonyms: a salted hash for every person, so that what is stored and printed names nobody.

The salt is made once, in the user's configuration folder, and read from there ever after: the same person has the same
pseudonym in every run on this machine and another one everywhere else. Who has the salt and the list of participants
can undo it: keep the file as closely as the data, and never beside them or in a repository.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import sys
from pathlib import Path

from training.errors import TrainingError

_PROJECT = Path(__file__).resolve().parent.parent.parent
_SALT = re.compile(r"^[0-9a-f]{32,}$")


def salt_file() -> Path:
    """Where the salt of this user lies; ``PAINSENSE_SALT_FILE`` names another place."""
    if given := os.environ.get("PAINSENSE_SALT_FILE"):
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "painsense" / "pseudonym-salt"


def local_salt(file: Path | None = None) -> str:
    """The salt in that file (default: :func:`salt_file`), made on first use and readable by this user alone."""
    file = file or salt_file()
    if file.resolve().is_relative_to(_PROJECT):
        raise TrainingError.at(file, "the salt of the pseudonyms must lie outside the checkout", "name another place")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            salt = file.read_text(encoding="ascii").strip()
        else:
            salt = secrets.token_hex(32)
            with os.fdopen(handle, "w", encoding="ascii") as out:
                out.write(salt + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError.at(
            file, f"the salt of the pseudonyms cannot be kept there ({error})", "set PAINSENSE_SALT_FILE"
        ) from error
    if not _SALT.match(salt):
        raise TrainingError.at(
            file,
            "a salt of 32 hexadecimal digits or more was expected",
            "restore it, or remove it and prepare every data set anew",
        )
    return salt


def pseudonym(salt: str, family: str, person: str) -> str:
    """Pseudonym of a person of a data set. ``family`` is shared by the parts of one data set: BioVid A and B."""
    return f"{family}-{_hash(salt, 'subject', family, person)[:12]}"


def clip_id(salt: str, family: str, person: str, clip: str) -> str:
    """Id of one recording of that person."""
    return f"{pseudonym(salt, family, person)}-{_hash(salt, 'clip', family, person, clip)[:10]}"


def _hash(salt: str, *words: str) -> str:
    return hmac.new(salt.encode(), "\0".join(words).encode(), hashlib.sha256).hexdigest()
