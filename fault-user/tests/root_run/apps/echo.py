"""Gives back what comes, over any number of connections. Argument: HOST. Says its port."""

import asyncio
import sys


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)


async def main():
    server = await asyncio.start_server(echo, sys.argv[1], 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
