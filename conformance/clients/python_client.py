#!/usr/bin/env python3
"""Drives the official Python client against the server at LETTA_BASE_URL (LETTA_API_KEY optional).

    pip install letta-client==1.12.1
    LETTA_BASE_URL=http://127.0.0.1:8283 python conformance/clients/python_client.py

Answers are validated strictly against the client's own types. What it creates, it deletes.
"""

import os
import sys
import uuid

import letta_client
from letta_client import Letta

KEY = os.environ.get("LETTA_API_KEY")
URL = os.environ.get("LETTA_BASE_URL") or sys.exit("LETTA_BASE_URL is not set")
MARK = "py_" + uuid.uuid4().hex[:12]  # in every name and tag: another run does not disturb this one
OTHER = MARK + "_other"

client = Letta(base_url=URL, api_key=KEY, max_retries=0, timeout=60, _strict_response_validation=True)
passed = failed = 0
created = {"agents": [], "blocks": []}


def check(name, ok, seen=""):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: {seen!r}")


def fails_with(kind, call, *args, **kwargs):
    try:
        value = call(*args, **kwargs)
    except kind:
        return True, ""
    except Exception as e:
        return False, e
    return False, value


def ids(page):
    return sorted(a.id for a in page)


def handle(models, embedding):
    """The first OpenAI handle. A real server lists embedding models among the models too."""
    found = [m.handle for m in models if m.handle and m.handle.startswith("openai")]
    return next(h for h in found if ("embedding" in h) == embedding)


def agent(model, embedding, name, tags):
    state = client.agents.create(model=model, embedding=embedding, name=f"{MARK}_{name}", tags=tags)
    created["agents"].append(state.id)
    return state


def run():
    models = client.models.list()
    model = handle(models, False)
    embedding = handle(client.models.embeddings.list(), True)
    check("models: handles", all(m.handle for m in models), models)

    one = agent(model, embedding, "one", [MARK])
    two = agent(model, embedding, "two", [MARK, OTHER])
    three = agent(model, embedding, "three", [OTHER])
    check("create: name", one.name == MARK + "_one", one.name)
    check("create: model", one.model == model, one.model)
    check("create: tags", sorted(two.tags or []) == sorted([MARK, OTHER]), two.tags)

    page = client.agents.list(tags=[MARK], include=["agent.tags"])
    check("list: one tag", ids(page.items) == sorted([one.id, two.id]), ids(page.items))
    tags = {a.id: sorted(a.tags or []) for a in page.items}
    check("list: included tags", tags == {one.id: [MARK], two.id: sorted([MARK, OTHER])}, tags)
    page = client.agents.list(tags=[MARK])
    check("list: tags not included are empty", [a.tags for a in page.items] == [[], []], page.items)
    page = client.agents.list(tags=[MARK, OTHER], include=["agent.tags"])
    check("list: any of two tags", ids(page.items) == sorted([one.id, two.id, three.id]), ids(page.items))
    page = client.agents.list(tags=[MARK, OTHER], match_all_tags=True)
    check("list: all of two tags", ids(page.items) == [two.id], ids(page.items))
    page = client.agents.list(tags=[MARK + "_none"])
    check("list: unknown tag", page.items == [], page.items)
    check("list: by name", ids(client.agents.list(name=three.name).items) == [three.id])
    walked = [a.id for a in client.agents.list(tags=[MARK, OTHER], limit=1, order="asc")]
    check("list: page by page, oldest first", walked == [one.id, two.id, three.id], walked)
    walked = [a.id for a in client.agents.list(tags=[MARK, OTHER], limit=2)]
    check("list: page by page, newest first", walked == [three.id, two.id, one.id], walked)

    names = client.tags.list(name=MARK)
    check("tags: both", sorted(names) == [MARK, OTHER], names)

    got = client.agents.retrieve(one.id, include=["agent.tags"])
    check("retrieve: tags", got.id == one.id and got.tags == [MARK], got.tags)
    client.agents.update(one.id, tags=[OTHER], description="changed")
    got = client.agents.retrieve(one.id, include=["agent.tags"])
    check("update: tags replaced", got.tags == [OTHER], got.tags)
    check("update: description", got.description == "changed", got.description)
    client.agents.update(one.id, name=MARK + "_renamed")
    got = client.agents.retrieve(one.id, include=["agent.tags"])
    check("update: what is left out stays", (got.name, got.tags) == (MARK + "_renamed", [OTHER]), got)
    client.agents.update(one.id, tags=[])
    got = client.agents.retrieve(one.id, include=["agent.tags"])
    check("update: tags cleared", got.tags == [], got.tags)

    block = client.blocks.create(label=MARK, value="first")
    created["blocks"].append(block.id)
    check("blocks: create", (block.label, block.value) == (MARK, "first"), block)
    check("blocks: update", client.blocks.update(block.id, value="second").value == "second")
    check("blocks: list", [(b.id, b.value) for b in client.blocks.list(label=MARK).items] == [(block.id, "second")])
    client.agents.blocks.attach(block.id, agent_id=one.id)
    check("agents.blocks: list", block.id in [b.id for b in client.agents.blocks.list(one.id).items])
    client.agents.blocks.detach(block.id, agent_id=one.id)
    check("agents.blocks: detached", block.id not in [b.id for b in client.agents.blocks.list(one.id).items])

    turn = client.agents.messages.create(one.id, messages=[{"role": "user", "content": "hello"}])
    said = [m.content for m in turn.messages if m.message_type == "assistant_message"]
    check("messages: create", said == ["You said: hello"], turn)
    check("messages: stop reason", turn.stop_reason.stop_reason == "end_turn", turn.stop_reason)
    with client.agents.messages.create(one.id, messages=[{"role": "user", "content": "again"}], streaming=True) as stream:
        events = list(stream)
    said = [m.content for m in events if m.message_type == "assistant_message"]
    check("messages: stream", said == ["You said: again"], events)
    check("messages: stream ends", [e.message_type for e in events][-2:] == ["stop_reason", "usage_statistics"], events)
    kept = [m.content for m in client.agents.messages.list(one.id, order="asc").items if m.message_type == "user_message"]
    check("messages: list", kept[-2:] == ["hello", "again"], kept)

    client.agents.delete(one.id)
    created["agents"].remove(one.id)
    check("delete: gone", *fails_with(letta_client.NotFoundError, client.agents.retrieve, one.id))
    check("delete: again", *fails_with(letta_client.NotFoundError, client.agents.delete, one.id))
    check("retrieve: bad id", *fails_with(letta_client.UnprocessableEntityError, client.agents.retrieve, "nonsense"))
    if KEY:
        stranger = Letta(base_url=URL, api_key=KEY + "x", max_retries=0)
        check("wrong key", *fails_with(letta_client.AuthenticationError, stranger.agents.list))


try:
    run()
except Exception as e:
    check("unexpected", False, e)
finally:
    for kind, left in created.items():
        for i in left:
            try:
                getattr(client, kind).delete(i)
            except Exception as e:
                check(f"clean up {i}", False, e)
print(f"official Python client {letta_client.__version__}: {passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
