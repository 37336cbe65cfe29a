"""What starts the services for the tests leaves no process and no folder behind, also where one of the two does not start."""
import os
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import services

# Programs in the services' place: one that tells a port and waits for its end, one that fails.
STARTS = """#!/bin/sh
while [ "$1" != --port-file ]; do shift; done
echo 127.0.0.1:1 >"$2.new"
mv "$2.new" "$2"
exec tail -f /dev/null
"""
FAILS = """#!/bin/sh
echo no such flag >&2
exit 2
"""
HANGS = """#!/bin/sh
exec tail -f /dev/null
"""


class ServicesTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="gwq-test-")
        self.addCleanup(temporary.cleanup)
        self.programs = Path(temporary.name)
        self.started = []
        start = subprocess.Popen

        def remembered(*arguments, **keywords):
            self.started.append(start(*arguments, **keywords))
            return self.started[-1]

        for patch in (mock.patch.object(services, "BIN", self.programs), mock.patch.object(subprocess, "Popen", remembered)):
            patch.start()
            self.addCleanup(patch.stop)
        self.addCleanup(lambda: [process.kill() for process in self.started if process.poll() is None])

    def program(self, name, text):
        path = self.programs / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def assert_nothing_is_left(self, folder):
        self.assertEqual([process.poll() is None for process in self.started], [False] * len(self.started))
        self.assertFalse(os.path.exists(folder))

    def test_both_are_ended(self):
        self.program("gwq-jobs", STARTS)
        self.program("gwq-infer", STARTS)
        with services.Services() as both:
            self.assertEqual([process.poll() for process in self.started], [None, None])
        self.assert_nothing_is_left(both.folder)

    def test_gwq_jobs_is_ended_where_gwq_infer_does_not_start(self):
        self.program("gwq-jobs", STARTS)
        self.program("gwq-infer", FAILS)
        both = services.Services()
        with self.assertRaisesRegex(RuntimeError, "gwq-infer did not start:\nno such flag"):
            both.__enter__()
        self.assertEqual(len(self.started), 2)
        self.assert_nothing_is_left(both.folder)

    def test_so_it_is_where_there_is_no_gwq_infer(self):
        self.program("gwq-jobs", STARTS)
        both = services.Services()
        with self.assertRaises(FileNotFoundError):
            both.__enter__()
        self.assert_nothing_is_left(both.folder)

    def test_a_service_that_tells_no_port_is_ended(self):
        self.program("gwq-jobs", HANGS)
        both = services.Services()
        with mock.patch.object(services, "START_SECONDS", 0), self.assertRaisesRegex(RuntimeError, "gwq-jobs did not start"):
            both.__enter__()
        self.assert_nothing_is_left(both.folder)


if __name__ == "__main__":
    unittest.main(verbosity=2)
