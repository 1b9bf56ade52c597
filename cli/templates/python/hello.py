async def hello(ctx, name="world"):
    """Called as hello(ctx, *args): the arguments are the call's JSON array or object, or the query of a GET.

    What is returned is the answer; what is raised becomes an error.
    """
    ctx.log.info("greeting %s", name)
    return {"greeting": f"Hello, {name}!", "request": ctx.request_id}
