"""An asyncio service: a server on a Unix socket with many open connections, a task and a queue each,
timers, a history that grows.

    asyncio_chat.py FOLDER
"""
import asyncio
import collections
import json
import os
import sys

CONNECTIONS = 400
HISTORY = collections.deque(maxlen=50000)
ROOMS = collections.defaultdict(dict)


class Member:
    def __init__(self, name, writer):
        self.name, self.writer, self.inbox = name, writer, asyncio.Queue()
        self.seen = {}


async def deliver(member):
    while True:
        line = await member.inbox.get()
        member.writer.write(line)
        member.seen[len(member.seen) % 100] = line


async def serve(reader, writer):
    name = (await reader.readline()).decode().strip()
    member = Member(name, writer)
    room = ROOMS["room %d" % (len(name) % 7)]
    room[name] = member
    task = asyncio.ensure_future(deliver(member))
    try:
        async for line in reader:
            HISTORY.append({"from": name, "line": line, "words": line.split()})
            for other in list(room.values())[:20]:
                other.inbox.put_nowait(line)
    finally:
        task.cancel()


async def talk(path, number):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"member %d\n" % number)
    for turn in range(60):
        writer.write(b"line %d of member %d, and what it says\n" % (turn, number))
    await writer.drain()
    return reader, writer


async def main():
    path = os.path.join(sys.argv[1], "chat")
    server = await asyncio.start_unix_server(serve, path)
    clients = [await talk(path, number) for number in range(CONNECTIONS)]
    while len(HISTORY) < 60 * CONNECTIONS:
        await asyncio.sleep(0.02)
    os.write(1, (json.dumps({"event": "ready", "pid": os.getpid()}) + "\n").encode())
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    return clients


if __name__ == "__main__":
    asyncio.run(main())
