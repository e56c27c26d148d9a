#!/usr/bin/env python3
"""What rankpool-journal copies where nothing can be locked: never what was beside an earlier state of the journal.

   JOURNAL=<rankpool-journal> python3 journal_copy.py"""
import errno
import importlib.machinery
import importlib.util
import os
import sys
import tempfile

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("tool", os.environ["JOURNAL"])
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("tool", loader))
loader.exec_module(tool)


def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")


def put(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as folder:
    path = os.path.join(place, "sweep.journal")
    put(path, "half written")
    put(path + "-journal", "how to take it back")
    tool.fcntl.lockf = refuse
    real, looks = tool.state_of, []

    def state_of(looked_at):
        looks.append(looked_at)
        if len(looks) == 2:  # after the first copy the writer is done
            put(path, "all written, and more")
            os.remove(path + "-journal")
        return real(looked_at)

    tool.state_of = state_of
    with open(tool.copy_of(path, folder), encoding="ascii") as copy:
        found = copy.read()
    beside = os.listdir(folder)
if found != "all written, and more" or beside != ["copy"]:
    sys.exit(f"the copy is '{found}', and there are {beside}")
