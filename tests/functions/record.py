"""Says that it was called before it does anything else, to somebody on its node's host who outlives the node: whoever runs twice is
found out, also where no answer arrives."""

import socket
import time

BOOK = ("127.0.0.1", 9999)


def record(ctx, order=None):
    order = order or {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as book:
        book.sendto(order["id"].encode(), BOOK)
    print(order["id"])
    time.sleep(int(order.get("ms", "0")) / 1000)
    return {"id": order["id"]}
