"""Grows steadily, and meets its end or becomes something else on command.

    exit N · kill N (a signal, to itself) · abort · exec-python · exec-sleep · fork-and-exit
"""
import os
import sys
import threading

import talk

KEPT = []
GROWN = threading.Event()


def grow_steadily():
    while True:
        for _ in range(40):
            KEPT.append(bytearray(50000))  # grows
        GROWN.set()
        threading.Event().wait(0.02)


def main():
    threading.Thread(target=grow_steadily, daemon=True).start()
    GROWN.wait()
    talk.say("ready", pid=os.getpid(), again="--again" in sys.argv)
    while True:
        words = talk.hear().split()
        if words[0] == "ping":
            GROWN.clear()
            GROWN.wait()  # it grows still
            talk.say("ping", kept=len(KEPT))
        elif words[0] == "exit":
            os._exit(int(words[1]))
        elif words[0] == "kill":
            os.kill(os.getpid(), int(words[1]))
        elif words[0] == "abort":
            os.abort()
        elif words[0] == "exec-python":
            os.execv(sys.executable, [sys.executable, "-u", os.path.abspath(__file__), "--again"])
        elif words[0] == "exec-sleep":
            os.execv("/bin/sleep", ["sleep", "1000"])
        elif words[0] == "fork-and-exit":
            if os.fork():
                os._exit(0)
            talk.say("fork-and-exit", pid=os.getpid())


if __name__ == "__main__":
    main()
