"""terminal.py COMMAND...: runs COMMAND with a terminal for its standard error, and prints what the
terminal was sent, a line for each time that a line was begun anew."""
import os
import pty
import subprocess
import sys

terminal, end = pty.openpty()
command = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=end)
os.close(end)
sent = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:  # the other end is closed
        break
    if not part:
        break
    sent += part
for line in sent.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
    print(line.rstrip())
sys.exit(command.wait())
