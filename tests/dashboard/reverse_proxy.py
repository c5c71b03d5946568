"""A reverse proxy that passes on what lies below a path, as nginx does with its defaults; for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_END = b"\r\n\r\n"


@contextmanager
def reverse_proxy(port: int, path: str, strays: list[str]) -> Iterator[int]:
    """Serve on a free port what a server on another port has below a path, WebSockets included.

    Args:
        strays: gets the request lines of what lies elsewhere, which is answered by 404.

    Yields:
        The port of the proxy.
    """
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), []

    async def serve() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: _pass_on(reader, writer, port, path, strays), "127.0.0.1"
        )
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run() -> None:
        loop.create_task(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield int(ports[0])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, path: str, strays: list[str]
) -> None:
    """Pass one request on; a connection serves no second one, so that each is looked at."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        lines = (await reader.readuntil(_END)).removesuffix(_END).split(b"\r\n")
        if not lines[0].split(b" ")[1].startswith(path.encode()):
            strays.append(lines[0].decode())
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            upgrade = any(line.lower().startswith(b"upgrade:") for line in lines)
            dropped = (b"host:",) if upgrade else (b"host:", b"connection:")
            kept = [line for line in lines[1:] if not line.lower().startswith(dropped)]
            kept += [b"Host: 127.0.0.1:%d" % port, *([] if upgrade else [b"Connection: close"])]
            behind, ahead = await asyncio.open_connection("127.0.0.1", port)
            ahead.write(b"\r\n".join([lines[0], *kept]) + _END)
            copies = [asyncio.ensure_future(_copy(*pair)) for pair in ((reader, ahead), (behind, writer))]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED if upgrade else asyncio.ALL_COMPLETED)
            ahead.close()
        await writer.drain()
    writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while block := await source.read(65_536):
            target.write(block)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
