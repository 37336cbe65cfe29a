"""Results by case, each in a JSON file with the digests of what it was made and measured with."""
import hashlib
import importlib.metadata
import json
from pathlib import Path

from . import ours, texts

HERE = Path(__file__).resolve().parent
# What the peers' results depend on besides the programs.
PACKAGES = {"autoround": ("auto-round", "torch", "transformers"), "llama": ("gguf", "transformers")}


def _hash(parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part.read_bytes() if isinstance(part, Path) else str(part).encode()).digest())
    return digest.hexdigest()


def _model_files(model):
    return [model] if model.is_file() else sorted(path for path in model.iterdir() if path.is_file())


def _scripts(*names):
    return [HERE / name for name in names]


def made_by(case, args):
    """The digest of what makes a case; None where its program was not given."""
    data = args.reference / "wikitext-2"
    parts = [json.dumps(case.settings, sort_keys=True), case.calibration, case.samples, *_model_files(args.model)]
    if case.calibration.endswith(".txt"):
        parts.append(data / case.calibration)
    if case.kind == "ours":
        return _hash(parts + [Path(path) for path in ours.programs(args.tool)]) if args.tool else None
    if case.kind == "autoround":
        return _hash(parts + [_versions(case.kind), *_scripts("auto_round_quantize.py", "samples.py")]) if _has("auto-round") else None
    if case.kind == "llama":
        programs = sorted(path for path in args.llama.iterdir() if "quantize" in path.name or ".so" in path.name) if args.llama else []
        given = args.llama and args.gguf and _has("gguf")
        return _hash(parts + [args.gguf, _versions(case.kind), *programs, *_scripts("samples.py")]) if given else None
    return _hash(parts)


def _has(package):
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def _versions(kind):
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES[kind])


def measured_by(args):
    return _hash([*_model_files(args.model), *texts.sources(args.reference / "wikitext-2", args.code), args.reference / "reference_ppl.py",
                  *_scripts("measure.py", "texts.py")])


class Results:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, case):
        path = self.folder / f"{case.name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def write(self, case, result):
        """Replaces the file at once, so that an interrupted run leaves the old one."""
        path = self.folder / f"{case.name}.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
