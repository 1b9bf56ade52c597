"""A web socket of a library that we did not write: `goodbye.py PORT`. Says `open`, and at its end with which code it was closed."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def main():
    async with connect(f"ws://127.0.0.1:{sys.argv[1]}/ws", ping_interval=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        print("open", flush=True)
        await socket.wait_closed()
        print(socket.close_code, flush=True)


asyncio.run(main())
