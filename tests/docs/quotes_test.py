#!/usr/bin/env python3
"""Holds quotes in documents to their files: a fence below <!-- quotes PATH --> is all of PATH.

quotes_test.py DOCUMENT... runs at the root of the repository.
"""

import re
import sys

QUOTE = re.compile(r"<!-- quotes (\S+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> int:
    quotes = 0
    for document in sys.argv[1:]:
        with open(document) as file:
            text = file.read()
        for path, quoted in QUOTE.findall(text):
            quotes += 1
            with open(path) as file:
                if file.read() != quoted:
                    print(f"{document} quotes {path} as it is not: copy the file into the fence")
                    return 1
        if text.count("<!-- quotes ") != len(QUOTE.findall(text)):
            print(f"{document}: a quote has no fence below it")
            return 1
    if quotes == 0:
        print("no quotes found")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
