import asyncio
import json
import random

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

QUOTES = [
    "Do not count your chickens before they are hatched.",
    "The early bird catches the worm.",
    "Birds of a feather flock together.",
    "It is an ill bird that fouls its own nest.",
    "You cannot make an omelette without breaking eggs.",
    "A bird in the hand is worth two in the bush.",
]
SECONDS_BETWEEN = 1.0


async def one(request):
    return JSONResponse({"quote": random.choice(QUOTES)})


async def stream(request):
    async def events():
        while True:
            yield f"data: {json.dumps({'quote': random.choice(QUOTES)})}\n\n"
            await asyncio.sleep(SECONDS_BETWEEN)

    return StreamingResponse(events(), media_type="text/event-stream")


app = Starlette(routes=[Route("/", one), Route("/stream", stream)])
