"""No story and no law that once held is dropped in silence."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PROMISED = {
    line.partition(":")[0].strip(): line.partition(":")[2].strip()
    for line in (TESTS / "stories_and_laws.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}


def held() -> set[str]:
    """Those that the suite plays today."""
    stories = {f"story {path.stem}" for path in (TESTS / "stories").glob("*.yaml")}
    modules = [path.read_text(encoding="utf-8") for path in TESTS.glob("*.py")]
    return stories | {f"law {name}" for text in modules for name in re.findall(r"^def law_(\w+)", text, re.MULTILINE)}


@pytest.mark.parametrize("kind", ["story", "law"])
def test_whatever_was_promised_is_played_or_says_why_it_is_gone(kind: str) -> None:
    promised = {name for name, reason in PROMISED.items() if name.startswith(kind) and not reason}
    assert len(promised) > 50
    assert sorted(promised - held()) == []


def test_whatever_is_played_says_no_reason_why_it_is_gone() -> None:
    assert sorted({name for name, reason in PROMISED.items() if reason} & held()) == []
