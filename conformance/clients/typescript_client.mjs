#!/usr/bin/env node
// Drives the official TypeScript client against the server at LETTA_BASE_URL (LETTA_API_KEY optional).
//
//   npm install --no-save --no-package-lock @letta-ai/letta-client@1.12.1
//   LETTA_BASE_URL=http://127.0.0.1:8283 node conformance/clients/typescript_client.mjs
//
// Node looks for the package beside this file or above it. What it creates, it deletes.

import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import Letta, { AuthenticationError, NotFoundError, UnprocessableEntityError } from "@letta-ai/letta-client";
import { VERSION } from "@letta-ai/letta-client/version";

const { LETTA_BASE_URL: baseURL, LETTA_API_KEY: apiKey } = process.env;
if (!baseURL) {
  console.error("LETTA_BASE_URL is not set");
  process.exit(1);
}
const mark = "ts_" + randomUUID().slice(0, 13); // in every name and tag: another run does not disturb this one
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

try {
  await run();
} catch (e) {
  check("unexpected", false, e);
} finally {
  for (const [kind, left] of Object.entries(created)) {
    for (const id of left) await client[kind].delete(id).catch((e) => check(`clean up ${id}`, false, e));
  }
}
console.log(`official TypeScript client ${VERSION}: ${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
