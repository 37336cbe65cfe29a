"""The gwq program itself against a real gwq-jobs: where its settings come from, what it prints for programs, how it ends."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402

OK, FAILURE, USAGE, NOT_FOUND, INVALID, UNAVAILABLE, JOB_FAILED, JOB_CANCELLED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 7, 130
NOBODY = "127.0.0.1:1"


class GwqTest(unittest.TestCase):
    """A gwq-jobs and a gwq that knows of it only what a test says: no setting comes from who runs the test."""
    jobs_arguments = ()

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="gwq-test-")
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        cls.environment = {name: value for name, value in os.environ.items() if not name.startswith("GWQ_")} | {"HOME": str(cls.folder)}
        cls.jobs = services.Service("gwq-jobs", cls.folder, ["--state", cls.folder / "state", *cls.jobs_arguments]).start()
        cls.addClassCleanup(cls.jobs.stop)

    def gwq(self, *arguments, code=OK, environment=None):
        run = subprocess.run([services.BIN / "gwq", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                             env=self.environment | (environment or {}))
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run


class SettingsTest(GwqTest):
    def setUp(self):
        self.default_file = self.folder / ".config/gwq/config.toml"
        self.default_file.parent.mkdir(parents=True, exist_ok=True)
        self.other_file = self.folder / "other.toml"

    def tearDown(self):
        self.default_file.unlink(missing_ok=True)

    def test_a_flag_wins_over_the_environment_and_that_over_the_file(self):
        self.default_file.write_text(f'jobs = "{NOBODY}"\n')
        self.assertIn(NOBODY, self.gwq("models", "list", code=UNAVAILABLE).stderr)
        self.gwq("models", "list", environment={"GWQ_JOBS": self.jobs.address})
        self.gwq("models", "list", "--jobs", self.jobs.address, environment={"GWQ_JOBS": NOBODY})
        self.default_file.write_text(f'jobs = "{self.jobs.address}"\n')
        self.gwq("models", "list")
        self.gwq("models", "list", environment={"GWQ_JOBS": ""})
        self.assertIn(NOBODY, self.gwq("models", "list", environment={"GWQ_JOBS": NOBODY}, code=UNAVAILABLE).stderr)

    def test_the_environment_names_the_file_and_a_flag_another_one(self):
        self.default_file.write_text(f'jobs = "{NOBODY}"\n')
        self.other_file.write_text(f'jobs = "{self.jobs.address}"\n')
        self.gwq("models", "list", environment={"GWQ_CONFIG": str(self.other_file)})
        self.gwq("--config", self.other_file, "models", "list", environment={"GWQ_CONFIG": str(self.default_file)})

    def test_a_named_file_that_is_missing_is_an_error_and_the_default_one_is_not(self):
        missing = self.folder / "missing.toml"
        self.gwq("models", "list", "--jobs", self.jobs.address)
        for named in (self.gwq("models", "list", environment={"GWQ_CONFIG": str(missing)}, code=USAGE),
                      self.gwq("models", "list", "--config", missing, code=USAGE)):
            self.assertIn(str(missing), named.stderr)
            self.assertIn("GWQ_CONFIG", named.stderr)
        self.assertIn("GWQ_CONFIG", self.gwq("--help", environment={"GWQ_CONFIG": str(missing)}).stdout)

    def test_a_key_that_is_no_setting_is_refused_by_name(self):
        self.other_file.write_text('jbos = "x"\n')
        self.assertIn("jbos", self.gwq("models", "list", "--config", self.other_file, code=USAGE).stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
