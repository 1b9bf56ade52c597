"""Runs a function inside its sandbox, on the socket that the node scheduler made.

A handler, in the order of a request: server (connections and heads), arguments, context, handler, answer; log beside it,
problem when it raises, asynchronous when it is a coroutine. An application: app, then asgi, wsgi or plain_wsgi. Between
loading and serving, in a zygote: zygote.
Standard library only, Python 3.9 and newer. Imports that not every start needs stand where they are needed: each
millisecond here is part of a cold start.
"""
