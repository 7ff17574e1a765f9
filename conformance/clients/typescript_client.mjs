#!/usr/bin/env node
// Drives the official TypeScript client against the server at LETTA_BASE_URL (LETTA_API_KEY optional).
//
//   npm install --no-save --no-package-lock @letta-ai/letta-client@1.12.1
//   LETTA_BASE_URL=http://127.0.0.1:8283 node conformance/clients/typescript_client.mjs
//
// Run it in the repository. Node looks for the package beside this file or above it. What it creates, it deletes.

import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import Letta, { APIError, AuthenticationError, NotFoundError, UnprocessableEntityError } from "@letta-ai/letta-client";
import { Stream } from "@letta-ai/letta-client/streaming";
import { VERSION } from "@letta-ai/letta-client/version";

const { LETTA_BASE_URL: baseURL, LETTA_API_KEY: apiKey } = process.env;
if (!baseURL) {
  console.error("LETTA_BASE_URL is not set");
  process.exit(1);
}
const mark = "ts_" + randomUUID().replaceAll("-", "").slice(0, 12); // in every name and tag: another run does not disturb this one
const other = mark + "_other";
const client = new Letta({ baseURL, apiKey: apiKey || null, maxRetries: 0, timeout: 60_000 });
const created = { agents: new Set(), blocks: new Set() };
let passed = 0;
let failed = 0;

function check(name, ok, seen) {
  if (ok) return void passed++;
  failed++;
  console.log(`FAILED ${name}:`, seen);
}
const same = (name, got, want) => check(name, isDeepStrictEqual(got, want), { got, want });
const sorted = (list) => [...(list ?? [])].sort();
const ids = (page) => sorted(page.items.map((agent) => agent.id));

async function failsWith(kind, name, call) {
  try {
    check(name, false, await call());
  } catch (e) {
    check(name, e instanceof kind, e);
  }
}

// The first OpenAI handle. A real server lists embedding models among the models too.
function handle(models, embedding) {
  const handles = models.map((m) => m.handle).filter((h) => h?.startsWith("openai"));
  return handles.find((h) => h.includes("embedding") === embedding);
}

async function agent(model, embedding, name, tags) {
  const state = await client.agents.create({ model, embedding, name: `${mark}_${name}`, tags });
  created.agents.add(state.id);
  return state;
}

async function walk(query) {
  const seen = [];
  for await (const state of client.agents.list(query)) seen.push(state.id);
  return seen;
}

