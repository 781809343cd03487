"""Gives back what comes, on every address given. Arguments: HOST:PORT... Says "listening" once."""

import asyncio
import sys


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass  # the client was cut off


async def main():
    for address in sys.argv[1:]:
        host, port = address.rsplit(":", 1)
        await asyncio.start_server(echo, host.strip("[]"), int(port))
    print("listening", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
