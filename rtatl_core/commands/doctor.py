"""``rtatl doctor``."""

from __future__ import annotations

import argparse
import json

HELP = "what works on this machine, and the remedy for what does not"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="for programs and bug reports")


def run(options: argparse.Namespace) -> int:
    from rtatl_core.machine.doctor import State, as_json, examine, line

    findings = []
    for finding in examine():
        findings.append(finding)
        if not options.json:
            print(line(finding), flush=True)
    if options.json:
        print(json.dumps(as_json(findings), indent=1))
    return 1 if any(finding.state is State.BAD for finding in findings) else 0
