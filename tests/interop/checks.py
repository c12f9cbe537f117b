"""What the checks in Python have in common. CPython 2.7 reads it too."""

from __future__ import print_function

import contextlib
import sys
import traceback

# In seconds.
PATIENCE = 15


def expect(found, wanted, what):
    if found != wanted:
        raise AssertionError("%s: expected %s, found %s" % (what, short(wanted), short(found)))


def short(value):
    text = repr(value)
    return text if len(text) <= 300 else "%s... (%d characters)" % (text[:300], len(text))


class Checks(list):
    """Functions with their titles. `@checks("a title")` adds one."""

    def __call__(self, title):
        def add(function):
            self.append((title, function))
            return function

        return add


class Report(object):
    """Prints a line for each check of a client, and at the end the counts."""

    def __init__(self, client, late=()):
        """`late` is what a check raises that has no result in time."""
        self.client, self.late = client, late
        self.passed = self.failed = 0

    @contextlib.contextmanager
    def check(self, title):
        """A check is what is done in here. It passes if it raises nothing."""
        try:
            yield
        except Exception as error:
            self.failed += 1
            print("FAILED %s: %s" % (self.client, title))
            if isinstance(error, AssertionError):
                why = str(error)
            else:
                why = "no result in time" if isinstance(error, self.late) else traceback.format_exc()
            print("\n".join("       " + line for line in why.splitlines()))
        else:
            self.passed += 1
            print("ok     %s: %s" % (self.client, title))
        sys.stdout.flush()

    def end(self):
        """The exit status."""
        print("%s: %d checks passed, %d failed" % (self.client, self.passed, self.failed))
        return 1 if self.failed else 0
