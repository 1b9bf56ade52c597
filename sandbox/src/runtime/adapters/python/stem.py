# Started by the interpreter in advance, to become handler.py or app.py when it is known for whom.
import sys

from hatchway_adapter import stem

stem.main()
