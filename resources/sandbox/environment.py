"""The environment of the sandbox merchant: where its systems are, and secrets made at random once."""

import json
import os
import secrets
from pathlib import Path

from resources.host import settings

GENERATED = {  # variable: how long the secret is, in bytes
    "CRM_PASSWORD": 16,
    "SHOPIFY_CLIENT_ID": 16,
    "SHOPIFY_CLIENT_SECRET": 16,
    "SHOPIFY_WEBHOOK_SECRETS": 32,
    "STRIPE_API_KEY": 24,
    "STRIPE_WEBHOOK_SECRETS": 32,
    "TRYTON_PASSWORD": 16,
    "WAREHOUSE_SFTP_PASSWORD": 16,
    "WHOLESALE_SFTP_PASSWORD": 16,
    "PARCELHUB_SFTP_PASSWORD": 16,
    "SUPPLIER_SFTP_PASSWORD": 16,
}
BEGINNINGS = {  # by which a system knows its secrets
    "SHOPIFY_CLIENT_SECRET": "shpss_",
    "STRIPE_API_KEY": "sk_test_",
    "STRIPE_WEBHOOK_SECRETS": "whsec_",
}


def sandbox_environment() -> dict[str, str]:
    """Every variable that the sandbox systems and their connectors need; what is already set in the environment wins."""
    here = {
        "CRM_URL": f"http://127.0.0.1:{settings.port('CRM', 18071)}",
        "CRM_DATABASE": "crm",
        "CRM_USER": "concord",
        "SHOPIFY_URL": f"http://127.0.0.1:{settings.port('SHOPIFY', 18800)}",
        "SHOPIFY_SHOP": "concord-sandbox.myshopify.com",
        "STRIPE_URL": f"http://127.0.0.1:{settings.port('STRIPE', 18420)}",
        "TRYTON_URL": f"http://127.0.0.1:{settings.port('TRYTON', 18069)}",
        "TRYTON_DATABASE": "concord",
        "TRYTON_USER": "concord",
        "WAREHOUSE_SFTP_URL": f"sftp://warehouse@127.0.0.1:{settings.port('SFTP', 18022)}/",
        "WHOLESALE_SFTP_URL": f"sftp://wholesale@127.0.0.1:{settings.port('SFTP', 18022)}/",
        "PARCELHUB_SFTP_URL": f"sftp://parcelhub@127.0.0.1:{settings.port('SFTP', 18022)}/",
        "SUPPLIER_SFTP_URL": f"sftp://supplier@127.0.0.1:{settings.port('SFTP', 18022)}/",
        **_kept_secrets(settings.state_dir() / "sandbox" / "secrets.json"),
    }
    return {variable: os.environ.get(variable) or value for variable, value in here.items()}


def _kept_secrets(path: Path) -> dict[str, str]:
    """The secrets in that file; what is missing there is generated and kept, readable by its owner alone."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {
        name: BEGINNINGS.get(name, "") + secrets.token_hex(size)
        for name, size in GENERATED.items()
        if name not in known
    }
    if not missing:
        return known
    path.parent.mkdir(parents=True, exist_ok=True)
    known |= missing
    unfinished = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(known, file, indent=1)
    if path.exists():  # some of it was there already
        unfinished.replace(path)
        return known
    try:
        os.link(unfinished, path)  # fails when another process was first: then its secrets are the secrets
    except FileExistsError:
        return _kept_secrets(path)
    finally:
        unfinished.unlink()
    return known


if __name__ == "__main__":
    print(json.dumps(sandbox_environment(), indent=1))
