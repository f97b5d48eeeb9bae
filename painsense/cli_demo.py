"""``painsense demo``: the local web app from the command line."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import click

from painsense.cli_shared import face_model_option, fusion_model_option, provider_option, see_face_networks


@click.command(short_help="Open painsense in a browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0 takes a free one.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Where to listen. Any other than this machine alone needs a password; 0.0.0.0 is everywhere.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name under which others reach this machine, beside its own; may be given more than once.",
)
@click.option("--no-browser", is_flag=True, help="Open no window.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What --hash-password made [default: PAINSENSE_DEMO_PASSWORD_HASH].",
)
@click.option("--hash-password", is_flag=True, help="Ask for a password, print what --password-file takes, and stop.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="A certificate (PEM), for https.")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The certificate's key (PEM).")
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0, min_open=True),
    default=2000.0,
    show_default=True,
    metavar="N",
    help="The largest file that is taken.",
)
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="N",
    help="The longest recording that is taken.",
)
@face_model_option
@fusion_model_option
@provider_option
def demo(
    port: int,
    host: str,
    names: tuple[str, ...],
    no_browser: bool,
    password_file: Path | None,
    hash_password: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    max_mb: float,
    max_minutes: float,
    face_model: Path | None,
    **settings: Any,
) -> int:
    """Open painsense in a browser: recordings, live camera, comparisons. Stop it with Ctrl-C.

    It needs the extra `demo`: pip install 'painsense[demo]'. Only this machine can reach it, unless --host says
    otherwise. Nothing is sent anywhere, and no recording is kept.
    """
    if hash_password:
        from painsense.demo.security import Password

        if sys.stdin.isatty():
            text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            text = sys.stdin.readline().rstrip("\r\n")
        click.echo(Password.of(text).line())
        return 0
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together: name both")
    if missing := [name for name in ("gradio", "reportlab", "websockets") if not importlib.util.find_spec(name)]:
        raise click.UsageError(f"the demo needs {', '.join(missing)}: pip install 'painsense[demo]'")
    from painsense.demo import Limits, server
    from painsense.demo.security import read_password
    from painsense.pipeline import Settings

    see_face_networks(face_model, "litert")
    server.run(
        Settings(face_model=face_model, **settings),
        Limits(max_bytes=round(max_mb * 1e6), max_minutes=max_minutes),
        server.Address(
            host=host,
            port=port,
            names=names,
            password=read_password(password_file),
            tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
        ),
        browser=not no_browser,
        say=lambda line: click.echo(line, err=line.startswith("warning")),
    )
    return 0
