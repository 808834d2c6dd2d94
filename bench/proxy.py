"""A long way: a TCP proxy that delays what passes, each way, and now and then for seconds.

python -m bench.proxy PORT TARGET_PORT
"""

import asyncio
import math
import random
import sys
import time

#: One way's median in seconds, and the spread of its logarithm.
WAY, SIGMA = 0.080, 0.5
#: One request in so many is stalled, for so long.
ONE_IN, STALL = 500, (1.0, 3.0)
CHUNK = 64 * 1024


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stalls: bool
) -> None:
    """Bring bytes over in their order, each chunk after its delay."""
    arrived = 0.0
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def write() -> None:
        while True:
            at, chunk = await queue.get()
            await asyncio.sleep(at - time.monotonic())
            if not chunk:
                writer.close()
                return
            writer.write(chunk)
            await writer.drain()

    writing = asyncio.create_task(write())
    try:
        while True:
            chunk = await reader.read(CHUNK)
            delay = random.lognormvariate(math.log(WAY), SIGMA)
            if stalls and chunk and random.random() < 1 / ONE_IN:
                delay += random.uniform(*STALL)
            arrived = max(arrived, time.monotonic() + delay)
            queue.put_nowait((arrived, chunk))
            if not chunk:
                break
        await writing
    except ConnectionError:
        writing.cancel()
        writer.close()


async def serve(port: int, target: int) -> None:
    """Listen until the process is ended."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(carry(reader, back, stalls=True), carry(there, writer, stalls=False))

    server = await asyncio.start_server(accept, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
