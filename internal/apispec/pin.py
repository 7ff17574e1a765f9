#!/usr/bin/env python3
"""Pins the facts of the Letta REST API that the tests hold the client to.

    python3 internal/apispec/pin.py FACTS_DIR

FACTS_DIR holds operations.json, schemas.json and recorded/{v1,seed}/*.json. The script rewrites
operations.json, schemas.json and recorded/*.jsonl beside itself: facts (names, types, flags, recorded
answers), no prose of others. The same input gives the same bytes. Standard library only.
"""

import collections
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROSE = 160  # a longer string is taken for prose and replaced by FILLER
NUMBERS = 20  # a longer list of numbers (an embedding) is cut to this
SERVERS = {"v1": "0.16.8", "seed": "0.6.12"}
# Neutral, and with the characters that encoders treat differently.
FILLER = 'Neutral filler text, "quoted" & <tagged>, with an é.\n'

FORBIDDEN = re.compile(
    r"/(?:work|root|home|Users)\b|(?<!\w)~/|\bpypi\b|pythonhosted|npmjs|(?:proxy|sum|pkg)\.(?:golang\.org|go\.dev)|crates\.io"
)


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def load(path):
    return json.loads(path.read_text("utf-8"))


def lean(**items):
    """A record without its empty entries."""
    return {k: v for k, v in items.items() if v not in (None, False, "", [], {})}


# --- operations -------------------------------------------------------------------------------------


def operation(o):
    return lean(
        sdk=o["sdk"],
        method=o["http"],
        path=o["path"],
        query=[f["name"] for f in o["query"]],
        body=[f["name"] for f in o["body"]],
        headers=[f["name"] for f in o["headers"]],
        body_kind=o["body_kind"],
        body_required=o.get("body_required_selfhosted"),
        body_closed=o.get("body_unknown_fields_selfhosted") == "rejected",
        params=o.get("params_schema"),
        response="" if o["response_kind"] == "empty" else o["response"],
        response_kind=o["response_kind"],
        response_nullable=o["response_nullable"],
        status=int(o["success_status_selfhosted"]),
        page=o.get("page_style", {}).get("class"),
        page_items=o.get("page_style", {}).get("item_key"),
        stream_event=o.get("stream_event"),
        stream_default=o.get("stream_when", {}).get("server_default"),
        deprecated=o.get("deprecated"),
        hosted_only=not o["in_v1_server_source"],
        self_hosted_only=o.get("only_selfhosted"),
    )


# Operations that only self-hosted servers have, by the names of the methods that the package gives them. Their parameters
# have no type in the official client, so each gets one.
SELF_HOSTED = {
    "folders.passages.list": "list_folder_passages",
    "identities.create": "create_identity",
    "identities.retrieve": "retrieve_identity",
    "identities.update": "update_identity",
    "identities.upsert": "upsert_identity",
    "identities.list": "list_identities",
    "identities.count": "count_identities",
    "identities.delete": "delete_identity",
    "identities.properties.upsert": "upsert_properties_for_identity",
    "identities.agents.list": "list_agents_for_identity",
    "identities.blocks.list": "list_blocks_for_identity",
    "groups.create": "create_group",
    "groups.retrieve": "retrieve_group",
    "groups.update": "modify_group",
    "groups.list": "list_groups",
    "groups.count": "count_groups",
    "groups.delete": "delete_group",
    "groups.messages.list": "list_group_messages",
    "groups.messages.reset": "reset_group_messages",
    "groups.blocks.attach": "attach_block_to_group",
    "groups.blocks.detach": "detach_block_from_group",
    "jobs.retrieve": "retrieve_job",
    "jobs.list": "list_jobs",
    "jobs.list_active": "list_active_jobs",
    "jobs.delete": "delete_job",
    "jobs.cancel": "cancel_job",
    "providers.create": "create_provider",
    "providers.retrieve": "retrieve_provider",
    "providers.update": "modify_provider",
    "providers.list": "list_providers",
    "providers.delete": "delete_provider",
    "providers.check": "check_provider",
    "providers.check_existing": "check_existing_provider",
    "providers.refresh": "refresh_provider_models",
}
# Types of the OpenAPI document that the official client has under another name.
TWINS = {"selfhosted.LettaMessageUnion": "agents.Message"}


