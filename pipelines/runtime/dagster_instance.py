"""Dagster's instance: where it keeps its things, and the variables that its processes need."""

import os
from pathlib import Path

from resources.host import settings


def home() -> Path:
    """Dagster's own folder, below our state; it reads the repository's dagster.yaml through a link."""
    folder = settings.state_dir() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    link, target = folder / "dagster.yaml", settings.ROOT / "dagster.yaml"
    if not (link.is_symlink() and link.readlink() == target):
        unfinished = folder / f"dagster.yaml.{os.getpid()}"
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(target)
        unfinished.replace(link)
    return folder


def environment() -> dict[str, str]:
    """What Dagster's processes need beside what the systems need. What is set already wins."""
    ours = {
        "DAGSTER_HOME": str(home()),
        "CONCORD_DAGSTER_URL": settings.dagster_url(),
        "CONCORD_STATE": str(settings.state_dir()),
    }
    return {variable: os.environ.get(variable) or value for variable, value in ours.items()}
