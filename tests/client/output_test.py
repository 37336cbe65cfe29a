"""Results that cannot be written: gwq says so and does not end with 0, whatever the command."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import fake_services  # noqa: E402

FAILED, JOB_FAILED = 1, 6
# More than a pipe or a buffer of the C library holds.
LONG = [["generate", "any", "--no-load", "--prompt", "x"],
        ["generate", "any", "--no-load", "--prompt", "x", "--json"],
        ["vqa", "any", "--no-load", "--question", "x"],
        ["jobs", "logs", "any", "--follow"]]


class OutputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = fake_services.FakeServices().__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        cls.temporary = tempfile.TemporaryDirectory(prefix="gwq-test-")
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = Path(cls.temporary.name)

    def batch(self):
        questions = self.folder / "questions.jsonl"
        questions.write_text('{"question": "x"}\n' * 20000)
        return ["vqa", "any", "--no-load", "--batch", questions, "--quiet"]

    def on_full_device(self, *arguments):
        with open("/dev/full", "w") as full:
            return self.services.gwq(*arguments, stdout=full)

    def on_closed_pipe(self, *arguments, **keywords):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            return self.services.gwq(*arguments, stdout=writer, **keywords)
        finally:
            os.close(writer)

    def test_a_full_device_is_named_and_fails_the_command(self):
        for arguments in (["models", "list"], ["--help"], ["models", "push", "--help"], *LONG, self.batch()):
            run = self.on_full_device(*arguments)
            self.assertEqual(run.returncode, FAILED, (arguments, run.stderr))
            self.assertIn("standard output: No space left on device", run.stderr, arguments)

    def test_it_is_said_in_json_where_that_was_asked_for(self):
        run = self.on_full_device("models", "list", "--json")
        self.assertEqual(run.returncode, FAILED)
        self.assertIn("No space left", json.loads(run.stderr)["error"]["message"])

    def test_a_pipe_without_reader_ends_the_command_quietly(self):
        for arguments in (["models", "list"], ["--help"], *LONG, self.batch()):
            run = self.on_closed_pipe(*arguments)
            self.assertEqual((run.returncode, run.stderr), (-signal.SIGPIPE, ""), arguments)

    def test_so_it_does_where_the_caller_ignores_sigpipe(self):
        for arguments in (["models", "list"], ["--help"], *LONG, self.batch()):
            # Python ignores the signal, and the program inherits that.
            run = self.on_closed_pipe(*arguments, restore_signals=False)
            self.assertEqual((run.returncode, run.stderr), (FAILED, ""), arguments)

    def test_a_closed_standard_output_is_no_place_for_results(self):
        command = self.services.command("models", "list")
        run = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True,
                             timeout=fake_services.SECONDS)
        self.assertEqual(run.returncode, FAILED, run.stderr)
        self.assertIn("standard output: Bad file descriptor", run.stderr)

    def test_a_standard_error_that_takes_nothing_changes_no_exit_code(self):
        with open("/dev/full", "w") as full:
            self.assertEqual(self.services.gwq("models", "show", "any", stderr=full).returncode, 3)
            run = self.services.gwq("models", "list", stderr=full)
        self.assertEqual(run.returncode, 0)
        self.assertIn("models/2", run.stdout)

    def test_a_command_that_failed_itself_keeps_its_exit_code(self):
        run = self.on_full_device("jobs", "watch", "any")
        self.assertEqual(run.returncode, JOB_FAILED, run.stderr)
        self.assertIn("jobs/any failed: no luck", run.stderr)
        self.assertIn("No space left", run.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
