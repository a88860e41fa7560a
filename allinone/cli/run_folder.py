"""Where a training writes: a new folder for each run, or the folder of the run that it continues."""

from datetime import datetime
from pathlib import Path

from omegaconf import OmegaConf

RUNS = Path("runs")
FINISHED = "results.json"  # a run writes it last
CHECKPOINTS = "checkpoints"


def run_folder(experiment: str | None, resume: bool | str | None) -> str:
    """The folder of this run.

    Args:
        experiment: name of the experiment; None means that the run follows no experiment file.
        resume: False for a new folder; True for the newest unfinished run of the experiment (a new folder if there
            is none); or the path of the run to continue.

    Raises:
        ValueError: if there is nothing to continue at that path.
    """
    parent = RUNS / (experiment or "train")
    if isinstance(resume, str):
        if not _has_checkpoints(Path(resume)):
            raise ValueError(
                f"resume requires the folder of a run with checkpoints; found none in {resume!r}. "
                "Give the folder that holds `checkpoints`, or resume=true for the newest unfinished run."
            )
        return resume
    unfinished = newest_unfinished(parent) if resume else None
    return str(unfinished or new_folder(parent))


def newest_unfinished(parent: Path) -> Path | None:
    """The newest run below a folder that has checkpoints and no results; None if there is none."""
    folders = [folder.parent for folder in parent.rglob(CHECKPOINTS) if _has_checkpoints(folder.parent)]
    return max((folder for folder in folders if not (folder / FINISHED).exists()), default=None)


def new_folder(parent: Path) -> Path:
    """A folder named by the present time that does not exist yet."""
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    folder, number = parent / name, 1
    while folder.exists():
        number += 1
        folder = parent / f"{name}_{number}"
    return folder


def register() -> None:
    """Makes `${run_folder:experiment,resume}` and `${new_folder:parent}` known to the configuration files."""
    OmegaConf.register_new_resolver("run_folder", run_folder, use_cache=True, replace=True)
    OmegaConf.register_new_resolver(
        "new_folder", lambda parent: str(new_folder(RUNS / parent)), use_cache=True, replace=True
    )


def _has_checkpoints(folder: Path) -> bool:
    return any((folder / CHECKPOINTS).glob("step-*.ckpt"))
