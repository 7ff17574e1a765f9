#!/usr/bin/env python3
"""Runs the cases of the fault matrix with the official Python client. Started by cmd/drive.

The client is the asynchronous one, as its README shows it; the synchronous one is the same but cannot be cancelled. All
settings are the defaults, but for the time limit: of 60 s each case has a shorter one (`timeout`). The deadline of a
stream is the caller's, as a Go caller has it in its context.
"""

import asyncio
import json
import os
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor

import letta_client
from letta_client import AsyncLetta

warnings.simplefilter("ignore", DeprecationWarning)  # stream is served too
CONTROL = os.environ["FAULTS_URL"]
AT_ONCE = 60
LONG = 3  # times the limits that a call has, all retries included: then it is given up as one that never returns


def ask(method, path, body=None):
    request = urllib.request.Request(CONTROL + path, method=method, data=json.dumps(body).encode() if body else None)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


async def control(method, path, body=None):
    return await asyncio.to_thread(ask, method, path, body)


def agent(state, name):
    if getattr(state, "name", None) != name or not getattr(state, "id", None):
        return f"agent of the type {type(state).__name__}"
    return "whole"


def said(messages):
    text = "".join(str(m.content) for m in messages if getattr(m, "message_type", "") == "assistant_message")
    return text


async def call(client, case, at):
    operation = case["operation"].split(",")[0]
    messages = [{"role": "user", "content": at["text"]}]
    agents = client.agents
    if operation == "retrieve":
        return agent(await agents.retrieve(at["agent"]), at["name"])
    if operation == "list":
        items = getattr(await agents.list(), "items", None)
        return agent(items[0], at["name"]) if isinstance(items, list) and len(items) == 1 else f"agents: {str(items)[:40]}"
    if operation == "create":
        return agent(await agents.create(name=at["new_name"], model=at["model"]), at["new_name"])
    if operation == "update":
        state = await agents.update(at["agent"], description=at["description"])
        if getattr(state, "description", None) != at["description"]:
            return "not the new description"
        return agent(state, at["name"])
    if operation == "delete":
        await agents.delete(at["agent"])
        return "whole"
    if operation == "turn":
        turn = await agents.messages.create(at["agent"], messages=messages)
        text = said(getattr(turn, "messages", None) or [])
        return "whole" if text == at["answer"] else f"text {text!r}"
    if operation in ("stream", "background stream"):
        background = {"background": True} if operation != "stream" else {}
        async with asyncio.timeout(2 * case["timeout"]):
            stream = await agents.messages.stream(at["agent"], messages=messages, **background)
            text = said([m async for m in stream])
        return "whole" if text == at["answer"] else f"text {text!r}"
    if operation == "upload":
        file = await client.folders.files.upload(at["folder"], file=(at["file_name"], at["file"].encode()))
        return "whole" if getattr(file, "id", None) else "no file"
    if operation == "Ensure":
        items = getattr(await agents.list(tags=[at["user_tag"]]), "items", None)
        if items != []:
            return f"agents: {str(items)[:40]}"
        state = await agents.create(name=at["new_name"], model=at["model"], tags=[at["user_tag"]])
        return agent(state, at["new_name"])
    if operation == "AddTags":
        state = await agents.retrieve(at["agent"], include=["agent.tags"])
        if not getattr(state, "tags", None):
            return agent(state, at["name"])
        return agent(await agents.update(at["agent"], tags=[*state.tags, at["new_tag"]]), at["name"])
    raise SystemExit(f"no such operation: {operation}")


def kind(error):
    if isinstance(error, letta_client.APIStatusError):
        return f"{type(error).__name__} {error.status_code}"
    if isinstance(error, (letta_client.APIError, asyncio.CancelledError)):
        return type(error).__name__
    if isinstance(error, TimeoutError):
        return "the caller's deadline"
    return f"untyped {type(error).__name__}"


async def run(case, base):
    if case["http2"]:
        return await control("POST", f"/cases/{case['id']}/result", {"skip": "the client speaks HTTP/1.1 only"})
    at = await control("POST", f"/cases/{case['id']}")
    client = base.with_options(base_url=at["url"], api_key=at["key"], timeout=case["timeout"])
    if case["warm"]:
        await client.with_options(timeout=60).health()
    task = asyncio.ensure_future(call(client, case, at))
    if case["cancel"] == "before":
        task.cancel()
    elif case["cancel"] == "stage":
        stage = asyncio.ensure_future(control("GET", f"/cases/{case['id']}/stage"))
        await asyncio.wait([task, stage], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.05)
        task.cancel()
    done, _ = await asyncio.wait([task], timeout=LONG * 3 * case["timeout"])
    if not done:
        task.cancel()
        await asyncio.wait([task], timeout=5)
        heard = {"error": "still waiting"}
    elif task.cancelled():
        heard = {"error": "CancelledError"}
    elif task.exception():
        heard = {"error": kind(task.exception())}
    else:
        heard = {"value": task.result()}
    await control("POST", f"/cases/{case['id']}/result", heard)


async def main():
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE))
    cases = ask("GET", "/cases")
    done = 0
    base = AsyncLetta(api_key="none")
    free = asyncio.Semaphore(AT_ONCE)

    async def one(case):
        async with free:
            await run(case, base)
            nonlocal done
            done += 1
            if done % 100 == 0:
                print(f"{done} of {len(cases)}", flush=True)

    await asyncio.gather(*(one(case) for case in cases))


asyncio.run(main())
