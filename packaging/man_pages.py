"""Manual pages from the help that the program prints: one text, two forms."""

import re
import subprocess
from typing import Dict, List

_SECTIONS = {"Positionals": "ARGUMENTS", "Options": "OPTIONS", "Subcommands": "COMMANDS"}


def _help(program: str, command: List[str]) -> str:
    """Returns the help of a command, without what depends on the machine that builds."""
    text = subprocess.run(
        [program, *command, "--help"], check=True, capture_output=True, text=True
    ).stdout
    return re.sub(r";\s+on\s+this\s+CPU\s+run\s[^;]*?(?=\n  \S|\n\n)", "", text)


def _roff(text: str) -> str:
    """Returns text that groff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in ".'" else text


def _entries(lines: List[str]) -> List[str]:
    """Returns a two-column section as tagged paragraphs."""
    page: List[str] = []
    for line in lines:
        if not re.match(r" {2}\S", line):
            page.append(_roff(line.strip()))
            continue
        name, _, text = line.strip().partition("  ")
        page += [".TP", f".B {_roff(name.replace(' REQUIRED', ''))}"]
        if text:
            page.append(_roff(text.strip()))
    return page


def man_page(version: str, command: str, text: str, see: List[str]) -> str:
    """Returns the page of `command`, "flashcp" or "flashcp compile", from its help."""
    name = command.replace(" ", "-")
    summary, _, rest = text.partition("\n")
    title = f'.TH {_roff(name.upper())} 1 "" "FlashCP {version}" "FlashCP"'
    page = [title, ".SH NAME", f"{_roff(name)} \\- {_roff(summary.rstrip('.'))}"]
    for block in rest.strip().split("\n\n"):
        first, *lines = block.split("\n")
        if usage := re.match(r"Usage: (.*)", first):
            page += [".SH SYNOPSIS", f".B {_roff(usage[1])}"]
        elif first.rstrip(":") in _SECTIONS:
            page += [f".SH {_SECTIONS[first.rstrip(':')]}", *_entries(lines)]
        elif example := re.match(r"Example: (.*)", first):
            page += [".SH EXAMPLE", ".nf", _roff(example[1]), ".fi"]
        elif codes := re.match(r"Exit codes: (.*)", first):
            page += [".SH EXIT STATUS", _roff(codes[1])]
            page += [".SH OUTPUT", *map(_roff, lines)]
        else:
            raise ValueError(f"{command} --help: no rule for the paragraph that begins {first!r}")
    references = ", ".join(f"\\fB{_roff(other)}\\fR(1)" for other in see if other != name)
    return "\n".join(page + [".SH SEE ALSO", references]) + "\n"


def man_pages(version: str, program: str) -> Dict[str, str]:
    """Returns the pages of the program and its commands by their file names."""
    overview = _help(program, [])
    listed = re.search(r"Subcommands:\n((?:  .*\n)+)", overview)
    if not listed:
        raise ValueError(f"{program} --help lists no commands")
    commands = re.findall(r"^  (\S+)", listed[1], re.MULTILINE)
    commands.remove("help")
    texts = {"flashcp": overview} | {f"flashcp {c}": _help(program, [c]) for c in commands}
    see = [command.replace(" ", "-") for command in texts]
    return {
        f"{name.replace(' ', '-')}.1": man_page(version, name, text, see)
        for name, text in texts.items()
    }
