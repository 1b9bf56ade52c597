"""Echoes the messages of web sockets, by a library that we did not write."""

import asyncio
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "lib"))

from websockets.asyncio.server import unix_serve  # noqa: E402


async def echo(socket):
    async for message in socket:
        if message == "bye":
            await socket.close(4001, "as you wish")
            return
        await socket.send(message)


async def main():
    async with unix_serve(echo, os.environ["HATCHWAY_SOCKET"], max_size=None):
        await asyncio.Future()


asyncio.run(main())
