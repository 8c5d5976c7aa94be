"""A service with a steady heap, which begins to keep its sessions when it is told to: slowly, until it is killed."""
import sys
import threading
import time

import talk


class Sessions:
    def __init__(self):
        self.by_number = {}

    def remember(self, number):
        self.by_number[number] = [f"{number}:{field}" * 4 for field in range(1500)]


SESSIONS = Sessions()
CATALOGUE = [bytes(1000) for _ in range(20000)]


def serve(leaking):
    number = 0
    while True:
        work = [str(i) for i in range(2000)]
        work.clear()
        if leaking.is_set():
            number += 1
            SESSIONS.remember(number)
        time.sleep(0.04)


LEAKING = threading.Event()
threading.Thread(target=serve, args=(LEAKING,), daemon=True).start()
talk.say("ready")
for line in sys.stdin:
    LEAKING.set()
    talk.say("leaking")
