"""How the sandbox's partners drop files over SFTP: under a temporary name, renamed when complete."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import asyncssh


def drop(url: str, password: str, files: Mapping[str, bytes]) -> None:
    """Upload files, by their path on the server, over one connection. Raises OSError or asyncssh.Error."""
    asyncio.run(_drop(url, password, files))


async def _drop(url: str, password: str, files: Mapping[str, bytes]) -> None:
    parts = urlsplit(url)
    async with (
        asyncssh.connect(
            parts.hostname or "127.0.0.1",
            parts.port or 22,
            username=parts.username,
            password=password,
            known_hosts=None,  # the sandbox's own server, on this machine
            config=None,
            client_keys=None,
            agent_path=None,
        ) as connection,
        connection.start_sftp_client() as client,
    ):
        for path, content in files.items():
            full = f"{parts.path.rstrip('/')}/{path}"
            async with client.open(f"{full}.part", "wb") as file:
                await file.write(content)
            await client.posix_rename(f"{full}.part", full)
