#!/usr/bin/python3
"""The wheel: its list of files is right, its tag is what its symbols need, and in an environment of
each Python that the machine has it installs, passes pip check and runs README's ten lines.

wheel_test.py DIST_FOLDER README

Without network. auditwheel, which checks the tag, and the wheels of numpy that environments install
beside it are those of tools/install_python_tools.sh. Without them the one is skipped, and environments
see the numpy of the machine.
"""

import base64
import csv
import email
import glob
import hashlib
import os
import pwd
import re
import subprocess
import sys
import zipfile
from typing import List, Optional

LARGEST = 12e6  # bytes
DIST, README = (os.path.abspath(path) for path in sys.argv[1:3])
TEMPORARY = os.environ["TEST_TMPDIR"]
TOOLS = os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".cache/flashcp/python-tools")
WHEELS = os.path.join(TOOLS, "wheels") if os.path.exists(os.path.join(TOOLS, "complete")) else ""
DEBIAN_PIP = glob.glob("/usr/share/python-wheels/pip-*.whl")
PLAIN = {"PATH": "/usr/bin:/bin", "HOME": TEMPORARY, "LC_ALL": "C.UTF-8", "PIP_NO_INPUT": "1"}


def run(*command: str) -> str:
    """Returns what a command prints; says all of it if it fails."""
    result = subprocess.run(command, env=PLAIN, cwd=TEMPORARY, text=True, capture_output=True)
    assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def check_contents(path: str) -> None:
    """Compares the wheel with its RECORD and its name."""
    name, version, *tag = os.path.basename(path)[: -len(".whl")].split("-")
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path) as wheel:
        assert wheel.testzip() is None
        names = wheel.namelist()
        assert len(names) == len(set(names))
        record = list(csv.reader(wheel.read(f"{info}/RECORD").decode().splitlines()))
        assert sorted(row[0] for row in record) == sorted(names)
        for file, digest, size in record:
            if file == f"{info}/RECORD":
                continue
            data = wheel.read(file)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            assert digest == f"sha256={expected.decode()}" and int(size) == len(data), file
        about = email.message_from_string(wheel.read(f"{info}/WHEEL").decode())
        assert about["Tag"] == "-".join(tag), about["Tag"]
        metadata = email.message_from_string(wheel.read(f"{info}/METADATA").decode())
        assert (metadata["Name"], metadata["Version"]) == (name, version)
        for licence in metadata.get_all("License-File"):
            assert f"{info}/licenses/{licence}" in names, licence
        for file in ("__init__.py", "py.typed", "torch/__init__.py", "lib/libflashcp.so"):
            assert f"flashcp/{file}" in names, file
    assert re.fullmatch(r"py3-none-manylinux_2_(\d+)_x86_64", "-".join(tag)), tag
    assert int(tag[2].split("_")[2]) <= 34, f"{tag}: Ubuntu 22.04 and RHEL 9 have glibc 2.35, 2.34"
    assert os.path.getsize(path) < LARGEST, f"{os.path.getsize(path)} bytes"


def check_by_auditwheel(path: str) -> None:
    """Asks auditwheel, if it is there, which tag the symbols of the wheel need."""
    program = os.path.join(TOOLS, "bin/auditwheel")
    if not os.access(program, os.X_OK):
        print(f"auditwheel: SKIPPED, no {program}: tools/install_python_tools.sh")
        return
    tag = path[: -len(".whl")].split("-")[-1]
    shown = " ".join(run(program, "show", path).split())
    assert f'following platform tag: "{tag}"' in shown, shown
    print(f"auditwheel: {tag}")


def pythons() -> List[str]:
    """Returns the machine's Pythons that the package supports: of the system, and of pyenv."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    found = ["/usr/bin/python3"]
    for minor in (9, 11, 13):
        found += [f"/usr/local/bin/python3.{minor}"]
        found += glob.glob(f"{home}/.pyenv/versions/3.{minor}.*/bin/python3.{minor}")
    return [path for path in found if os.access(path, os.X_OK)]


def pip_of(python: str) -> Optional[List[str]]:
    """Returns the command that is pip: that of `python`, or Debian's for its environments."""
    for module in ([python, "-m", "pip"], *([python, w + "/pip"] for w in DEBIAN_PIP)):
        if subprocess.run([*module, "--version"], env=PLAIN, capture_output=True).returncode == 0:
            return module
    return None


def has_numpy(python: str) -> bool:
    return subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode == 0


def readme_lines() -> str:
    """Returns the Python code of README's section "Install"."""
    with open(README, encoding="utf-8") as file:
        section = re.search(r"^## Install\n(.*?)^## ", file.read(), re.M | re.S)
    assert section, "README has no section Install"
    code = re.search(r"^```python\n(.*?)^```", section[1], re.M | re.S)
    assert code, "README shows no Python lines in its section Install"
    return code[1]


class Environment:
    """A new environment of one Python. pip stays outside: to put it in costs seconds."""

    def __init__(self, python: str, pip: List[str]) -> None:
        folder = os.path.join(TEMPORARY, "env" + python.replace("/", "-"))
        # numpy of the machine, if no other is at hand.
        options = [] if WHEELS else ["--system-site-packages"]
        run(python, "-m", "venv", "--without-pip", *options, folder)
        self.folder = folder
        self.python = os.path.join(folder, "bin/python")
        self._pip = [*pip, "--python", self.python]

    def install(self, wheel: str, dependencies: bool) -> None:
        options = ["--find-links", WHEELS] if WHEELS else []
        options += [] if dependencies else ["--no-deps"]
        run(*self._pip, "install", "-q", "--no-index", *options, wheel)

    def check_dependencies(self) -> None:
        """Asks pip whether flashcp has what it depends on; packages of the machine may not."""
        command = [*self._pip, "check"]
        result = subprocess.run(command, env=PLAIN, text=True, capture_output=True)
        said = result.stdout + result.stderr
        assert said and "flashcp" not in said, said

    def uninstall(self) -> None:
        run(*self._pip, "uninstall", "-q", "-y", "flashcp")
        left = glob.glob(os.path.join(self.folder, "lib/python3*/site-packages/flashcp*"))
        assert not left, f"pip uninstall leaves {left}"


def check_in(python: str, wheel: str) -> bool:
    """Installs and runs the wheel in a clean environment; returns whether all of it ran."""
    pip = pip_of(python)
    if pip is None:
        print(f"{python}: skipped, it has no pip")
        return False
    environment = Environment(python, pip)
    own = environment.python
    numpy = bool(WHEELS) or has_numpy(own)
    environment.install(wheel, dependencies=numpy)
    version = os.path.basename(wheel).split("-")[1]
    program = os.path.join(environment.folder, "bin/flashcp")
    assert run(program, "--version").startswith(f"flashcp {version} ")
    assert run(own, "-m", "flashcp", "--version").startswith(f"flashcp {version} ")
    assert run(own, "-c", "import flashcp; print(flashcp.__version__)").strip() == version
    if numpy:
        environment.check_dependencies()
        print(f"{python}: {run(own, '-c', readme_lines()).strip()}")
    else:
        print(
            f"{python}: installs and starts; its lines SKIPPED: no numpy (tools/install_python_tools.sh)"
        )
    environment.uninstall()
    return numpy


def main() -> None:
    (wheel,) = glob.glob(os.path.join(DIST, "flashcp-*-py3-none-*.whl"))
    check_contents(wheel)
    check_by_auditwheel(wheel)
    ran = [check_in(python, wheel) for python in pythons()]
    assert any(ran), "no Python with pip and numpy: tools/install_dependencies.sh"


if __name__ == "__main__":
    main()
