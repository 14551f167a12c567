"""Which fixtures the tests share."""

from pathlib import Path

PLUGINS = ["fixtures_postgres", "fixtures_tryton", "fixtures_shopify", "fixtures_sftp", "fixtures_world"]
pytest_plugins = [f"tests.{name}" for name in PLUGINS if (Path(__file__).parent / f"{name}.py").exists()]
