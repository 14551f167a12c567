"""The SFTP server of the sandbox: a user a partner, each shut into a folder of their own."""

import asyncio
import hmac
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncssh

from resources.host import settings
from resources.sandbox.environment import sandbox_environment

FOLDERS = {  # by user
    "warehouse": ("counts", "despatch", "orders", "returns"),
    "wholesale": ("orders", "prices"),
    "parcelhub": ("tracking",),
    "supplier": ("orders",),
}


def root() -> Path:
    """Where the host key and the users' folders are."""
    return settings.state_dir() / "sandbox" / "sftp"


def host_key() -> asyncssh.SSHKey:
    """The server's key, made once: who pinned it must find it again after a restart."""
    path = root() / "host_key"
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        unfinished = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key())
        path.with_suffix(".pub").write_bytes(key.export_public_key())
        unfinished.rename(path)
    return asyncssh.read_private_key(path)


class Server(asyncssh.SSHServer):
    """Lets a user in who knows the password, to SFTP alone."""

    def __init__(self, passwords: dict[str, str]) -> None:
        self.passwords = passwords

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return hmac.compare_digest(self.passwords.get(username, "").encode(), password.encode()) and bool(password)


def folder_of(channel: Any) -> asyncssh.SFTPServer:
    """The user's own folder, as the whole world that they see."""
    return asyncssh.SFTPServer(channel, chroot=bytes(root() / channel.get_extra_info("username")))


async def serve() -> None:
    """Serve until SIGTERM or SIGINT."""
    environment = sandbox_environment()
    passwords = {user: environment[f"{user.upper()}_SFTP_PASSWORD"] for user in FOLDERS}
    for user, folders in FOLDERS.items():
        for folder in folders:
            (root() / user / folder).mkdir(parents=True, exist_ok=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = settings.port("SFTP", 18022)
    try:
        listener = await asyncssh.listen(
            "127.0.0.1",
            port,
            server_host_keys=[host_key()],
            server_factory=lambda: Server(passwords),
            sftp_factory=folder_of,
            allow_scp=False,
            reuse_address=True,  # a port that was just left may be taken again
        )
    except OSError as error:
        sys.exit(f"port {port} cannot be listened on ({error.strerror}); set CONCORD_SFTP_PORT to a free one")
    print(f"SFTP serves {', '.join(FOLDERS)} on 127.0.0.1:{port}", flush=True)
    await stop.wait()
    listener.close()


if __name__ == "__main__":
    asyncio.run(serve())
