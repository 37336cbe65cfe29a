"""Two principals at the real services: what one pushed and loaded, the other can neither load, list, use nor unload."""
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

NOT_FOUND = 3
TOKENS = {"alice": "alice-0123456789", "bob": "bob-0123456789ab"}


class PrincipalsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="gwq-tokens-")
        cls.addClassCleanup(folder.cleanup)
        tokens = Path(folder.name) / "tokens"
        tokens.write_text("".join(f"{token} {principal}\n" for principal, token in TOKENS.items()))
        cls.services = services.Services(["--tokens", tokens], ["--tokens", tokens]).__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        cls.gwq("alice", "models", "push", tiny_model.write_model(cls.services.folder / "tiny"), "--name", "mine")

    @classmethod
    def gwq(cls, principal, *arguments, **keywords):
        return cls.services.gwq(*arguments, env={**os.environ, "GWQ_TOKEN": TOKENS[principal]}, **keywords)

    def test_each_serves_what_it_stored_itself(self):
        self.gwq("alice", "serve", "load", "mine")
        self.assertIn("models/mine", self.gwq("alice", "serve", "list").stdout)
        self.assertNotIn("models/mine", self.gwq("bob", "serve", "list").stdout)
        for command in (["serve", "load"], ["serve", "unload"], ["generate", "--prompt", "abc", "-n", "3"]):
            with self.subTest(command=command):
                there = self.gwq("bob", *command, "mine", check=False)
                nowhere = self.gwq("bob", *command, "none", check=False)
                self.assertEqual(there.returncode, NOT_FOUND)
                self.assertEqual(there.returncode, nowhere.returncode)
                self.assertEqual(there.stderr.replace("mine", "none"), nowhere.stderr)
        self.gwq("alice", "generate", "mine", "--prompt", "abc", "-n", "3")
        self.gwq("alice", "serve", "unload", "mine")
        self.gwq("alice", "models", "delete", "mine")  # refused while a server holds it


if __name__ == "__main__":
    unittest.main()