async function run() {
  const models = await client.models.list();
  const model = handle(models, false);
  const embedding = handle(await client.models.embeddings.list(), true);
  check("models: handles", models.every((m) => m.handle), models);

  const one = await agent(model, embedding, "one", [mark]);
  const two = await agent(model, embedding, "two", [mark, other]);
  const three = await agent(model, embedding, "three", [other]);
  same("create: name", one.name, mark + "_one");
  same("create: model", one.model, model);
  same("create: tags", sorted(two.tags), [mark, other]);

  let page = await client.agents.list({ tags: [mark], include: ["agent.tags"] });
  same("list: one tag", ids(page), sorted([one.id, two.id]));
  const tags = Object.fromEntries(page.items.map((a) => [a.id, sorted(a.tags)]));
  same("list: included tags", tags, { [one.id]: [mark], [two.id]: [mark, other] });
  page = await client.agents.list({ tags: [mark] });
  same("list: tags not included are empty", page.items.map((a) => a.tags), [[], []]);
  page = await client.agents.list({ tags: [mark, other] });
  same("list: any of two tags", ids(page), sorted([one.id, two.id, three.id]));
  page = await client.agents.list({ tags: [mark, other], match_all_tags: true });
  same("list: all of two tags", ids(page), [two.id]);
  page = await client.agents.list({ tags: [mark + "_none"] });
  same("list: unknown tag", page.items, []);
  page = await client.agents.list({ name: three.name });
  same("list: by name", ids(page), [three.id]);
  same("list: page by page, oldest first", await walk({ tags: [mark, other], limit: 1, order: "asc" }), [one.id, two.id, three.id]);
  same("list: page by page, newest first", await walk({ tags: [mark, other], limit: 2 }), [three.id, two.id, one.id]);

  same("tags: both", sorted(await client.tags.list({ name: mark })), [mark, other]);

  const retrieve = () => client.agents.retrieve(one.id, { include: ["agent.tags"] });
  same("retrieve: tags", (await retrieve()).tags, [mark]);
  await client.agents.update(one.id, { tags: [other], description: "changed" });
  let got = await retrieve();
  same("update: tags replaced", got.tags, [other]);
  same("update: description", got.description, "changed");
  await client.agents.update(one.id, { name: mark + "_renamed" });
  got = await retrieve();
  same("update: what is left out stays", [got.name, got.tags], [mark + "_renamed", [other]]);
  await client.agents.update(one.id, { tags: [] });
  same("update: tags cleared", (await retrieve()).tags, []);

  const block = await client.blocks.create({ label: mark, value: "first" });
  created.blocks.add(block.id);
  same("blocks: create", [block.label, block.value], [mark, "first"]);
  same("blocks: update", (await client.blocks.update(block.id, { value: "second" })).value, "second");
  same("blocks: list", (await client.blocks.list({ label: mark })).items.map((b) => [b.id, b.value]), [[block.id, "second"]]);
  const attached = async () => (await client.agents.blocks.list(one.id)).items.some((b) => b.id === block.id);
  await client.agents.blocks.attach(block.id, { agent_id: one.id });
  same("agents.blocks: list", await attached(), true);
  await client.agents.blocks.detach(block.id, { agent_id: one.id });
  same("agents.blocks: detached", await attached(), false);

  const assistant = (messages) => messages.filter((m) => m.message_type === "assistant_message").map((m) => m.content);
  const turn = await client.agents.messages.create(one.id, { messages: [{ role: "user", content: "hello" }] });
  same("messages: create", assistant(turn.messages), ["You said: hello"]);
  same("messages: stop reason", turn.stop_reason?.stop_reason, "end_turn");
  const events = [];
  const stream = await client.agents.messages.create(one.id, { messages: [{ role: "user", content: "again" }], streaming: true });
  for await (const event of stream) events.push(event);
  same("messages: stream", assistant(events), ["You said: again"]);
  same("messages: stream ends", events.slice(-2).map((e) => e.message_type), ["stop_reason", "usage_statistics"]);
  const kept = (await client.agents.messages.list(one.id, { order: "asc" })).items.filter((m) => m.message_type === "user_message");
  same("messages: list", kept.slice(-2).map((m) => m.content), ["hello", "again"]);

  await client.agents.delete(one.id);
  created.agents.delete(one.id);
  await failsWith(NotFoundError, "delete: gone", () => client.agents.retrieve(one.id));
  await failsWith(NotFoundError, "delete: again", () => client.agents.delete(one.id));
  await failsWith(UnprocessableEntityError, "retrieve: bad id", () => client.agents.retrieve("nonsense"));
  if (apiKey) {
    const stranger = new Letta({ baseURL, apiKey: apiKey + "x", maxRetries: 0 });
    await failsWith(AuthenticationError, "wrong key", () => stranger.agents.list());
  }
}

// Operations that a self-hosted server refuses for want of a setting, of another service or of an environment, or because they
// are broken there: their errors.
const refusals = {
  "tools.search": 400,
  "messages.search": 400,
  "steps.list": 400,
  "runs.trace.retrieve": 501,
  "environments.retrieve": 404,
  "environments.send_message": 404,
};

const source = `def echo_${mark}(text: str) -> str:\n    """Repeats a text.\n\n    Args:\n        text (str): what to repeat\n    """\n    return text\n`;
const says = (content) => [{ role: "user", content }];
const hello = says("hello");
const slow = says("SLOW 100 " + "word ".repeat(40));
const template = mark.replaceAll("_", "-");
const stdio = { mcp_server_type: "stdio", command: "lettatest-echo", args: [] };

