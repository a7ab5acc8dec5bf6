"""The console script: ``hazardrank VERB …`` does what ``python -m VERB …`` does."""

from __future__ import annotations

import sys
from importlib import import_module

VERBS = {
    "train": "train a model on a region and map its contamination likelihood",
    "score": "map a survey grid with a trained model",
    "prioritize": "draw clearance tasks on likelihood maps and rank them",
    "compare": "compare two training runs on the same held-out cells",
    "explain": "say in plain words why cells score as they do",
    "check": "check a region's layers and records before training",
    "review": "compare last season's ranking with what teams then found",
    "seasons": "play seasons of clearance on simulated districts, by several policies",
    "simulate": "write a simulated district whose true contamination is known",
}


def main() -> None:
    """Run the verb named first on the command line."""
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in ("--version", "-V"):
        print(f"hazardrank {import_module('hazardrank').__version__}")
        return
    if verb in ("--help", "-h"):
        print(_usage())
        return
    if verb not in VERBS:
        print(f"hazardrank: there is no verb '{verb}'.\n\n{_usage()}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"hazardrank {verb}", *sys.argv[2:]]
    import_module(f"hazardrank.commands.{verb}").main()


def _usage() -> str:
    verbs = "\n".join(f"  {verb:<11}{purpose}" for verb, purpose in VERBS.items())
    return (
        "usage: hazardrank VERB [setting=value …]\n\n"
        f"{verbs}\n\n"
        "`hazardrank VERB --help` lists a verb's settings; `python -m VERB` does the same."
    )
