async def hello(ctx, arguments=None):
    """Called as hello(ctx, *args): a JSON array gives its elements, a JSON object or the query of a GET one dict.

    What is returned is the answer; what is raised becomes an error.
    """
    name = (arguments or {}).get("name", "world")
    ctx.log.info("greeting %s", name)
    return {"greeting": f"Hello, {name}!", "request": ctx.request_id}
