"""The command `allinone VERB key=value ...`: finds the verb, lets hydra compose its configuration, runs it."""

import contextlib
import functools
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

VERBS = {
    "train": "train a supernet, or continue a run",
    "subnets": "list the members of a supernet and what they cost, before any training",
    "evaluate": "word and character error rate of every member of a trained supernet",
    "score": "error rates of any systems' transcripts, and which differences are significant",
    "report": "write the table of results of an evaluation, with significance",
    "compare": "members of one training beside the same networks trained alone",
    "quantise": "write one member with few bits, without any training",
    "export": "write one member as a stand-alone directory",
    "transcribe": "turn recordings into text with an exported member",
    "texts": "write the normalised transcripts of a corpus, to train an n-gram on",
    "bench step": "what a training step costs, in steps of the largest network alone",
    "bench masks": "what zeros cost in training: deciding on them, masking weights, a step of four dimensions",
    "bench data": "how long a training waits for its data",
    "bench decode": "how many seconds of audio a second become text, by any decoder",
    "bench pretrained": "what it costs to start from a pretrained directory, in seconds and memory",
    "doctor": "whether this machine is fit, and whether a training fits into it",
}
TAKES_FILES = ("transcribe", "score")  # verbs that also take plain paths after --

USAGE = """allinone trains one network that contains a whole family of speech recognisers.

usage: allinone VERB [key=value ...]

{verbs}

allinone VERB --help    arguments, examples and configuration groups of a verb
allinone VERB --cfg job what a verb would run with
allinone VERB -m a=1,2  run it for each value

ALLINONE_TRACEBACK=1 shows where an error came from.
"""

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Runs one verb in this process.

    Args:
        argv: what follows the name of the command; None means this process's own arguments.

    Returns:
        The exit status: 0; 1 for an error, told on standard error; 2 for a wrong command line; 130 when interrupted.
    """
    try:
        return _main(list(sys.argv[1:] if argv is None else argv))
    except BrokenPipeError:  # who reads our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE.format(verbs="\n".join(f"  {verb:<18}{what}" for verb, what in VERBS.items())), flush=True)
        return 0
    verb, overrides = split_verb(arguments)
    if verb not in VERBS:
        return _refuse(f"A verb is one of {', '.join(VERBS)}; found {verb!r}. `allinone --help` says what they do.")
    files: list[str] = []
    if "--" in overrides:
        cut = overrides.index("--")
        overrides, files = overrides[:cut], overrides[cut + 1 :]
        if verb not in TAKES_FILES:
            return _refuse(f"`allinone {verb}` takes only key=value; found {' '.join(files)!r} after --. Leave it out.")
    command = [sys.argv[0], *arguments]
    with _hydra_environment(f"allinone {verb}", overrides):
        return _run(verb, files, command)


def split_verb(arguments: list[str]) -> tuple[str, list[str]]:
    """The verb, which may have two words, and what follows it."""
    words = 2 if " ".join(arguments[:2]) in VERBS else 1
    return " ".join(arguments[:words]), arguments[words:]


def _run(verb: str, files: list[str], command: list[str]) -> int:
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from allinone.cli import choices, errors, processes, run_folder

    run_folder.register()
    name = verb.replace(" ", "_")
    task: Callable[..., None] = importlib.import_module(f"allinone.cli.{name}").run
    if files:
        task = functools.partial(task, files=files)

    def job(config: "DictConfig") -> None:
        with errors.told(verb, in_job=True):
            choices.leave_out(config, HydraConfig.get().runtime.choices)
            errors.refuse_missing(verb, config)
            processes.prepare(command)
            task(config)

    try:
        with errors.told(verb, in_job=False):
            hydra.main(version_base="1.3", config_path="pkg://allinone.conf", config_name=name)(job)()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        logger.error("Interrupted.")
        return 130
    sys.stdout.flush()
    return 0


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


@contextlib.contextmanager
def _hydra_environment(program: str, overrides: list[str]) -> Iterator[None]:
    """What hydra reads from and leaves in the process: its arguments, its way with errors, the logging handlers."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sys.argv = [program, *overrides]
    if full_error is not None:
        os.environ.setdefault("ALLINONE_TRACEBACK", full_error)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come through, to be told by allinone.cli.errors
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers, root.level = handlers, level


if __name__ == "__main__":
    sys.exit(main())