def self_hosted(source, schemas):
    """The operations of SELF_HOSTED in the form of the others; their parameter types are added to schemas."""

    def twin(text):
        def rename(m):
            bare = m[0].removeprefix("selfhosted.")
            return TWINS.get(m[0], bare if bare in schemas else m[0])

        return NAME.sub(rename, text)

    found = {o["operation_id"]: o for o in source["selfhosted_only"]}
    for sdk, operation_id in SELF_HOSTED.items():
        o = found[operation_id]
        params = [
            {**f, "type": twin(f["type"]), "in": place} for place in ("query", "body") for f in o.get(place) or ()
        ]
        name = f"selfhosted.{operation_id}_params" if params else None
        if name:
            schemas[name] = {"kind": "object", "role": "operation_params", "fields": params}
        yield {
            **o,
            "sdk": sdk,
            "headers": [],  # X-Project has an option of its own
            "params_schema": name,
            "response": twin(o["response"] or ""),
            "success_status_selfhosted": o["success_status"],
            "only_selfhosted": True,
        }


# --- schemas ----------------------------------------------------------------------------------------

NAME = re.compile(r"[A-Za-z0-9_.]+")


def references(schema):
    """The type strings in a schema."""
    yield from (f["type"] for f in schema.get("fields", ()))
    yield from schema.get("variants", ())
    yield from ((schema.get("discriminator") or {}).get("mapping") or {}).values()
    yield schema.get("type") or ""


def reached(operations, schemas):
    todo = [o.get(k) or "" for o in operations for k in ("params_schema", "response", "stream_event")]
    todo += [v["schema"] for o in operations for v in o.get("body_variants", ())]
    seen = set()
    while todo:
        for name in NAME.findall(todo.pop()):
            if name in schemas and name not in seen:
                seen.add(name)
                todo += references(schemas[name])
    return sorted(seen)


def field(f, rename):
    words = [f["name"], rename(f["type"]) + ("|null" if f["nullable"] else "") + ("!" if f["required"] else "")]
    if "in" in f:
        words.append("in=" + f["in"])
    if "enum" in f:
        values = [v if isinstance(v, str) else dump(v) for v in f["enum"]]
        assert not any(re.search(r"[\s,]", v) for v in values), f
        words.append("enum=" + ",".join(values))
    if f.get("deprecated"):
        words.append("deprecated")
    if "default" in f:  # last: it may hold spaces
        words.append("default=" + dump(f["default"]))
    return " ".join(words)


def schema(s, rename):
    if s["kind"] == "enum":
        return {"enum": s["values"]}
    if s["kind"] == "alias":
        return {"alias": rename(s["type"])}
    if s["kind"] == "object":
        fields = [field(f, rename) for f in s["fields"]]
        return {"fields": fields, **lean(open=rename(s.get("additional_properties") or ""))}
    by = s.get("discriminator") or {}
    mapping = {k: rename(v) for k, v in (by.get("mapping") or {}).items()}
    return {
        "union": [rename(v) for v in s["variants"]],
        **lean(by=by.get("field"), mapping=mapping, nullable=s.get("nullable")),
    }


def canonical(names, schemas):
    """Maps each name to the name of an equal type with a related name.

    The official client repeats types (its Param twins, and one copy per place of use). Two types are equal
    when their definitions are, after equal types were given one number, until nothing splits any more.
    """
    number = dict.fromkeys(names, 0)
    while True:
        ids = {}

        def rename(text):
            return NAME.sub(lambda m: f"#{number[m[0]]}" if m[0] in number else m[0], text)

        def shape(name):
            return dump([number[name], schema(schemas[name], rename), schemas[name].get("role")])

        split = {n: ids.setdefault(shape(n), len(ids)) for n in names}
        if len(ids) == len(set(number.values())):
            break
        number = split

    groups = collections.defaultdict(list)
    for name in sorted(names, key=lambda n: (len(n), n)):
        groups[number[name]].append(name)
    result = {}
    for group in groups.values():
        chosen = []
        for name in group:
            own = schemas[name].get("role") == "operation_params"
            twin = next((c for c in chosen if related(c, name)), None)
            if own or twin is None:
                chosen.append(name)
                twin = name
            result[name] = twin
    return result


def related(a, b):
    a, b = (n.rsplit(".", 1)[-1].removesuffix("Param") for n in (a, b))
    return a.endswith(b) or b.endswith(a)


