// A worker with the official TypeScript client: see worker.go. What it is asked for is in workloads.go.
//
//   node --expose-gc client.mjs URL WORKLOAD WORKERS

import { createInterface } from "node:readline";
import Letta from "@letta-ai/letta-client";

const [baseURL, workload, count] = process.argv.slice(2);
const client = new Letta({ baseURL, apiKey: "sk-test" });
const BURST = "agent-00000000-0000-4000-8000-000000000001";
const FLUSHED = "agent-00000000-0000-4000-8000-000000000002";
const OPEN = "agent-00000000-0000-4000-8000-000000000003";
const turn = { messages: [{ role: "user", content: "hello" }], streaming: true, stream_tokens: true };
const held = [];

async function create() {
  await client.agents.create({
    name: "user_1",
    model: "openai-proxy/gpt-4o-mini",
    embedding: "openai/text-embedding-3-small",
    tags: ["user_1", "plan:pro"],
    memory_blocks: [
      { label: "human", value: "Likes tea." },
      { label: "persona", value: "Terse." },
    ],
  });
  return 1;
}
async function retrieve() {
  await client.agents.retrieve(BURST);
  return 1;
}
const list = (tag) => async () => (await client.agents.list({ tags: [tag], include: ["agent.tags"] })).items.length;
const stream = (agent) => async () => {
  let text = "";
  for await (const event of await client.agents.messages.create(agent, turn)) {
    if (event.message_type === "assistant_message") text += event.content;
  }
  return text.length;
};
async function walk(n) {
  let seen = 0;
  for await (const _ of client.agents.list({ tags: [`bench-all-${n}`], limit: 200, order: "asc" })) seen++;
  return seen;
}
async function hold(n) {
  while (held.length < n) {
    const events = (await client.agents.messages.create(OPEN, turn))[Symbol.asyncIterator]();
    await events.next();
    held.push(events);
  }
  return held.length;
}

const calls = {
  create,
  retrieve,
  "list-1": list("bench-one"),
  "list-50": list("bench-50"),
  "stream-flushed": stream(FLUSHED),
  "stream-burst": stream(BURST),
};
const whole = { "list-all": walk, "open-streams": hold }; // one after the other, to n agents or open streams

async function round(n) {
  if (workload in whole) return [await whole[workload](n)];
  const results = new Set();
  let begun = 0;
  const worker = async () => {
    while (begun++ < n) results.add(await calls[workload]());
  };
  await Promise.all(Array.from({ length: Number(count) }, worker));
  return [...results];
}

if (workload === "first") {
  console.log(await list("user_1")());
  process.exit();
}
for await (const line of createInterface({ input: process.stdin })) {
  globalThis.gc();
  const began = process.cpuUsage();
  const results = await round(Number(line));
  const took = process.cpuUsage(began);
  const error = results.length === 1 ? "" : `different results: ${results}`;
  console.log(JSON.stringify({ cpu_ns: (took.user + took.system) * 1000, result: results[0], error }));
}
process.exit();