// Every operation once, in an order in which each finds what it needs: its name, its arguments, and the name under which its
// answer is kept for those behind it.
function table(model, embedding) {
  const agent = (s) => ({ agent_id: s.agent.id });
  const turn = ["agents.messages.create", (s) => [s.agent.id, { messages: hello }]];
  const talk = ["conversations.messages.create", (s) => [s.conversation.id, { messages: hello, streaming: false }]];
  return [
    ["health", () => []],
    ["models.list", () => []],
    ["models.embeddings.list", () => []],
    ["agents.create", () => [{ model, embedding, name: mark + "_all", memory_blocks: [{ label: "human", value: "x" }] }], "agent"],
    ["agents.retrieve", (s) => [s.agent.id, { include: ["agent.blocks", "agent.tools"] }]],
    ["agents.update", (s) => [s.agent.id, { description: "changed", tags: [mark] }]],
    ["agents.list", () => [{ tags: [mark] }]],
    ["agents.recompile", (s) => [s.agent.id]],
    ["agents.export_file", (s) => [s.agent.id], "exported"],
    // The type of an export is string, but it comes as an object.
    ["agents.import_file", (s) => [{ file: new File([JSON.stringify(s.exported)], "agent.af", { type: "application/json" }) }], "imported"],
    ["tags.list", () => [{ name: mark }]],
    // turns, and what they leave
    turn,
    ["agents.messages.stream", (s) => [s.agent.id, { messages: hello, background: true }], "events"],
    ["agents.messages.create_async", (s) => [s.agent.id, { messages: hello }], "run"],
    ["agents.messages.list", (s) => [s.agent.id], "history"],
    ["messages.list", () => []],
    ["messages.retrieve", (s) => [s.history.items[0].id]],
    ["messages.search", () => [{ query: "hello" }]],
    ["runs.retrieve", (s) => [s.run.id]],
    ["runs.list", (s) => [{ ...agent(s), background: true }]],
    ["runs.messages.list", (s) => [s.run.id]],
    ["runs.messages.stream", (s) => [runOf(s.events)]],
    ["runs.usage.retrieve", (s) => [s.run.id]],
    ["runs.steps.list", (s) => [s.run.id], "steps"],
    ["runs.trace.retrieve", (s) => [s.run.id]],
    ["steps.list", () => []],
    ["steps.retrieve", (s) => [s.steps.items[0].id]],
    ["steps.metrics.retrieve", (s) => [s.steps.items[0].id]],
    ["steps.trace.retrieve", (s) => [s.steps.items[0].id]],
    ["steps.feedback.create", (s) => [s.steps.items[0].id, { feedback: "positive" }]],
    ["steps.messages.list", (s) => [s.steps.items[0].id]],
    ["agents.messages.cancel", (s) => [s.agent.id, { run_ids: [s.run.id] }]],
    turn, turn, turn, // enough to compact
    ["agents.messages.compact", (s) => [s.agent.id]],
    ["agents.messages.reset", (s) => [s.agent.id, {}]],
    // conversations
    ["conversations.create", (s) => [{ ...agent(s), summary: mark }], "conversation"],
    ["conversations.retrieve", (s) => [s.conversation.id]],
    ["conversations.update", (s) => [s.conversation.id, { summary: "changed" }]],
    ["conversations.list", (s) => [agent(s)]],
    talk,
    ["conversations.messages.create", (s) => [s.conversation.id, { messages: hello, streaming: true, background: true }], "events"],
    talk,
    ["conversations.messages.list", (s) => [s.conversation.id]],
    ["conversations.messages.stream", (s) => [s.conversation.id, { run_id: runOf(s.events) }]],
    ["conversations.recompile", (s) => [s.conversation.id]],
    talk, talk, talk,
    ["conversations.messages.compact", (s) => [s.conversation.id]],
    ["conversations.fork", (s) => [s.conversation.id]],
    ["conversations.messages.create", (s) => [s.conversation.id, { messages: slow, streaming: true, background: true }], "unread"],
    ["conversations.cancel", (s) => [s.conversation.id]],
    ["conversations.delete", (s) => [s.conversation.id]],
    // blocks
    ["blocks.create", () => [{ label: mark, value: "first" }], "block"],
    ["blocks.retrieve", (s) => [s.block.id]],
    ["blocks.update", (s) => [s.block.id, { value: "second" }]],
    ["blocks.list", () => [{ label: mark }]],
    ["agents.blocks.attach", (s) => [s.block.id, agent(s)]],
    ["agents.blocks.retrieve", (s) => [mark, agent(s)]],
    ["agents.blocks.update", (s) => [mark, { ...agent(s), value: "third" }]],
    ["agents.blocks.list", (s) => [s.agent.id]],
    ["blocks.agents.list", (s) => [s.block.id]],
    ["agents.blocks.detach", (s) => [s.block.id, agent(s)]],
    ["blocks.delete", (s) => [s.block.id]],
    // tools
    ["tools.create", () => [{ source_code: source }], "tool"],
    ["tools.upsert", () => [{ source_code: source }]],
    ["tools.retrieve", (s) => [s.tool.id]],
    ["tools.update", (s) => [s.tool.id, { description: "changed" }]],
    ["tools.list", () => [{ name: "echo_" + mark }]],
    ["tools.search", () => [{ query: "echo" }]],
    ["agents.tools.attach", (s) => [s.tool.id, agent(s)]],
    ["agents.tools.list", (s) => [s.agent.id]],
    ["agents.tools.run", (s) => ["echo_" + mark, { ...agent(s), args: { text: "x" } }]],
    // Its type says body_requires_approval, which this client sends as it is, and a server answers 422.
    ["agents.tools.update_approval", (s) => ["echo_" + mark, { ...agent(s), requires_approval: true }]],
    ["agents.tools.detach", (s) => [s.tool.id, agent(s)]],
    ["tools.delete", (s) => [s.tool.id]],
    // archives and passages
    ["archives.create", () => [{ name: mark, embedding }], "archive"],
    ["archives.retrieve", (s) => [s.archive.id]],
    ["archives.update", (s) => [s.archive.id, { description: "changed" }]],
    ["archives.list", () => [{ name: mark }]],
    ["archives.passages.create", (s) => [s.archive.id, { text: "a tree" }], "passage"],
    ["archives.passages.create_many", (s) => [s.archive.id, { passages: [{ text: "a house" }] }]],
    ["passages.search", (s) => [{ archive_id: s.archive.id, query: "tree" }]],
    ["archives.passages.delete", (s) => [s.passage.id, { archive_id: s.archive.id }]],
    ["agents.archives.attach", (s) => [s.archive.id, agent(s)]],
    ["agents.passages.create", (s) => [s.agent.id, { text: "a lake" }], "passages"],
    ["agents.passages.list", (s) => [s.agent.id]],
    ["agents.passages.search", (s) => [s.agent.id, { query: "lake" }]],
    ["agents.passages.delete", (s) => [s.passages[0].id, agent(s)]],
    ["agents.archives.detach", (s) => [s.archive.id, agent(s)]],
    ["archives.delete", (s) => [s.archive.id]],
    // folders and files
    ["folders.create", () => [{ name: mark, embedding }], "folder"],
    ["folders.retrieve", (s) => [s.folder.id]],
    ["folders.update", (s) => [s.folder.id, { description: "changed" }]],
    ["folders.list", () => [{ name: mark }]],
    ["folders.files.upload", (s) => [s.folder.id, { file: new File(["one\ntwo\n"], "notes.txt", { type: "text/plain" }) }], "file"],
    ["folders.files.list", (s) => [s.folder.id]],
    ["folders.files.retrieve", (s) => [s.file.id, { folder_id: s.folder.id }]],
    ["agents.folders.attach", (s) => [s.folder.id, agent(s)]],
    ["agents.folders.list", (s) => [s.agent.id]],
    ["folders.agents.list", (s) => [s.folder.id]],
    ["agents.files.list", (s) => [s.agent.id]],
    ["agents.files.open", (s) => [s.file.id, agent(s)]],
    ["agents.files.close", (s) => [s.file.id, agent(s)]],
    ["agents.files.close_all", (s) => [s.agent.id]],
    ["agents.folders.detach", (s) => [s.folder.id, agent(s)]],
    ["folders.files.delete", (s) => [s.file.id, { folder_id: s.folder.id }]],
    ["folders.delete", (s) => [s.folder.id]],
    // identities: the client cannot make one, so operations() does
    ["agents.identities.attach", (s) => [s.identity.id, agent(s)]],
    ["agents.identities.detach", (s) => [s.identity.id, agent(s)]],
    // MCP servers
    ["mcp_servers.create", () => [{ server_name: mark, config: stdio }], "server"],
    ["mcp_servers.retrieve", (s) => [s.server.id]],
    ["mcp_servers.update", (s) => [s.server.id, { config: stdio }]],
    ["mcp_servers.list", () => []],
    ["mcp_servers.refresh", (s) => [s.server.id]],
    ["mcp_servers.tools.list", (s) => [s.server.id], "offered"],
    ["mcp_servers.tools.retrieve", (s) => [s.offered[0].id, { mcp_server_id: s.server.id }]],
    ["mcp_servers.tools.run", (s) => [s.offered[0].id, { mcp_server_id: s.server.id, args: { text: "x" } }]],
    ["mcp_servers.delete", (s) => [s.server.id]],
    // what only the hosted service has
    ["templates.create", (s) => [{ type: "agent", agent_id: s.agent.id, name: template }]],
    ["templates.save", () => [template, {}]],
    ["templates.update", () => [template, { agent_file_json: {} }]],
    ["templates.rollback", () => [template, { version: "1" }]],
    ["templates.agents.create", () => [template + ":latest"], "deployed"],
    ["templates.delete", () => [template]],
    [
      "agents.schedule.create",
      (s) => [s.agent.id, { messages: hello, schedule: { type: "one-time", scheduled_at: 4102444800000 } }],
      "scheduled",
    ],
    ["agents.schedule.list", (s) => [s.agent.id]],
    ["agents.schedule.retrieve", (s) => [s.scheduled.id, agent(s)]],
    ["agents.schedule.delete", (s) => [s.scheduled.id, agent(s)]],
    ["environments.list", () => []],
    ["environments.retrieve", () => ["none"]],
    ["environments.send_message", () => ["none", { messages: [{ role: "user", content: "hello", client_message_id: "1" }] }]],
    [
      "access_tokens.create",
      (s) => [{ hostname: "https://example.com", policy: [{ type: "agent", id: s.agent.id, access: ["read_agent"] }] }],
      "token",
    ],
    ["access_tokens.list", () => []],
    ["access_tokens.delete", (s) => [s.token.token]],
    ["agents.delete", (s) => [s.agent.id]],
  ];
}

