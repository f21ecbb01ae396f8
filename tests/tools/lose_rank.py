"""lose_rank.py SIGNAL TIMEOUT: sends SIGNAL to rank 2 of four in the middle of `flashcp run`.

The run must end with an error, and every other rank must say whom it waited for.
"""
import os
import re
import signal
import subprocess
import sys

PROGRAM = ("echo $$ > pid.$OMPI_COMM_WORLD_RANK; exec flashcp run auto --transport mpi "
           "--iterations 1000000 --timeout " + sys.argv[2])

run = subprocess.Popen(["run_mpi.sh", "4", "sh", "-c", PROGRAM], stderr=subprocess.PIPE, text=True)
text = ""
while "the first of 1000000 iterations" not in text:
    line = run.stderr.readline()
    if not line:
        sys.exit("the run ended before it started: " + text)
    text += line
with open("pid.2") as pid:
    os.kill(int(pid.read()), getattr(signal, sys.argv[1]))
text += run.communicate()[1]
print(text, flush=True)
for rank in (0, 1, 3):
    if not re.search(rf"flashcp: iteration \d+.*rank {rank}\b.*for rank \d", text):
        sys.exit(f"rank {rank} does not say whom it waited for:\n{text}")
if run.returncode == 0:
    sys.exit("the run did not fail")
