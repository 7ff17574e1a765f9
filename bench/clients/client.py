"""A worker with the official Python client: see worker.go. What it is asked for is in workloads.go.

    python client.py URL WORKLOAD WORKERS
"""

import gc
import json
import resource
import sys
from concurrent.futures import ThreadPoolExecutor

from letta_client import Letta

url, workload, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = Letta(base_url=url, api_key="sk-test")
BURST = "agent-00000000-0000-4000-8000-000000000001"
FLUSHED = "agent-00000000-0000-4000-8000-000000000002"
OPEN = "agent-00000000-0000-4000-8000-000000000003"
HELLO = [{"role": "user", "content": "hello"}]
held = []


def create(_):
    client.agents.create(
        name="user_1",
        model="openai-proxy/gpt-4o-mini",
        embedding="openai/text-embedding-3-small",
        tags=["user_1", "plan:pro"],
        memory_blocks=[{"label": "human", "value": "Likes tea."}, {"label": "persona", "value": "Terse."}],
    )
    return 1


def retrieve(_):
    client.agents.retrieve(BURST)
    return 1


def listed(tag):
    return lambda _: len(client.agents.list(tags=[tag], include=["agent.tags"]).items)


def stream(agent):
    def call(_):
        text = []
        with client.agents.messages.create(agent, messages=HELLO, streaming=True, stream_tokens=True) as events:
            for event in events:
                if event.message_type == "assistant_message":
                    text.append(event.content)
        return len("".join(text))

    return call


def walk(n):
    return sum(1 for _ in client.agents.list(tags=[f"bench-all-{n}"], limit=200, order="asc"))


def hold(n):
    while len(held) < n:
        events = iter(client.agents.messages.create(OPEN, messages=HELLO, streaming=True, stream_tokens=True))
        next(events)
        held.append(events)
    return len(held)


CALLS = {
    "create": create,
    "retrieve": retrieve,
    "list-1": listed("bench-one"),
    "list-50": listed("bench-50"),
    "stream-flushed": stream(FLUSHED),
    "stream-burst": stream(BURST),
}
WHOLE = {"list-all": walk, "open-streams": hold}  # one after the other, to n agents or open streams


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


if workload == "first":
    print(listed("user_1")(0))
    sys.exit()
pool = ThreadPoolExecutor(workers) if workers > 1 else None
for line in sys.stdin:
    n = int(line)
    gc.collect()
    began = cpu()
    if workload in WHOLE:
        results = {WHOLE[workload](n)}
    else:
        results = set((pool.map if pool else map)(CALLS[workload], range(n)))
    took = cpu() - began
    error = "" if len(results) == 1 else f"different results: {results}"
    print(json.dumps({"cpu_ns": took, "result": results.pop(), "error": error}), flush=True)
