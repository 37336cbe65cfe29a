"""The three texts on which every case is measured, each with the number of windows of 1024 tokens."""
import json
from dataclasses import dataclass
from pathlib import Path

LENGTH = 1024
CHAT = Path(__file__).resolve().parent.parent / "data" / "chat.txt"
CODE = ("shutil.py", "zipfile.py")


@dataclass(frozen=True)
class Text:
    name: str
    text: str
    windows: int


def conversations(path=CHAT):
    """Lists of {"role", "content"}; "=== TOPIC" begins a conversation, "--- ROLE" a turn."""
    out = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("=== "):
            out.append([])
        elif line.startswith("--- "):
            out[-1].append({"role": line[4:], "content": ""})
        elif out and out[-1]:
            out[-1][-1]["content"] += line + "\n"
    return [[{"role": turn["role"], "content": turn["content"].strip()} for turn in turns] for turns in out]


def load(data, code, tokenizer):
    """`data`: the folder of wikitext-2; `code`: a folder with the standard library's files."""
    chat = "".join(tokenizer.apply_chat_template(turns, tokenize=False) for turns in conversations())
    return (
        Text("eval", (data / "eval.txt").read_text(encoding="utf-8"), 12),
        Text("code", "".join((code / name).read_text(encoding="utf-8") for name in CODE), 6),
        Text("chat", chat, 6),
    )


def sources(data, code):
    """The files whose bytes decide what is measured."""
    return [data / "eval.txt", *(code / name for name in CODE), CHAT]


if __name__ == "__main__":
    print(json.dumps(conversations(), indent=1))
