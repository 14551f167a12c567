"""The map as pictures: the landscape, and an order's journey from each channel, in files that are kept fresh."""

from pathlib import Path

from pipelines.language.schema import IntegrationMap
from pipelines.operations.pictures.landscape import landscape
from pipelines.operations.pictures.order_journey import channels, swimlane
from pipelines.operations.pictures.svg import MARK
from resources.host.settings import ROOT

FOLDER = ROOT / "pictures"
ORDERS = "orders"  # whose journey is drawn


def draw(told: IntegrationMap) -> dict[str, str]:
    """Every picture as SVG, by the name of its file."""
    pictures = {"landscape.svg": landscape(told)}
    if ORDERS in told.entities:
        for channel in channels(told, told.entities[ORDERS]):
            pictures[f"journey_{channel.system}.svg"] = swimlane(told, ORDERS, channel.system)
    return pictures


def stale(pictures: dict[str, str], folder: Path) -> list[str]:
    """The files that are missing, different, or of a picture that is drawn no longer."""
    differs = [name for name, svg in pictures.items() if _read(folder / name) != svg]
    kept = {path.name for path in folder.glob("*.svg") if MARK in (_read(path) or "")}
    return sorted([*differs, *(kept - pictures.keys())])


def write(pictures: dict[str, str], folder: Path) -> list[str]:
    """Bring the files up to date; which were changed."""
    changed = stale(pictures, folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in pictures:
            (folder / name).write_text(pictures[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
