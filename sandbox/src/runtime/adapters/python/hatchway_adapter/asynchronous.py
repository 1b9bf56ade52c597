"""Coroutines and asynchronous generators: one event loop in a thread of its own, started by the first that needs it."""

import asyncio
import contextvars
import queue
import select
import threading

from .server import CallerLeft

_lock = threading.Lock()
_loop = None


def run(exchange, awaitable):
    """The result of `awaitable`, which is cancelled when the caller leaves."""

    async def watched():
        with _Watch(exchange, asyncio.current_task()):
            return await awaitable

    return _submit(exchange, watched())


def iterate(exchange, items):
    """A generator over an asynchronous one.

    One task runs it from the first item to the last, for what it holds open may be bound to its task. At each item it
    waits until the item has been sent.
    """
    handed = queue.SimpleQueue()
    loop = _running_loop()
    end = object()

    async def produce():
        try:
            with _Watch(exchange, asyncio.current_task()):
                async for item in items:
                    sent = loop.create_future()
                    handed.put((item, sent))
                    await sent
            handed.put((end, None))
        except BaseException as error:
            handed.put((end, error))
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    task = asyncio.run_coroutine_threadsafe(produce(), loop)
    try:
        while True:
            item, note = handed.get()
            if item is not end:
                yield item
                loop.call_soon_threadsafe(_mark, note)
            elif isinstance(note, asyncio.CancelledError):
                raise _why_cancelled(exchange) from None
            elif note is not None:
                raise note
            else:
                return
    finally:
        task.cancel()


def _mark(sent):
    if not sent.done():
        sent.set_result(None)


def _submit(exchange, coroutine):
    from concurrent.futures import CancelledError

    try:
        return asyncio.run_coroutine_threadsafe(coroutine, _running_loop()).result()
    except (CancelledError, asyncio.CancelledError):
        raise _why_cancelled(exchange) from None


def _why_cancelled(exchange):
    return CallerLeft() if exchange.has_left() else RuntimeError("the handler was cancelled, and not by its caller")


def _running_loop():
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            # Without the context of the request that came first, whose lines these would seem to be.
            start = contextvars.Context().run
            threading.Thread(target=start, args=(_loop.run_forever,), daemon=True).start()
        return _loop


class _Watch:
    """Cancels a task when the connection ends. Its caller sends nothing until it is answered, so to be readable is to end."""

    def __init__(self, exchange, task):
        self._exchange = exchange
        self._descriptor = exchange.connection.fileno()
        self._task = task
        self._loop = asyncio.get_running_loop()

    def __enter__(self):
        self._loop.add_reader(self._descriptor, self._look)

    def __exit__(self, *_):
        self._loop.remove_reader(self._descriptor)

    def _look(self):
        self._loop.remove_reader(self._descriptor)
        if self._exchange.has_left():
            self._task.cancel()
