"""How errors are told: the user's mistake as one clean message on standard error, ours as a traceback."""

import contextlib
import copy
import logging
import os
import sys
import traceback
from collections.abc import Iterator

import yaml
from hydra.errors import CompactHydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

USERS_MISTAKES = (ValueError, OSError, yaml.YAMLError, CompactHydraException, OmegaConfBaseException)

logger = logging.getLogger(__name__)


class ShortFormatter(logging.Formatter):
    """Writes the message alone; the traceback stands in the run folder's log, or is asked for by ALLINONE_TRACEBACK."""

    def format(self, record: logging.LogRecord) -> str:
        if not wants_traceback():
            record = copy.copy(record)
            record.exc_info = record.exc_text = None
        return super().format(record)


def wants_traceback() -> bool:
    """Whether the user asked for tracebacks, with ALLINONE_TRACEBACK=1 or HYDRA_FULL_ERROR=1."""
    return os.environ.get("ALLINONE_TRACEBACK", "0") not in ("", "0")


@contextlib.contextmanager
def told(verb: str, *, in_job: bool) -> Iterator[None]:
    """Tells the user's mistakes on standard error and turns them into exit status 1; lets everything else through.

    Args:
        verb: the verb that runs.
        in_job: whether hydra has set up the logging of the job, so that the run folder's log can have the traceback.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except USERS_MISTAKES as error:
        if isinstance(error, InstantiationException) and not isinstance(error.__cause__, (*USERS_MISTAKES, type(None))):
            raise
        if in_job:
            logger.error("%s", _message(error, verb), exc_info=True)
        else:
            print(traceback.format_exc() if wants_traceback() else _message(error, verb), file=sys.stderr)
        raise SystemExit(1) from error


def refuse_missing(verb: str, config: DictConfig) -> None:
    """Raises ValueError if an argument of the verb itself is missing: before any work is done."""
    for key in map(str, config):
        if OmegaConf.is_missing(config, key):
            raise ValueError(_missing(verb, key))


def _missing(verb: str, key: str) -> str:
    return f"`allinone {verb}` requires {key}; found none. Add {key}=... (`allinone {verb} --help` explains it)."


def _message(error: Exception, verb: str) -> str:
    if isinstance(error, MissingMandatoryValue):
        return _missing(verb, str(error.full_key))
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        setting = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        return f"{error.__cause__}" + (f" (setting {setting})" if setting else "")
    if isinstance(error, CompactHydraException) and isinstance(error.__cause__, OmegaConfBaseException):
        return f"{error}\n{error.__cause__}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return str(error)
