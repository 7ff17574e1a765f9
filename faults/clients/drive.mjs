// Runs the cases of the fault matrix with the official TypeScript client. Started by cmd/drive; the package has to be
// beside the script.
//
// All settings are the defaults, but for the time limit: of 60 s each case has a shorter one (`timeout`). The deadline of a
// stream is the caller's, as a Go caller has it in its context.

import Letta, { toFile } from "@letta-ai/letta-client";

const CONTROL = process.env.FAULTS_URL;
const AT_ONCE = 60;
const LONG = 3; // times the limits that a call has, all retries included: then it is given up as one that never returns

const ask = async (method, path, body) => {
  const response = await fetch(CONTROL + path, { method, body: body && JSON.stringify(body) });
  return response.json();
};
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

const agent = (state, name) => (state?.name === name && state.id ? "whole" : `agent of the type ${typeof state}`);
const said = (messages, answer) => {
  const text = (messages ?? []).filter((m) => m.message_type === "assistant_message").map((m) => m.content).join("");
  return text === answer ? "whole" : `text ${JSON.stringify(text)}`;
};

async function call(client, one, at, signal) {
  const operation = one.operation.split(",")[0];
  const messages = [{ role: "user", content: at.text }];
  const { agents } = client;
  switch (operation) {
    case "retrieve":
      return agent(await agents.retrieve(at.agent, {}, { signal }), at.name);
    case "list": {
      const page = await agents.list({}, { signal });
      return page.items?.length === 1 ? agent(page.items[0], at.name) : `agents: ${String(page.items).slice(0, 40)}`;
    }
    case "create":
      return agent(await agents.create({ name: at.new_name, model: at.model }, { signal }), at.new_name);
    case "update": {
      const state = await agents.update(at.agent, { description: at.description }, { signal });
      return state?.description === at.description ? agent(state, at.name) : "not the new description";
    }
    case "delete":
      await agents.delete(at.agent, { signal });
      return "whole";
    case "turn":
      return said((await agents.messages.create(at.agent, { messages }, { signal }))?.messages, at.answer);
    case "stream":
    case "background stream": {
      const background = operation === "stream" ? {} : { background: true };
      const deadline = AbortSignal.timeout(2000 * one.timeout);
      const either = AbortSignal.any([deadline, signal]);
      const seen = [];
      try {
        const stream = await agents.messages.stream(at.agent, { messages, ...background }, { signal: either });
        for await (const message of stream) seen.push(message);
      } finally {
        if (deadline.aborted && !signal.aborted) throw new Deadline(); // an aborted loop ends without an error
      }
      return said(seen, at.answer);
    }
    case "upload": {
      const file = await toFile(Buffer.from(at.file), at.file_name);
      return (await client.folders.files.upload(at.folder, { file }, { signal }))?.id ? "whole" : "no file";
    }
    case "Ensure": {
      const page = await agents.list({ tags: [at.user_tag] }, { signal });
      if (!Array.isArray(page.items) || page.items.length > 0) return `agents: ${String(page.items).slice(0, 40)}`;
      const state = await agents.create({ name: at.new_name, model: at.model, tags: [at.user_tag] }, { signal });
      return agent(state, at.new_name);
    }
    case "AddTags": {
      const state = await agents.retrieve(at.agent, { include: ["agent.tags"] }, { signal });
      if (!state?.tags) return agent(state, at.name);
      return agent(await agents.update(at.agent, { tags: [...state.tags, at.new_tag] }, { signal }), at.name);
    }
  }
  throw new Error(`no such operation: ${operation}`);
}

class Deadline extends Error {}

function kind(error) {
  if (error instanceof Deadline) return "the caller's deadline";
  if (error instanceof Letta.APIError) return error.constructor.name + (error.status ? ` ${error.status}` : "");
  if (error?.name === "AbortError") return "AbortError"; // the caller has aborted
  return `untyped ${error?.name ?? typeof error}`;
}

async function run(one) {
  const path = `/cases/${one.id}`;
  if (one.http2) return ask("POST", path + "/result", { skip: "the client speaks HTTP/1.1 only" });
  const at = await ask("POST", path);
  const client = new Letta({ apiKey: at.key, baseURL: at.url, timeout: one.timeout * 1000 });
  if (one.warm) await client.health({ timeout: 60_000 });
  const controller = new AbortController();
  if (one.cancel === "before") controller.abort();
  const heard = call(client, one, at, controller.signal).then(
    (value) => ({ value }),
    (error) => ({ error: kind(error) }),
  );
  const waits = [heard, sleep(LONG * 3 * one.timeout).then(() => ({ error: "still waiting" }))];
  if (one.cancel === "stage") {
    await Promise.race([heard, ask("GET", path + "/stage")]);
    await sleep(0.05);
    controller.abort();
  }
  const result = await Promise.race(waits);
  controller.abort();
  return ask("POST", path + "/result", result);
}

process.on("unhandledRejection", (error) => console.error("unhandled:", error?.message ?? error));
const cases = await ask("GET", "/cases");
const total = cases.length;
let done = 0;
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let one = cases.shift(); one; one = cases.shift()) {
      await run(one);
      if (++done % 100 === 0) console.log(`${done} of ${total}`);
    }
  }),
);
process.exit(0);
