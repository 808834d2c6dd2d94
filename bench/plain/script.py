"""No queue at all: one asyncio program that makes the pictures and writes the files.

    python -m bench.plain.script PORT JOBS AT_ONCE FOLDER

Nothing of it survives its death. It prints its seconds and its processor's seconds.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

BOUNDARY = "plain"


def request(number: int) -> bytes:
    """One paid call."""
    body = (
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="prompt"\r\n\r\n'
        f"picture {number}\r\n--{BOUNDARY}--\r\n"
    )
    head = (
        "POST /v2beta/stable-image/generate/core HTTP/1.1\r\nhost: localhost\r\n"
        "authorization: Bearer sk-bench\r\naccept: image/*\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


async def work(port: int, numbers: "asyncio.Queue[int]", folder: Path) -> None:
    """Make picture after picture on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not numbers.empty():
        number = numbers.get_nowait()
        writer.write(request(number))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        (folder / f"{number}.png").write_bytes(await reader.readexactly(length))
    writer.close()


async def main(port: int, jobs: int, at_once: int, folder: Path) -> None:
    """Make all pictures."""
    numbers: asyncio.Queue[int] = asyncio.Queue()
    for number in range(jobs):
        numbers.put_nowait(number)
    await asyncio.gather(*(work(port, numbers, folder) for _ in range(at_once)))


if __name__ == "__main__":
    begun_at, used = time.monotonic(), time.process_time()
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
    told = {"seconds": time.monotonic() - begun_at, "cpu": time.process_time() - used}
    sys.stdout.write(json.dumps(told))
