# Started by the interpreter for `handler = "path/file.py:function"`. Small, for a main script is compiled at every start;
# the rest is a package, whose compiled form is kept.
import sys

from hatchway_adapter import handler

handler.main(sys.argv[1], sys.argv[2])
