// The pages work as plain forms; this shows answers as they come.
"use strict";

const log = document.querySelector("[data-log]");
const scroller = log?.parentElement;
const composer = document.querySelector("[data-composer]");
const status = document.querySelector("[data-status]");

for (const form of document.querySelectorAll("[data-confirm]")) {
  form.addEventListener("submit", (event) => { if (!confirm(form.dataset.confirm)) event.preventDefault(); });
}

if (log) {
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-turn]")) { event.preventDefault(); startTurn(event.target, event.submitter); }
  });
  log.querySelectorAll("[data-live]").forEach(follow);
  const text = composer.elements.text;
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); composer.requestSubmit(); }
  });
  text.addEventListener("input", () => { text.style.height = "auto"; text.style.height = text.scrollHeight + "px"; });
  toEnd();
}

// startTurn sends a message, or the answer to a question of the agent. Both start a turn.
async function startTurn(form, submitter) {
  const buttons = form.querySelectorAll("button");
  if (buttons[0].disabled) return;
  const error = form.querySelector("[data-error]");
  const body = new URLSearchParams(new FormData(form, submitter));
  error.hidden = true;
  buttons.forEach((button) => { button.disabled = true; });
  say("Sending");
  form.classList.add("sending");
  try {
    const response = await fetch(form.action, { method: "POST", body });
    const answer = await response.text();
    if (!response.ok) throw new Error(answer);
    if (form === composer) { nameChat(body.get("text")); form.reset(); form.elements.text.style.height = ""; } else { form.remove(); }
    log.querySelector("[data-empty]")?.remove();
    const added = fragment(answer);
    const live = added.querySelector("[data-live]");
    log.append(added);
    follow(live);
    toEnd();
    composer.elements.text.focus();
  } catch (failure) {
    error.textContent = failure instanceof TypeError ? "This page cannot reach its server. Please try again." : failure.message;
    error.hidden = false;
  } finally {
    form.classList.remove("sending");
    buttons.forEach((button) => { button.disabled = form === composer && log.querySelector("[aria-busy=true]") !== null; });
  }
}

// follow shows a run. After a lost connection the browser asks again by itself, and the run is shown from its start.
function follow(live) {
  const source = new EventSource(live.dataset.live);
  const items = live.querySelector("[data-items]");
  const doing = live.querySelector("[data-doing]");
  const stop = live.querySelector("[data-stop]");
  const send = composer.querySelector("button");
  send.disabled = true;
  say("The agent is thinking");
  stop.addEventListener("click", async () => {
    stop.disabled = true;
    doing.textContent = "Stopping";
    const response = await fetch(live.dataset.live + "/stop", { method: "POST" }).catch(() => null);
    if (!response?.ok) { stop.disabled = false; doing.textContent = "It did not stop. Please try again"; }
  });
  source.addEventListener("item", (event) => {
    const below = atEnd();
    const item = fragment(event.data).firstElementChild;
    const old = document.getElementById(item.id);
    if (old) { item.open = old.open; old.replaceWith(item); } else { items.append(item); }
    if (!stop.disabled && doing.textContent !== item.dataset.doing) { doing.textContent = item.dataset.doing ?? "Working"; say("The agent: " + doing.textContent); }
    if (below) toEnd();
  });
  source.addEventListener("end", (event) => { source.close(); finish(event.data); });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) finish('<p class="item note error">The connection was lost. Reload the page to see the answer.</p>');
    else doing.textContent = "Connecting again";
  });
  function finish(html) {
    const below = atEnd();
    live.setAttribute("aria-busy", "false");
    live.querySelector("[data-progress]").remove();
    live.append(fragment(html));
    send.disabled = false;
    const prose = [...live.querySelectorAll(".prose, .note")].map((e) => e.textContent.trim());
    const question = live.querySelector("[data-approval]");
    say([...prose, question ? "The agent asks whether it may use a tool." : "The answer is complete."].join(" "));
    if (question && composer.elements.text.value === "") { question.tabIndex = -1; question.focus({ preventScroll: true }); } // not a button: Enter must not answer
    if (below) toEnd();
  }
}

// nameChat shows at once what the first message calls the chat.
function nameChat(text) {
  for (const title of document.querySelectorAll(".chathead h1, .chats [aria-current] span")) {
    if (title.textContent === "New chat") title.textContent = text;
  }
}
function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // rendered and sanitised by the server
  return template.content;
}
function say(text) { status.textContent = text; }
function atEnd() { return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80; }
function toEnd() { scroller.scrollTop = scroller.scrollHeight; }
