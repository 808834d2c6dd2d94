"""An API without limits: every POST is answered after a while with the same picture.

python -m bench.upstream PORT [SECONDS [SIDE]]
"""

import asyncio
import io
import sys
from functools import partial
from random import Random

from PIL import Image

SECONDS = 0.020
#: Noise does not compress, so the sides give the size: some 100 KB.
SIDE = 184


def picture(side: int) -> bytes:
    """The picture, the same in every run."""
    noise = Random(1).randbytes(side * side * 3)
    target = io.BytesIO()
    Image.frombytes("RGB", (side, side), noise).save(target, "PNG")
    return target.getvalue()


def reply_of(side: int) -> bytes:
    """The whole answer."""
    body = picture(side)
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\nfinish-reason: SUCCESS\r\nseed: 7\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, seconds: float, reply: bytes
) -> None:
    """Serve one connection until it is closed."""
    try:
        while True:
            if await read_request(reader) == b"post":
                await asyncio.sleep(seconds)
            writer.write(reply)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Take in one request, whichever way its length is told; its verb, in lower case."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        while await reader.readuntil(b"\r\n") != b"0\r\n":
            await reader.readuntil(b"\r\n")
        await reader.readuntil(b"\r\n")
        return head.split(b" ", 1)[0]
    _, found, rest = head.partition(b"content-length:")
    if found:
        await reader.readexactly(int(rest.partition(b"\r\n")[0]))
    return head.split(b" ", 1)[0]


async def serve(port: int, seconds: float, side: int) -> None:
    """Listen until the process is ended."""
    # Made once, for the upstream must cost as little as it can.
    serving = partial(answer, seconds=seconds, reply=reply_of(side))
    server = await asyncio.start_server(serving, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main(port: str, seconds: str = str(SECONDS), side: str = str(SIDE)) -> None:
    """Read the command line."""
    asyncio.run(serve(int(port), float(seconds), int(side)))


if __name__ == "__main__":
    main(*sys.argv[1:])
