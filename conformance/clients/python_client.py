#!/usr/bin/env python3
"""Drives the official Python client against the server at LETTA_BASE_URL (LETTA_API_KEY optional).

    pip install letta-client==1.12.1
    LETTA_BASE_URL=http://127.0.0.1:8283 python conformance/clients/python_client.py

Answers are validated strictly against the client's own types. What it creates, it deletes.
"""

import json
import os
import sys
import time
import uuid
import warnings
from pathlib import Path
from types import SimpleNamespace

import letta_client
from letta_client import Letta, Stream

KEY = os.environ.get("LETTA_API_KEY")
URL = os.environ.get("LETTA_BASE_URL") or sys.exit("LETTA_BASE_URL is not set")
MARK = "py_" + uuid.uuid4().hex[:12]  # in every name and tag: another run does not disturb this one
OTHER = MARK + "_other"
OPERATIONS = Path(__file__).parents[2] / "internal" / "apispec" / "operations.json"

client = Letta(base_url=URL, api_key=KEY, max_retries=0, timeout=60, _strict_response_validation=True)
lenient = Letta(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
passed = failed = 0
warnings.simplefilter("ignore", DeprecationWarning)  # deprecated operations are served too
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
    with client.agents.messages.create(
        one.id, messages=[{"role": "user", "content": "again"}], streaming=True
    ) as stream:
        events = list(stream)
    said = [m.content for m in events if m.message_type == "assistant_message"]
    check("messages: stream", said == ["You said: again"], events)
    check("messages: stream ends", [e.message_type for e in events][-2:] == ["stop_reason", "usage_statistics"], events)
    kept = [
        m.content for m in client.agents.messages.list(one.id, order="asc").items if m.message_type == "user_message"
    ]
    check("messages: list", kept[-2:] == ["hello", "again"], kept)

    client.agents.delete(one.id)
    created["agents"].remove(one.id)
    check("delete: gone", *fails_with(letta_client.NotFoundError, client.agents.retrieve, one.id))
    check("delete: again", *fails_with(letta_client.NotFoundError, client.agents.delete, one.id))
    check("retrieve: bad id", *fails_with(letta_client.UnprocessableEntityError, client.agents.retrieve, "nonsense"))
    if KEY:
        stranger = Letta(base_url=URL, api_key=KEY + "x", max_retries=0)
        check("wrong key", *fails_with(letta_client.AuthenticationError, stranger.agents.list))


# Operations that a self-hosted server refuses for want of a setting, of another service or of an environment, or because they are broken
# there: their errors.
REFUSED = {
    "tools.search": 400,
    "messages.search": 400,
    "steps.list": 400,
    "runs.trace.retrieve": 501,
    "environments.retrieve": 404,
    "environments.send_message": 404,
}

SOURCE = (
    'def echo_%s(text: str) -> str:\n    """Repeats a text.\n\n    Args:\n        text (str): what to repeat\n    """\n    return text\n'
    % MARK
)
HELLO = [{"role": "user", "content": "hello"}]
SLOW = [{"role": "user", "content": "SLOW 100 " + "word " * 40}]
TEMPLATE = MARK.replace("_", "-")


def table(model, embedding):
    """Every operation once, in an order in which each finds what it needs: its name, its arguments, and the name under which its answer is
    kept for those behind it."""
    return [
        ("health", lambda s: {}),
        ("models.list", lambda s: {}),
        ("models.embeddings.list", lambda s: {}),
        (
            "agents.create",
            lambda s: {
                "model": model,
                "embedding": embedding,
                "name": MARK + "_all",
                "memory_blocks": [{"label": "human", "value": "x"}],
            },
            "agent",
        ),
        ("agents.retrieve", lambda s: {"agent_id": s.agent.id, "include": ["agent.blocks", "agent.tools"]}),
        ("agents.update", lambda s: {"agent_id": s.agent.id, "description": "changed", "tags": [MARK]}),
        ("agents.list", lambda s: {"tags": [MARK]}),
        ("agents.recompile", lambda s: {"agent_id": s.agent.id}),
        ("agents.export_file", lambda s: {"agent_id": s.agent.id}, "exported"),
        ("agents.import_file", lambda s: {"file": ("agent.af", s.exported.encode(), "application/json")}, "imported"),
        ("tags.list", lambda s: {"name": MARK}),
        # turns, and what they leave
        ("agents.messages.create", lambda s: {"agent_id": s.agent.id, "messages": HELLO}, "turn"),
        ("agents.messages.stream", lambda s: {"agent_id": s.agent.id, "messages": HELLO, "background": True}, "events"),
        ("agents.messages.create_async", lambda s: {"agent_id": s.agent.id, "messages": HELLO}, "run"),
        ("agents.messages.list", lambda s: {"agent_id": s.agent.id}, "history"),
        ("messages.list", lambda s: {}),
        ("messages.retrieve", lambda s: {"message_id": s.history.items[0].id}),
        ("messages.search", lambda s: {"query": "hello"}),
        ("runs.retrieve", lambda s: {"run_id": s.run.id}),
        ("runs.list", lambda s: {"agent_id": s.agent.id, "background": True}),
        ("runs.messages.list", lambda s: {"run_id": s.run.id}),
        ("runs.messages.stream", lambda s: {"path_run_id": run_of(s.events)}),
        ("runs.usage.retrieve", lambda s: {"run_id": s.run.id}),
        ("runs.steps.list", lambda s: {"run_id": s.run.id}, "steps"),
        ("runs.trace.retrieve", lambda s: {"run_id": s.run.id}),
        ("steps.list", lambda s: {}),
        ("steps.retrieve", lambda s: {"step_id": s.steps.items[0].id}),
        ("steps.metrics.retrieve", lambda s: {"step_id": s.steps.items[0].id}),
        ("steps.trace.retrieve", lambda s: {"step_id": s.steps.items[0].id}),
        ("steps.feedback.create", lambda s: {"step_id": s.steps.items[0].id, "feedback": "positive"}),
        ("steps.messages.list", lambda s: {"step_id": s.steps.items[0].id}),
        ("agents.messages.cancel", lambda s: {"agent_id": s.agent.id, "run_ids": [s.run.id]}),
        *[("agents.messages.create", lambda s: {"agent_id": s.agent.id, "messages": HELLO})] * 3,  # enough to compact
        ("agents.messages.compact", lambda s: {"agent_id": s.agent.id}),
        ("agents.messages.reset", lambda s: {"agent_id": s.agent.id}),
        # conversations
        ("conversations.create", lambda s: {"agent_id": s.agent.id, "summary": MARK}, "conversation"),
        ("conversations.retrieve", lambda s: {"conversation_id": s.conversation.id}),
        ("conversations.update", lambda s: {"conversation_id": s.conversation.id, "summary": "changed"}),
        ("conversations.list", lambda s: {"agent_id": s.agent.id}),
        (
            "conversations.messages.create",
            lambda s: {"conversation_id": s.conversation.id, "messages": HELLO, "streaming": False},
        ),
        (
            "conversations.messages.create",
            lambda s: {"conversation_id": s.conversation.id, "messages": HELLO, "streaming": True, "background": True},
            "events",
        ),
        (
            "conversations.messages.create",
            lambda s: {"conversation_id": s.conversation.id, "messages": HELLO, "streaming": False},
        ),
        ("conversations.messages.list", lambda s: {"conversation_id": s.conversation.id}),
        ("conversations.messages.stream", lambda s: {"conversation_id": s.conversation.id, "run_id": run_of(s.events)}),
        ("conversations.recompile", lambda s: {"conversation_id": s.conversation.id}),
        *[
            (
                "conversations.messages.create",
                lambda s: {"conversation_id": s.conversation.id, "messages": HELLO, "streaming": False},
            )
        ]
        * 3,
        ("conversations.messages.compact", lambda s: {"conversation_id": s.conversation.id}),
        ("conversations.fork", lambda s: {"conversation_id": s.conversation.id}),
        (
            "conversations.messages.create",
            lambda s: {"conversation_id": s.conversation.id, "messages": SLOW, "streaming": True, "background": True},
            "unread",
        ),
        ("conversations.cancel", lambda s: {"conversation_id": s.conversation.id}),
        ("conversations.delete", lambda s: {"conversation_id": s.conversation.id}),
        # blocks
        ("blocks.create", lambda s: {"label": MARK, "value": "first"}, "block"),
        ("blocks.retrieve", lambda s: {"block_id": s.block.id}),
        ("blocks.update", lambda s: {"block_id": s.block.id, "value": "second"}),
        ("blocks.list", lambda s: {"label": MARK}),
        ("agents.blocks.attach", lambda s: {"block_id": s.block.id, "agent_id": s.agent.id}),
        ("agents.blocks.retrieve", lambda s: {"block_label": MARK, "agent_id": s.agent.id}),
        ("agents.blocks.update", lambda s: {"block_label": MARK, "agent_id": s.agent.id, "value": "third"}),
        ("agents.blocks.list", lambda s: {"agent_id": s.agent.id}),
        ("blocks.agents.list", lambda s: {"block_id": s.block.id}),
        ("agents.blocks.detach", lambda s: {"block_id": s.block.id, "agent_id": s.agent.id}),
        ("blocks.delete", lambda s: {"block_id": s.block.id}),
        # tools
        ("tools.create", lambda s: {"source_code": SOURCE}, "tool"),
        ("tools.upsert", lambda s: {"source_code": SOURCE}),
        ("tools.retrieve", lambda s: {"tool_id": s.tool.id}),
        ("tools.update", lambda s: {"tool_id": s.tool.id, "description": "changed"}),
        ("tools.list", lambda s: {"name": "echo_" + MARK}),
        ("tools.search", lambda s: {"query": "echo"}),
        ("agents.tools.attach", lambda s: {"tool_id": s.tool.id, "agent_id": s.agent.id}),
        ("agents.tools.list", lambda s: {"agent_id": s.agent.id}),
        ("agents.tools.run", lambda s: {"tool_name": "echo_" + MARK, "agent_id": s.agent.id, "args": {"text": "x"}}),
        (
            "agents.tools.update_approval",
            lambda s: {"tool_name": "echo_" + MARK, "agent_id": s.agent.id, "body_requires_approval": True},
        ),
        ("agents.tools.detach", lambda s: {"tool_id": s.tool.id, "agent_id": s.agent.id}),
        ("tools.delete", lambda s: {"tool_id": s.tool.id}),
        # archives and passages
        ("archives.create", lambda s: {"name": MARK, "embedding": embedding}, "archive"),
        ("archives.retrieve", lambda s: {"archive_id": s.archive.id}),
        ("archives.update", lambda s: {"archive_id": s.archive.id, "description": "changed"}),
        ("archives.list", lambda s: {"name": MARK}),
        ("archives.passages.create", lambda s: {"archive_id": s.archive.id, "text": "a tree"}, "passage"),
        ("archives.passages.create_many", lambda s: {"archive_id": s.archive.id, "passages": [{"text": "a house"}]}),
        ("passages.search", lambda s: {"archive_id": s.archive.id, "query": "tree"}),
        ("archives.passages.delete", lambda s: {"passage_id": s.passage.id, "archive_id": s.archive.id}),
        ("agents.archives.attach", lambda s: {"archive_id": s.archive.id, "agent_id": s.agent.id}),
        ("agents.passages.create", lambda s: {"agent_id": s.agent.id, "text": "a lake"}, "passages"),
        ("agents.passages.list", lambda s: {"agent_id": s.agent.id}),
        ("agents.passages.search", lambda s: {"agent_id": s.agent.id, "query": "lake"}),
        ("agents.passages.delete", lambda s: {"memory_id": s.passages[0].id, "agent_id": s.agent.id}),
        ("agents.archives.detach", lambda s: {"archive_id": s.archive.id, "agent_id": s.agent.id}),
        ("archives.delete", lambda s: {"archive_id": s.archive.id}),
        # folders and files
        ("folders.create", lambda s: {"name": MARK, "embedding": embedding}, "folder"),
        ("folders.retrieve", lambda s: {"folder_id": s.folder.id}),
        ("folders.update", lambda s: {"folder_id": s.folder.id, "description": "changed"}),
        ("folders.list", lambda s: {"name": MARK}),
        (
            "folders.files.upload",
            lambda s: {"folder_id": s.folder.id, "file": ("notes.txt", b"one\ntwo\n", "text/plain")},
            "file",
        ),
        ("folders.files.list", lambda s: {"folder_id": s.folder.id}),
        ("folders.files.retrieve", lambda s: {"folder_id": s.folder.id, "file_id": s.file.id}),
        ("agents.folders.attach", lambda s: {"folder_id": s.folder.id, "agent_id": s.agent.id}),
        ("agents.folders.list", lambda s: {"agent_id": s.agent.id}),
        ("folders.agents.list", lambda s: {"folder_id": s.folder.id}),
        ("agents.files.list", lambda s: {"agent_id": s.agent.id}),
        ("agents.files.open", lambda s: {"file_id": s.file.id, "agent_id": s.agent.id}),
        ("agents.files.close", lambda s: {"file_id": s.file.id, "agent_id": s.agent.id}),
        ("agents.files.close_all", lambda s: {"agent_id": s.agent.id}),
        ("agents.folders.detach", lambda s: {"folder_id": s.folder.id, "agent_id": s.agent.id}),
        ("folders.files.delete", lambda s: {"folder_id": s.folder.id, "file_id": s.file.id}),
        ("folders.delete", lambda s: {"folder_id": s.folder.id}),
        # identities: the client cannot make one, so operations() does
        ("agents.identities.attach", lambda s: {"identity_id": s.identity["id"], "agent_id": s.agent.id}),
        ("agents.identities.detach", lambda s: {"identity_id": s.identity["id"], "agent_id": s.agent.id}),
        # MCP servers
        (
            "mcp_servers.create",
            lambda s: {
                "server_name": MARK,
                "config": {"mcp_server_type": "stdio", "command": "lettatest-echo", "args": []},
            },
            "server",
        ),
        ("mcp_servers.retrieve", lambda s: {"mcp_server_id": s.server.id}),
        (
            "mcp_servers.update",
            lambda s: {
                "mcp_server_id": s.server.id,
                "config": {"mcp_server_type": "stdio", "command": "lettatest-echo", "args": []},
            },
        ),
        ("mcp_servers.list", lambda s: {}),
        ("mcp_servers.refresh", lambda s: {"mcp_server_id": s.server.id}),
        ("mcp_servers.tools.list", lambda s: {"mcp_server_id": s.server.id}, "offered"),
        ("mcp_servers.tools.retrieve", lambda s: {"mcp_server_id": s.server.id, "tool_id": s.offered[0].id}),
        (
            "mcp_servers.tools.run",
            lambda s: {"mcp_server_id": s.server.id, "tool_id": s.offered[0].id, "args": {"text": "x"}},
        ),
        ("mcp_servers.delete", lambda s: {"mcp_server_id": s.server.id}),
        # what only the hosted service has
        ("templates.create", lambda s: {"type": "agent", "agent_id": s.agent.id, "name": TEMPLATE}),
        ("templates.save", lambda s: {"template_name": TEMPLATE}),
        ("templates.update", lambda s: {"template_name": TEMPLATE, "agent_file_json": {}}),
        ("templates.rollback", lambda s: {"template_name": TEMPLATE, "version": "1"}),
        ("templates.agents.create", lambda s: {"template_version": TEMPLATE + ":latest"}, "deployed"),
        ("templates.delete", lambda s: {"template_name": TEMPLATE}),
        (
            "agents.schedule.create",
            lambda s: {
                "agent_id": s.agent.id,
                "messages": HELLO,
                "schedule": {"type": "one-time", "scheduled_at": 4102444800000},
            },
            "scheduled",
        ),
        ("agents.schedule.list", lambda s: {"agent_id": s.agent.id}),
        ("agents.schedule.retrieve", lambda s: {"scheduled_message_id": s.scheduled.id, "agent_id": s.agent.id}),
        ("agents.schedule.delete", lambda s: {"scheduled_message_id": s.scheduled.id, "agent_id": s.agent.id}),
        ("environments.list", lambda s: {}),
        ("environments.retrieve", lambda s: {"device_id": "none"}),
        (
            "environments.send_message",
            lambda s: {
                "connection_id": "none",
                "messages": [{"role": "user", "content": "hello", "client_message_id": "1"}],
            },
        ),
        (
            "access_tokens.create",
            lambda s: {
                "hostname": "https://example.com",
                "policy": [{"type": "agent", "id": s.agent.id, "access": ["read_agent"]}],
            },
            "token",
        ),
        ("access_tokens.list", lambda s: {}),
        ("access_tokens.delete", lambda s: {"token": s.token.token}),
        ("agents.delete", lambda s: {"agent_id": s.agent.id}),
    ]


def run_of(events):
    return next(e.run_id for e in events if getattr(e, "run_id", None))


def call(name, arguments, kept):
    method = lenient if name == "access_tokens.delete" else client  # strictly, an answer without a body is no JSON
    for part in name.split("."):
        method = getattr(method, part)
    out = method(**arguments)
    if isinstance(out, Stream) and kept == "unread":
        next(iter(out))
    elif isinstance(out, Stream):
        out = list(out)
    return out


def operations():
    """Calls every operation. The client parses each answer strictly."""
    known = {o["sdk"]: o for o in json.loads(OPERATIONS.read_text())["operations"] if not o.get("self_hosted_only")}
    model, embedding = handle(client.models.list(), False), handle(client.models.embeddings.list(), True)
    s = SimpleNamespace(reached=False)  # an MCP server: a real server starts none for us
    s.identity = client.post(
        "/v1/identities/", cast_to=object, body={"identifier_key": MARK, "name": MARK, "identity_type": "user"}
    )
    hosted = None  # does the server have what only the hosted service has? all of it or nothing
    parsed, refused, absent = set(), set(), set()
    for name, arguments, *kept in table(model, embedding):
        kept = kept[0] if kept else ""
        hosted_only = known[name].get("hosted_only", False)
        if hosted_only and hosted is False or name.startswith("mcp_servers.tools.r") and not s.reached:
            absent.add(name)
            continue
        try:
            answer = call(name, arguments(s), kept)
        except letta_client.APIStatusError as e:
            if hosted_only and hosted is None and e.status_code == 404:
                hosted = False
                absent.add(name)
            elif name == "mcp_servers.refresh":
                absent.add(name)
            else:
                check(f"{name}: status", e.status_code == REFUSED.get(name), e)
                refused.add(name)
            continue
        except Exception as e:
            check(name, False, e)
            continue
        parsed.add(name)
        check(name, name not in REFUSED, answer)
        hosted = hosted or hosted_only or None
        s.reached = s.reached or name == "mcp_servers.refresh"
        if kept:
            setattr(s, kept, answer)
        if kept == "agent":
            created["agents"].append(answer.id)
        if kept in ("imported", "deployed"):
            created["agents"] += (
                answer.imported_agent_ids if hasattr(answer, "imported_agent_ids") else answer.agent_ids
            )
        if kept == "run":
            finish(answer.id)
    created["agents"].remove(s.agent.id)
    client.delete(f"/v1/identities/{s.identity['id']}", cast_to=object)
    check("operations: all called", parsed | refused | absent == set(known), set(known) - parsed - refused - absent)
    print(
        f"{len(known)} operations: {len(parsed)} parsed, {len(refused)} refused as on Letta 0.16.8, {len(absent)} not there: {sorted(absent)}"
    )


def finish(run):
    for _ in range(100):
        if client.runs.retrieve(run).status in ("completed", "failed", "cancelled"):
            return
        time.sleep(0.1)
    check("run ends", False, run)


try:
    run()
    operations()
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
