"""Every error a user can cause, as one tree under :class:`PainsenseError`.

Each message says what was expected, what came, and what to do next.
"""


class PainsenseError(Exception):
    """Base of all errors painsense raises on purpose."""


class MediaError(PainsenseError):
    """A recording cannot be read, or holds nothing that can be analysed."""


class ModelError(PainsenseError):
    """A model file is missing, has the wrong hash, or cannot be run."""


class ProviderError(PainsenseError):
    """The asked-for compute provider (CUDA) does not work on this machine."""


class BaselineError(PainsenseError):
    """A baseline file or rest clip cannot be used."""


class OutputError(PainsenseError):
    """A result file cannot be written."""
