"""The one folder that holds all state: marked as ours, used by one `concord run` at a time, and emptied by none but us."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARKER = "concord-state"  # stands in a folder that was empty, or held nothing but ours, when we took it
OURS = {"cache", "dagster", "dbt", "lake", "logs", "postgres", "run", "sandbox", "spill", "warm.sock", MARKER}


class StateProblem(Exception):
    """The state folder cannot be used or emptied; the text says why, and what to do next."""


def claim(folder: Path) -> None:
    """Make the folder and mark it as ours. Raises StateProblem when it holds what is not ours."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted(path.name for path in folder.iterdir() if path.name not in OURS)
        if strangers and not (folder / MARKER).exists():
            raise StateProblem(
                f"{folder} holds what Concord did not put there ({', '.join(strangers[:3])}); "
                "set CONCORD_STATE to an empty folder"
            )
        (folder / MARKER).write_text("Everything in this folder is Concord's; `concord reset` empties it.\n")
    except OSError as problem:
        raise StateProblem(
            f"The state folder {folder} cannot be written ({problem.strerror}); "
            "correct its owner, or set CONCORD_STATE to a folder of yours"
        ) from problem


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only one who runs Concord on this state; a process that dies lets go. Raises StateProblem."""
    (folder / "run").mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "run" / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(handle, 20, 0).decode() or "?"
            raise StateProblem(
                f"Concord already runs on {folder} (process {who}); use it, or end it with Ctrl-C there or `kill {who}`"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def is_marked(folder: Path) -> bool:
    """Whether the folder is ours to empty."""
    return (folder / MARKER).is_file()


def empty(folder: Path) -> list[str]:
    """Delete everything in the folder; the names of what was there. Raises StateProblem when it is not marked as ours.

    The marker goes last, so that a kill in between leaves a folder that can be emptied again. Links are removed, never
    followed.
    """
    if not is_marked(folder):
        raise StateProblem(
            f"{folder} does not carry Concord's marker ({MARKER}), so nothing in it is deleted; "
            "see whether CONCORD_STATE names the right folder"
        )
    gone = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name == MARKER):
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as problem:
            raise StateProblem(
                f"{path} cannot be deleted ({problem.strerror}); correct its owner, then repeat"
            ) from None
        gone.append(path.name)
    return gone
