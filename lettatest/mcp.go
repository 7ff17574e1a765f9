package lettatest

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var mcpRoutes = servers.routes("mcp_servers", "create list retrieve delete update tools.list tools.retrieve tools.run refresh", handlers{
	"create": createServer,
	"update": updateServer,
	"tools.list": servers.with(func(w *world, c *call, s *row) answer {
		return tools.page(w, c.q, listing{asc: true}, w.serverTools(s))
	}),
	"tools.retrieve": servers.with(func(w *world, c *call, _ *row) answer { return ok(w.tools.must(c.sub, crash()).shown()) }),
	"tools.run":      servers.with(runServerTool),
	"refresh":        servers.with(refreshServer),
})

// Nothing is started and nobody called: what a server offers was said with Server.MCP.
var servers = &resource{
	kind: "mcp_server", noun: "MCPServer",
	rows:    func(w *world) *table[*row] { return &w.servers },
	list:    listing{asc: true, limit: 1000},
	unknown: http.StatusBadRequest,
	gone: func(w *world, s *row) {
		for _, t := range w.serverTools(s) {
			tools.drop(w, t)
		}
	},
}

// configured is the JSON form of a server with a configuration. Addresses that are not public are refused.
func (c *call) configured(s *row, config object) {
	kind := text(config, "mcp_server_type")
	if address, ok := config["server_url"].(string); ok {
		u, err := url.Parse(address)
		if err == nil && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback() || net.ParseIP(u.Hostname()).IsPrivate()) {
			c.bad("Non-public IP not allowed: "+u.Hostname(), "body", "config", kind, "server_url")
		}
	}
	o := sample("mcp_servers.create.http_unreachable")
	if kind == "stdio" {
		o = sample("mcp_servers.create.stdio_broken")
	}
	for k := range o {
		o[k] = config[k]
	}
	with(o, "id", s.id, "mcp_server_type", kind, "server_name", s.fields["server_name"])
	if token := text(config, "auth_token"); token != "" && !strings.HasPrefix(token, "Bearer ") {
		o["auth_token"] = "Bearer " + token
	}
	s.fields = o
}

func createServer(w *world, c *call) answer {
	config := get[object](c.in, "config")
	s := w.newRow("mcp_server")
	s.fields = object{"server_name": c.in["server_name"]}
	c.configured(&s, config)
	if whose(&w.servers, "server_name", c.in["server_name"]) != nil {
		return duplicate("MCPServer")
	}
	w.servers.put(&s)
	w.sync(&s)
	return ok(s.shown())
}

func updateServer(w *world, c *call) answer {
	s := servers.get(w, c.id)
	if name := c.in["server_name"]; name != nil {
		s.fields["server_name"] = name
	}
	if config := get[object](c.in, "config"); config != nil {
		c.configured(s, config)
	}
	return ok(s.shown())
}

// offer is what a server has to offer; without ok it cannot be reached. A command with its arguments comes before the command alone.
func (w *world) offer(s *row) (offer []MCPTool, ok bool) {
	command := text(s.fields, "command")
	for _, address := range []string{text(s.fields, "server_url"), strings.Join(append([]string{command}, texts(s.fields, "args")...), " "), command} {
		if offer, ok = w.offers[address]; ok {
			break
		}
	}
	return offer, ok
}

func (w *world) serverTools(s *row) []*row {
	return w.tools.where(func(t *row) bool { return t.linked("mcp_server", s.id) })
}

// sync makes the tools of a server those that it offers, and says what changed.
func (w *world) sync(s *row) object {
	deleted, added, had := []any{}, []any{}, map[any]bool{}
	offer, _ := w.offer(s)
	for _, t := range w.serverTools(s) {
		name := t.fields["name"]
		if had[name] = true; !slices.ContainsFunc(offer, func(m MCPTool) bool { return m.Name == name }) {
			w.tools.drop(t.id)
			deleted = append(deleted, name)
		}
	}
	for _, m := range offer {
		if had[m.Name] {
			continue
		}
		schema := m.Parameters
		if schema == nil {
			schema = object{"type": "object", "properties": object{}, "required": []any{}}
		}
		name := text(s.fields, "server_name")
		t := tools.fresh(w, nil)
		t.fields = with(sample("mcp_servers.tools.list", 0), "name", m.Name, "description", m.Description, "tags", []any{"mcp:" + name},
			"json_schema", object{
				"name": m.Name, "description": m.Description, "parameters": schema, "mcp:SCHEMA_STATUS": "STRICT_COMPLIANT", "mcp:SCHEMA_WARNINGS": []any{},
			},
			"metadata_", object{"mcp": object{"server_name": name, "server_id": s.id}, "tool_hash": ""})
		t.link("mcp_server", s.id)
		w.tools.put(t)
		added = append(added, m.Name)
	}
	return object{"deleted": deleted, "updated": []any{}, "added": added}
}

func refreshServer(w *world, _ *call, s *row) answer {
	if _, reached := w.offer(s); !reached {
		return answer{status: http.StatusNotFound, body: object{"detail": object{
			"code": "MCPServerUnavailable", "message": "Could not connect to MCP server " + text(s.fields, "server_name") + " to resync tools",
			"error": "INTERNAL_SERVER_ERROR: Failed to connect to MCP server. Please check your configuration and ensure the server is accessible.",
		}}}
	}
	return ok(w.sync(s))
}

// serverFunction finds the function behind a tool of an MCP server.
func (w *world) serverFunction(t *row) func(string) (string, error) {
	for _, id := range t.links["mcp_server"] {
		offer, _ := w.offer(w.servers.get(id))
		for _, m := range offer {
			if m.Name == t.fields["name"] {
				return m.Run
			}
		}
	}
	return nil
}

func runServerTool(w *world, c *call, _ *row) answer {
	t, o := w.tools.must(c.sub, crash()), with(sample("mcp_servers.tools.run"), "status", "error")
	if w.serverFunction(t) == nil {
		return ok(with(o, "func_return", "the server cannot be reached"))
	}
	run := w.runner(nil, t, string(encode(or(c.in["args"], object{}))))
	return answer{later: func(context.Context) answer {
		out, _, bad := run()
		if bad != nil {
			return ok(with(o, "func_return", bad.Text))
		}
		return ok(with(o, "func_return", out, "status", "success"))
	}}
}
