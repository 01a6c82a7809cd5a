"""Python `httpx`, in HTTP/1.1 and in HTTP/2 with prior knowledge, many requests at once."""

import asyncio

import httpx

from asked import arguments, check

asked = arguments()
AT_ONCE = 50


async def ask(http2):
    version = "HTTP/2" if http2 else "HTTP/1.1"
    async with httpx.AsyncClient(http1=not http2, http2=http2, base_url=f"http://{asked.address}",
                                 headers={"host": asked.host}, timeout=20) as client:
        answer = await client.post("/echo", content="tea")
        check("version", answer.http_version, version)
        check(f"{version} body", answer.json()["body"], "tea")
        answers = await asyncio.gather(*(client.get(f"/echo?n={it}") for it in range(AT_ONCE)))
        check(f"{version} at once", [it.json()["target"] for it in answers],
              [f"/echo?n={it}" for it in range(AT_ONCE)])
        async with client.stream("GET", "/chunks") as answer:
            size = sum([len(it) async for it in answer.aiter_bytes()])
        check(f"{version} stream", size, 10 * 1024)
        large = b"x" * (1 << 20)
        answer = await client.post("/count", content=large)
        check(f"{version} upload", answer.json()["bytes"], len(large))
        check(f"{version} status", (await client.get("/status/404")).status_code, 404)


for http2 in [False, True]:
    asyncio.run(ask(http2))
