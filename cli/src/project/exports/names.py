"""Says which names Python files define at their top level, by parsing them. Nothing of them is run.

Questions on stdin, [{"path": ..., "name": ...}]; answers on stdout, in the same order.
"""

import ast
import json
import sys


def targets(node):
    """The plain names that an assignment, a loop or a `with` binds."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, (ast.Tuple, ast.List)):
        return [name for element in node.elts for name in targets(element)]
    if isinstance(node, ast.Starred):
        return targets(node.value)
    return []


def bound(statement):
    """The names that one statement binds, and the blocks of statements in it."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name], []
    if isinstance(statement, ast.Import):
        return [alias.asname or alias.name.split(".")[0] for alias in statement.names], []
    if isinstance(statement, ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names], []
    names = [
        node.target.id
        for node in ast.walk(statement)
        if isinstance(node, ast.NamedExpr)
    ]
    if isinstance(statement, ast.Assign):
        names += [name for target in statement.targets for name in targets(target)]
    elif isinstance(statement, (ast.AnnAssign, ast.AugAssign, ast.For, ast.AsyncFor)):
        names += targets(statement.target)
    elif isinstance(statement, (ast.With, ast.AsyncWith)):
        for item in statement.items:
            names += targets(item.optional_vars) if item.optional_vars else []
    blocks = [getattr(statement, field, []) for field in ("body", "orelse", "finalbody")]
    blocks += [part.body for part in getattr(statement, "handlers", [])]
    blocks += [part.body for part in getattr(statement, "cases", [])]
    return names, blocks


def defined(body):
    names = []
    for statement in body:
        own, blocks = bound(statement)
        names += own
        for block in blocks:
            names += defined(block)
    return names


def answer(question):
    try:
        with open(question["path"], "rb") as file:
            tree = ast.parse(file.read(), question["path"])
        names = defined(tree.body)
    except SyntaxError as error:
        return {"broken": {"line": error.lineno, "message": error.msg}}
    except (OSError, ValueError, RecursionError) as error:
        return {"broken": {"line": None, "message": str(error)}}
    # `from x import *`, a module's `__getattr__` and globals() define what only a run would tell.
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    writes_globals = any(isinstance(call, ast.Name) and call.id in ("globals", "exec") for call in calls)
    is_open = "*" in names or "__getattr__" in names or writes_globals
    own = [name for name in dict.fromkeys(names) if not name.startswith("_") or name == question["name"]]
    return {"names": {"names": own, "is_open": is_open}}


json.dump([answer(question) for question in json.load(sys.stdin.buffer)], sys.stdout)
