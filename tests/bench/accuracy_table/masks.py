"""How many of the reference script's outliers GWQ picks as well, over all matrices."""
import json
import subprocess
import sys

from . import cases, ours, process

COMPARED = {"last": "gwq-3", "all": "gwq-all-3"}
LEAST_SHARE = 0.999


def _same(mine, reference):
    from safetensors import safe_open
    a, b = safe_open(str(mine), "pt"), safe_open(str(reference), "pt")
    if set(a.keys()) != set(b.keys()):
        raise SystemExit("the masks are of different matrices")
    total = same = 0
    for name in b.keys():
        ours_, theirs = a.get_tensor(name).bool(), b.get_tensor(name).bool()
        total += int(theirs.sum())
        same += int((ours_ & theirs).sum())
    return same, total


def compare(args):
    """Prints a line for each loss; the lines of those below the least share."""
    missed = []
    for loss, name in COMPARED.items():
        folder = args.work / f"masks-{loss}"
        folder.mkdir(parents=True, exist_ok=True)
        recipe = folder / "recipe.json"
        recipe.write_text(json.dumps(ours.recipe(cases.ALL[name], args.reference / "wikitext-2")), encoding="utf-8")
        process.run([args.tool, folder / "store", args.model, recipe, folder], folder / "log", {"OMP_NUM_THREADS": "2"})
        target = folder / "reference.safetensors"
        subprocess.run([sys.executable, str(args.reference / "reference_gwq.py"), str(args.model), "--bits", "3", "--loss", loss, "--masks",
                        str(target)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        same, total = _same(folder / "masks.safetensors", target)
        line = f"{name}: {same} of the reference's {total} outliers = {same / total:.5%}"
        print("\n" + line)
        if same < LEAST_SHARE * total:
            missed.append(line)
    return missed
