"""interrupt.py SIGNAL FILE COMMAND...: sends SIGNAL to COMMAND once it shows a round of its work.

COMMAND has a terminal for its standard error. The signal must end it, and leave nothing called FILE
or FILE.* behind.
"""
import glob
import os
import pty
import signal
import subprocess
import sys

number, path = getattr(signal, sys.argv[1]), sys.argv[2]
signal.signal(number, signal.SIG_DFL)  # in the background it may be ignored, in COMMAND too
terminal, end = pty.openpty()
command = subprocess.Popen(sys.argv[3:], stderr=end)
os.close(end)
text = ""
while "round 1 of 10" not in text:
    try:
        text += os.read(terminal, 4096).decode()
    except OSError:  # the other end is closed
        sys.exit("no round was shown: " + text)
command.send_signal(number)
if command.wait() != -number:
    sys.exit(f"ended with {command.returncode}")
if left := glob.glob(path + "*"):
    sys.exit(f"left {left}")
