#!/usr/bin/env python3
"""An OpenAI-compatible provider that follows a script, so that a real Letta server runs without a model.

    fake_openai.py PORT         serves on 127.0.0.1:PORT until it is stopped

What the last user message says is what the "model" does:

    CALL tool {"a": 1}          calls the tool; several such lines are several calls of one turn
    THEN CALL tool {"a": 1}     calls the tool when others have returned
    FAIL 429                    the provider answers with that status (429 with Retry-After: 1)
    SLOW 200 one two three      the words, 200 ms apart
    anything else               "You said: anything else"

After a tool result the answer is else "Tool said: <result>". Streamed and unstreamed completions,
embeddings and the model list are served; every other path is 404.
"""

import hashlib
import json
import re
import sys
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4", "text-embedding-3-small", "text-embedding-ada-002")
DIMENSIONS = 1536
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@dataclass
class Turn:
    """What the model does next: fails, calls tools, or says a text."""

    text: str = ""
    calls: list = field(default_factory=list)  # of (tool, arguments as JSON text)
    status: int = 200
    pause: float = 0.0  # seconds between words

    @property
    def finish(self):
        return "tool_calls" if self.calls else "stop"


def plain(content):
    """The text of a message's content, which is a string, null or a list of parts."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def unwrapped(text):
    """Some agent types put the user's words into a JSON envelope."""
    try:
        envelope = json.loads(text)
    except ValueError:
        return text
    if isinstance(envelope, dict) and isinstance(envelope.get("message"), str):
        return envelope["message"]
    return text


def decide(messages):
    said, called = "", set()  # called: the tools since then
    for message in messages:
        if message.get("role") == "user":
            said, called = unwrapped(plain(message.get("content"))), set()
        called |= {call["function"]["name"] for call in message.get("tool_calls") or []}
    if messages and messages[-1].get("role") == "tool":
        if calls := [c for c in re.findall(r"^THEN CALL (\S+) (\{.*\})[ \t]*$", said, re.M) if c[0] not in called]:
            return Turn(calls=calls)
        return Turn(text="Tool said: " + plain(messages[-1].get("content"))[:400])
    calls = re.findall(r"^CALL (\S+) (\{.*\})[ \t]*$", said, re.M)
    if calls:
        return Turn(calls=calls)
    if m := re.search(r"^FAIL ([45]\d\d)\b", said, re.M):
        return Turn(status=int(m[1]))
    if m := re.search(r"^SLOW (\d+) (.+)", said, re.M | re.S):
        return Turn(text=m[2], pause=int(m[1]) / 1000)
    return Turn(text="You said: " + said)


def vector(value, size):
    """The same input gives the same vector, another input another one."""
    digest = hashlib.sha256(json.dumps(value).encode()).digest()
    return [((digest[i % len(digest)] + i) % 256) / 256 - 0.5 for i in range(size)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, value, **headers):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message, **headers):
        self.answer(status, {"error": {"message": message, "type": "test", "code": "scripted"}}, **headers)

    def do_GET(self):
        if self.path.rstrip("/") != "/v1/models":
            return self.refuse(404, "not found")
        entries = [{"id": name, "object": "model", "created": 1, "owned_by": "test"} for name in MODELS]
        return self.answer(200, {"object": "list", "data": entries})

    def do_POST(self):
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        except ValueError:
            return self.refuse(400, "not JSON")
        path = self.path.rstrip("/")
        if path == "/v1/embeddings":
            return self.embeddings(body)
        if path == "/v1/chat/completions":
            return self.completion(body)
        return self.refuse(404, "not found")

    def embeddings(self, body):
        inputs = body.get("input")
        if not isinstance(inputs, list):
            inputs = [inputs]
        size = body.get("dimensions") or DIMENSIONS
        data = [{"object": "embedding", "index": i, "embedding": vector(v, size)} for i, v in enumerate(inputs)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        self.answer(200, {"object": "list", "data": data, "model": body.get("model"), "usage": usage})

    def completion(self, body):
        turn = decide(body.get("messages") or [])
        if turn.status != 200:
            headers = {"Retry_After": "1"} if turn.status == 429 else {}
            return self.refuse(turn.status, f"scripted failure {turn.status}", **headers)
        head = {"id": "chatcmpl-" + uuid.uuid4().hex, "created": int(time.time()), "model": body.get("model")}
        calls = [
            {"id": "call_" + uuid.uuid4().hex[:20], "type": "function", "function": {"name": name, "arguments": args}}
            for name, args in turn.calls
        ]
        if body.get("stream"):
            return self.stream(head, turn, calls)
        time.sleep(turn.pause * len(turn.text.split()))
        message = {"role": "assistant", "content": None, "tool_calls": calls} if calls else {"role": "assistant", "content": turn.text}
        choice = {"index": 0, "message": message, "finish_reason": turn.finish}
        return self.answer(200, {**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})

    def stream(self, head, turn, calls):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

        def send(data):
            self.wfile.write(b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n")
            self.wfile.flush()

        def chunk(delta, finish=None):
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            send({**head, "object": "chat.completion.chunk", "choices": [choice]})

        chunk({"role": "assistant", "content": None if calls else ""})
        for i, call in enumerate(calls):
            # As OpenAI does: the name first, the arguments afterwards.
            name, args = call["function"]["name"], call["function"]["arguments"]
            chunk({"tool_calls": [{**call, "index": i, "function": {"name": name, "arguments": ""}}]})
            chunk({"tool_calls": [{"index": i, "function": {"arguments": args}}]})
        if not calls:
            for i, word in enumerate(turn.text.split(" ")):
                chunk({"content": word if i == 0 else " " + word})
                time.sleep(turn.pause)
        chunk({}, turn.finish)
        send({**head, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
        send(b"[DONE]")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A Letta server that cancels a run hangs up in the middle of a stream.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(__doc__)
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
