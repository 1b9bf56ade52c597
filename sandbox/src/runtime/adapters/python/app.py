# Started by the interpreter for `app = "module:application"`, as handler.py is for a handler.
import sys

from hatchway_adapter import app

app.main(sys.argv[1], sys.argv[2])
