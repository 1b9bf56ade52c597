from itertools import count, islice


def primes(ctx, query=None):
    """The next primes from a number on, one a line, each sent as soon as it is found."""
    query = query or {}
    start, wanted = number(query, "from", 2), number(query, "count", 25)
    ctx.log.info("searching", extra={"start": start, "wanted": wanted})
    found = (candidate for candidate in count(max(start, 2)) if is_prime(candidate))
    for prime in islice(found, wanted):
        yield f"{prime}\n"


def number(query, name, default):
    try:
        value = int(query.get(name, default))
    except ValueError:
        raise BadNumber(f"{name} must be a whole number, not {query[name]!r}") from None
    if not 0 <= value <= 10**15:
        raise BadNumber(f"{name} must be between 0 and 10^15")
    return value


def is_prime(candidate):
    if candidate < 4 or candidate % 2 == 0:
        return candidate in (2, 3)
    divisor = 3
    while divisor * divisor <= candidate:
        if candidate % divisor == 0:
            return False
        divisor += 2
    return True


class BadNumber(ValueError):
    status = 422
