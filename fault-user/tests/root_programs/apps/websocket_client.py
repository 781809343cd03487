"""Sends on each of its connections whenever the last message has come back, and says how many have.

Arguments: URI ORDERS COUNT. The file ORDERS is read as it grows: each word `open` is one more connection.
"""

import asyncio
import json
import sys

import websockets

answers = {}


async def ping(uri):
    # Its own pings would be packets that nobody here has asked for.
    async with websockets.connect(uri, ping_interval=None) as socket:
        port = socket.local_address[1]
        answers[port] = 0
        while True:
            await socket.send(f"message {answers[port]} on {port}")
            assert await socket.recv() == f"message {answers[port]} on {port}"
            answers[port] += 1
            await asyncio.sleep(0.02)


async def main():
    uri, orders, count = sys.argv[1], open(sys.argv[2]), int(sys.argv[3])
    tasks = []
    while True:
        tasks += [asyncio.create_task(ping(uri)) for _ in range(count)]
        count = orders.read().split().count("open")
        print(json.dumps(answers), flush=True)
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.02)


asyncio.run(main())