def types(names, schemas):
    chosen = canonical(names, schemas)

    def rename(text):
        return NAME.sub(lambda m: chosen.get(m[0], m[0]), text)

    for name in names:
        if chosen[name] != name:
            yield name, {"same": chosen[name]}
        else:
            yield name, schema(schemas[name], rename)


# --- recorded exchanges -----------------------------------------------------------------------------


def prose(key, text):
    """Whether a string is text of others, not a fact: ids and urls have no spaces, an error's detail is
    what the client shows, CALL lines and rec_ tools are the recorder's own."""
    return (
        len(text) > PROSE
        and key != "detail"
        and re.search(r"\s", text) is not None
        and not text.startswith(("CALL ", "def rec_"))
    )


def filler(length):
    return (FILLER * (length // len(FILLER) + 1))[:length]


def neutral(value, key="", cut=None):
    """value without prose and with short embeddings; cut collects what was shortened."""
    if isinstance(value, dict):
        return {k: neutral(v, k, cut) for k, v in value.items()}
    if isinstance(value, list):
        if len(value) > NUMBERS and all(isinstance(v, (int, float)) for v in value):
            cut.append(key)
            value = value[:NUMBERS]
        return [neutral(v, key, cut) for v in value]
    if isinstance(value, str) and prose(key, value):
        return filler(len(value))
    return value


STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')


def neutral_stream(text):
    """The same for a raw event stream: only JSON strings in it change."""
    key = ""

    def replace(m):
        nonlocal key
        if m[2]:
            key = m[1]
            return m[0]
        string = json.loads(m[0])
        return dump(filler(len(string))) if prose(key, string) else m[0]

    lines = text.split("\n")
    return "\n".join(STRING.sub(replace, ln) if ln.startswith("data: {") else ln for ln in lines)


def unofficial(name):
    """The operation of SELF_HOSTED that a recording named x.operation or x.operation.variant is of."""
    return next((sdk for sdk in SELF_HOSTED if f"{name}.".startswith(f"x.{sdk}.")), None)


def exchange(name, x):
    request, response = x["request"], x["response"]
    cut = []
    line = {
        "name": name,
        **lean(operation=x["operation"] or unofficial(name)),
        "method": request["method"],
        "path": request["path"],
        **lean(request_headers=request["headers"]),
    }
    if request["body"] is not None:
        line["request"] = neutral(request["body"], "", cut)
    if response["status"] is not None:
        line["status"] = response["status"]
    line.update(lean(headers=response["headers"]))
    if "text" in response:
        line.update(lean(text=neutral_stream(response["text"])))
    else:
        line["body"] = neutral(response["body"], "", cut)
    return {**line, **lean(trimmed=bool(cut))}


# --- files ------------------------------------------------------------------------------------------


def write(path, text):
    bad = FORBIDDEN.search(text)
    if bad:
        around = text[max(0, bad.start() - 60) : bad.end() + 60]
        sys.exit(f"{path.name}: a machine path or registry host: {around!r}")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8", newline="\n")
    print(f"{path.relative_to(HERE)}: {len(text.encode()):,} bytes")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    facts = pathlib.Path(sys.argv[1])
    source, schemas = load(facts / "operations.json"), load(facts / "schemas.json")
    operations = [*source["operations"], *self_hosted(source, schemas)]

    python, server = (source["meta"]["sources"][k] for k in ("python_client", "selfhosted_openapi"))
    meta = {
        "python_client": f"letta-python {python['version']}",
        "openapi": f"letta server {server['version']}",
        "recorded": SERVERS,
    }
    rows = ",\n".join(dump(operation(o)) for o in operations)
    write(HERE / "operations.json", f'{{"meta":{dump(meta)},\n"operations":[\n{rows}\n]}}\n')

    names = reached(operations, schemas)
    rows = ",\n".join(f"{dump(n)}:{dump(t)}" for n, t in types(names, schemas))
    write(HERE / "schemas.json", f"{{\n{rows}\n}}\n")

    for folder in SERVERS:
        files = sorted((facts / "recorded" / folder).glob("*.json"), key=lambda p: p.stem)
        rows = "".join(dump(exchange(p.stem, load(p))) + "\n" for p in files)
        write(HERE / "recorded" / f"{folder}.jsonl", rows)


if __name__ == "__main__":
    main()
