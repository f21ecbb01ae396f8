#!/usr/bin/python3
"""Files that are handed out load on Ubuntu 22.04 and RHEL 9: they need glibc 2.34 or older and
libgcc_s, and they export the C API alone."""
import re
import subprocess
import sys

ALLOWED = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"}
NEWEST = {"GLIBC": (2, 34), "GCC": (4, 8)}  # of RHEL 9's libc.so.6; of every manylinux's libgcc_s


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def check(path: str) -> list[str]:
    """Returns what is wrong with the file."""
    errors = []
    dynamic = output("readelf", "-dW", path)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert "libc.so.6" in needed, f"readelf does not say what {path} needs: {dynamic}"
    own = {name for name in needed if re.fullmatch(r"libflashcp\w*\.so", name)}
    if needed - ALLOWED - own:
        errors.append(f"needs {sorted(needed - ALLOWED - own)}, expected at most {sorted(ALLOWED)}")
    if runpath := re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", dynamic):
        if runpath != ["$ORIGIN"]:
            errors.append(f"looks for libraries in {runpath}, expected its own folder at most")
    symbols = output("nm", "-D", "--with-symbol-versions", path).splitlines()
    for line in symbols:
        if match := re.search(r"@([A-Z]+)_([\d.]+)$", line):
            version = tuple(int(part) for part in match[2].split("."))
            if version > NEWEST.get(match[1], ()):
                newest = ".".join(map(str, NEWEST.get(match[1], ("nothing",))))
                errors.append(f"needs {line.split()[-1]}, expected {match[1]} {newest} or older")
    for line in symbols:
        kind, name = line.split()[-2:]
        # Small letters are local; versioned ones are variables of libc, copied into the program.
        if kind in "BDRTVWu" and "@" not in name and not name.startswith("flashcp_"):
            errors.append(f"exports {name}, expected flashcp_* alone")
    return [f"{path}: {error}" for error in errors]


def main() -> int:
    assert len(sys.argv) > 1, "expected files to check"
    errors = [error for path in sys.argv[1:] for error in check(path)]
    print("\n".join(errors[:50] or [f"{len(sys.argv) - 1} files ok"]))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