const runOf = (events) => events.find((e) => e.run_id).run_id;

// The official operations, of which every one must be called: from the repository, wherever this script lies.
function officialOperations() {
  const path = "internal/apispec/operations.json";
  const file = [new URL("../../" + path, import.meta.url), path].find((f) => existsSync(f));
  return JSON.parse(readFileSync(file)).operations.filter((o) => !o.self_hosted_only);
}

// A method of the client by the name of its operation: agents.messages.create_async is client.agents.messages.createAsync.
function call(name, args) {
  const path = name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()).split(".");
  const service = path.slice(0, -1).reduce((part, key) => part[key], client);
  return service[path.at(-1)](...args);
}

async function answerOf(name, args, kept) {
  const answer = await call(name, args);
  if (!(answer instanceof Stream)) return answer;
  const events = [];
  for await (const event of answer) {
    events.push(event);
    if (kept === "unread") break;
  }
  return events;
}

async function operations() {
  const models = await client.models.list();
  const known = new Map(officialOperations().map((o) => [o.sdk, o]));
  const s = { reached: false }; // an MCP server: a real server starts none for us
  s.identity = await client.post("/v1/identities/", { body: { identifier_key: mark, name: mark, identity_type: "user" } });
  let hosted; // does the server have what only the hosted service has? all of it or nothing
  const [answered, refused, absent] = [new Set(), new Set(), new Set()];
  for (const [name, args, kept] of table(handle(models, false), handle(await client.models.embeddings.list(), true))) {
    const hostedOnly = known.get(name).hosted_only ?? false;
    if ((hostedOnly && hosted === false) || (name.startsWith("mcp_servers.tools.r") && !s.reached)) {
      absent.add(name);
      continue;
    }
    let answer;
    try {
      answer = await answerOf(name, args(s), kept);
    } catch (e) {
      if (!(e instanceof APIError && e.status)) {
        check(name, false, e);
      } else if (hostedOnly && hosted === undefined && e.status === 404) {
        hosted = false;
        absent.add(name);
      } else if (name === "mcp_servers.refresh") {
        absent.add(name);
      } else {
        check(`${name}: status`, e.status === refusals[name], e);
        refused.add(name);
      }
      continue;
    }
    answered.add(name);
    check(name, !(name in refusals), answer);
    if (hostedOnly) hosted = true;
    if (name === "mcp_servers.refresh") s.reached = true;
    if (kept) s[kept] = answer;
    if (kept === "agent") created.agents.add(answer.id);
    if (kept === "imported" || kept === "deployed") {
      for (const id of answer.imported_agent_ids ?? answer.agent_ids) created.agents.add(id);
    }
    if (kept === "run") await finish(answer.id);
  }
  created.agents.delete(s.agent.id);
  await client.delete(`/v1/identities/${s.identity.id}`);
  const missing = [...known.keys()].filter((name) => !answered.has(name) && !refused.has(name) && !absent.has(name));
  same("operations: all called", missing, []);
  console.log(
    `${known.size} operations: ${answered.size} answered, ${refused.size} refused as on Letta 0.16.8, ` +
      `${absent.size} not there: ${sorted(absent).join(", ")}`,
  );
}

async function finish(run) {
  for (let i = 0; i < 100; i++) {
    if (["completed", "failed", "cancelled"].includes((await client.runs.retrieve(run)).status)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  check("run ends", false, run);
}

try {
  await run();
  await operations();
} catch (e) {
  check("unexpected", false, e);
} finally {
  for (const [kind, left] of Object.entries(created)) {
    for (const id of left) await client[kind].delete(id).catch((e) => check(`clean up ${id}`, false, e));
  }
}
console.log(`official TypeScript client ${VERSION}: ${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
