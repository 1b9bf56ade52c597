"""From the names in the manifest to the object they mean."""

import os
import sys

from .ready import failed


def set_path():
    """Puts the package first on the path, and its `.venv` last; takes the adapters off it.

    The interpreter was started without `site`, so neither its own site-packages nor the user's are there.
    """
    package = os.getcwd()
    sys.path[0] = package
    library = os.path.join(package, ".venv", "lib")
    if not os.path.isdir(library):
        return
    name = "python%d.%d" % sys.version_info[:2]
    packages = os.path.join(library, name, "site-packages")
    if not os.path.isdir(packages):
        found = ", ".join(sorted(os.listdir(library))) or "nothing"
        failed("python_mismatch", "the .venv is for %s, this is %s: make it again with this version" % (found, name))
    import site

    # Reads the .pth files too: some packages are nothing else.
    site.addsitedir(packages)


def load(module_path, attribute, reason):
    """The object `attribute` (which may have dots) of a module, given by name or by file; ends the process without it."""
    try:
        module = _import_file(module_path) if module_path.endswith(".py") else _import_name(module_path)
    except BaseException as error:  # SystemExit too: a module that exits while it is loaded has failed to load
        import traceback

        message = "%s: %s" % (type(error).__name__, error)
        failed("module_failed", message, traceback.format_exc())
    found = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        names = ", ".join(name for name in vars(module) if not name.startswith("_") and callable(vars(module)[name]))
        failed(reason, "%s has no callable %s; it has %s" % (module_path, attribute, names or "none"))
    return found


def _import_name(name):
    import importlib

    return importlib.import_module(name)


def _import_file(path):
    """Imports a file under its own name, with its folder on the path, as `python file.py` has it."""
    from importlib import util

    path = os.path.abspath(path)
    folder, file = os.path.split(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = file[: -len(".py")]
    spec = util.spec_from_file_location(name, path)
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
