"""Says on stdout which process it is, and works a little for a minute: what a launched command starts."""
import os
import time

print("begun %d" % os.getpid(), flush=True)
for _ in range(6000):
    time.sleep(0.01)
