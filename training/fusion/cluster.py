"""A Dask cluster by its address, for work that is spread over machines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor

from training.errors import TrainingError


@contextlib.contextmanager
def executor(address: str) -> Iterator[Executor]:
    """The workers of the Dask scheduler at ``address``; TrainingError without Dask or without a scheduler there."""
    try:
        import distributed
    except ImportError as error:
        raise TrainingError(
            "--cluster: Dask was expected, and it is not installed; pip install 'painsense[cluster]', or use --workers"
        ) from error
    try:
        client = distributed.Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"--cluster: a Dask scheduler was expected at {address}, and none answers ({error}); start one with "
            "`dask scheduler`, or use --workers"
        ) from error
    with client:
        yield client.get_executor(pure=False)
