"""What the programs say and do where they cannot start."""
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402

SECONDS = 60


class StartTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="gwq-test-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def run_program(self, name, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("GWQ_", "GRPC_"))}
        return subprocess.run([services.BIN / name, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=SECONDS, env=environment)

    def test_a_worker_refuses_a_blob_folder_that_is_not_there_and_makes_none(self):
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            address = f"127.0.0.1:{nobody.getsockname()[1]}"
            for missing in (self.folder / "nowhere", self.folder):
                run = self.run_program("gwq-worker", "--jobs", address, "--blobs", missing, "--memory", 1 << 30)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertIn(f"blobs: there is no blob store in '{missing}'", run.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_taken_port_is_told_once_and_in_our_words(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            for name, arguments in (("gwq-jobs", ["--state", self.folder / "state", "--no-workers"]),
                                    ("gwq-infer", ["--blobs", self.folder / "blobs"])):
                run = self.run_program(name, "--listen", address, *arguments)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertEqual(run.stderr, f"{name}: listen: cannot bind '{address}'; give a free HOST:PORT, port 0 takes any "
                                             "(set GRPC_VERBOSITY=ERROR to see why)\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
