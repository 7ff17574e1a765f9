package lettatest

import (
	"cmp"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

var (
	folderRoutes = folders.routes("folders", "count retrieve list create update delete files.upload agents.list passages.list files.list files.retrieve "+
		"files.delete", handlers{
		"files.upload":   folders.with(uploadFile),
		"agents.list":    folders.with(listFolderAgents),
		"passages.list":  folders.with(listFolderPassages),
		"files.list":     folders.with(listFiles),
		"files.retrieve": func(w *world, c *call) answer { return ok(shownFile(c, w.files.must(c.sub, crash()))) },
		"files.delete": func(w *world, c *call) answer {
			files.drop(w, files.get(w, c.sub))
			return noContent
		},
	})
	agentFolderRoutes = slices.Concat(
		folders.routes("agents.folders", "attach detach list", handlers{"attach": attachFolder, "list": withAgent(listAgentFolders)}),
		files.routes("agents.files", "close_all open close list", handlers{
			"close_all": withAgent(closeFiles), "open": withAgent(openFile), "close": withAgent(closeFile), "list": withAgent(listAgentFiles),
		}),
	)
)

var folders = &resource{
	kind: "source", noun: "Source",
	rows:   func(w *world) *table[*row] { return &w.folders },
	sample: func() object { return sample("folders.create") },
	blank:  "description instructions metadata",
	list:   listing{noun: "Source"},
	making: func(w *world, c *call, r *row) {
		if c.in["embedding"] == nil && c.in["embedding_config"] == nil {
			panic(invalid("Must specify either embedding or embedding_config in request"))
		}
		if whose(&w.folders, "name", r.fields["name"]) != nil {
			panic(duplicate("Source"))
		}
		embedded(w, c, r)
	},
	deleted: null,
	gone:    func(w *world, r *row) { files.dropWhere(w, "source_id", r.id) },
	give:    (*world).openFolder,
	take: func(w *world, a *agent) { // the rows of the files stay: only they are not shown any more
		if len(a.links["source"]) == 0 {
			for _, t := range w.fileTools() {
				a.unlink("tool", t.id)
			}
		}
	},
	told: legacy,
}

// files are made by uploads. A file is at once what it would become: parsed, embedded, done; only the answer to its upload says otherwise.
var files = &resource{
	kind: "file", noun: "FileMetadata",
	rows: func(w *world) *table[*row] { return &w.files },
	list: listing{noun: "FileMetadata"},
	gone: func(w *world, f *row) {
		passages.dropWhere(w, "file_id", f.id)
		for _, a := range w.agents.rows {
			if r := a.open(f.id); r != nil {
				a.opened.drop(r.id)
			}
		}
	},
}

func (w *world) filesIn(folder string) []*row { return whose(&w.files, "source_id", folder) }

// fileTypes are the kinds of files that the server takes, and how it calls them.
var fileTypes = map[string]string{
	".txt": "text/plain", ".md": "text/x-markdown", ".json": "application/json", ".pdf": "application/pdf", ".csv": "text/csv",
	".html": "text/html", ".xml": "application/xml", ".yaml": "application/yaml", ".yml": "application/yaml", ".py": "text/x-python",
	".js": "text/javascript", ".ts": "text/x-typescript", ".go": "text/x-go", ".java": "text/x-java", ".c": "text/x-c", ".rs": "text/x-rust",
	".sh": "text/x-shellscript", ".sql": "text/x-sql", ".log": "text/plain",
}

func uploadFile(w *world, c *call, folder *row) answer {
	up := c.file
	name := cmp.Or(text(c.q, "name"), up.name)
	kind := fileTypes[path.Ext(up.name)]
	if kind == "" && !strings.HasPrefix(up.kind, "text/") {
		return fail(http.StatusUnsupportedMediaType, "Unsupported file type: %s (filename: %s). Supported types: PDF, text files (.txt, .md), JSON, "+
			"and code files (.py, .js, .java, etc.).", up.kind, up.name)
	}
	kind = cmp.Or(kind, up.kind)
	base, same := text(folder.fields, "name"), 0
	var old *row
	for _, f := range w.filesIn(folder.id) {
		if f.fields["original_file_name"] == name {
			old, same = f, same+1
		}
	}
	stored := name
	switch mode := text(c.q, "duplicate_handling"); {
	case old == nil:
	case mode == "error":
		return invalid("File '%s' already exists in folder '%s'", name, base)
	case mode == "skip":
		return ok(uploaded(old))
	case mode == "replace":
		files.drop(w, old)
	default:
		ext := path.Ext(name)
		stored = fmt.Sprintf("%s_(%d)%s", strings.TrimSuffix(name, ext), same, ext)
	}
	f := w.newRow("file")
	content := string(up.head)
	f.fields = with(sample("folders.files.retrieve"), "source_id", folder.id, "file_name", base+"/"+stored, "original_file_name", name,
		"file_type", kind, "file_size", up.size, "content", content, "total_chunks", 1, "chunks_embedded", 1)
	switch {
	case up.size == 0:
		f.fields["chunks_embedded"] = 0
	case strings.TrimSpace(content) == "":
		with(f.fields, "processing_status", "error", "error_message", "No chunks created from text with default chunker", "total_chunks", nil, "chunks_embedded", nil)
	}
	w.files.put(&f)
	p := passages.fresh(w, object{"source_id": folder.id, "file_id": f.id, "file_name": f.fields["file_name"], "text": strings.TrimSuffix(content, "\n")})
	p.fields["embedding"], p.fields["embedding_config"] = vector(content), folder.fields["embedding_config"]
	w.passages.put(p)
	for _, a := range w.agents.rows {
		if a.linked("source", folder.id) {
			w.openFile(a, &f)
		}
	}
	return ok(uploaded(&f))
}

// uploaded is a file as the answer to its upload shows it.
func uploaded(f *row) object {
	return with(f.shown(), "processing_status", "parsing", "content", nil, "total_chunks", nil, "chunks_embedded", nil)
}

// shownFile is a file as later answers show it: under its bare name.
func shownFile(c *call, f *row) object {
	_, name, _ := strings.Cut(text(f.fields, "file_name"), "/")
	o := with(f.shown(), "file_name", name)
	if !flag(c.q, "include_content") {
		o["content"] = nil
	}
	return o
}

func listFiles(w *world, c *call, folder *row) answer {
	return show(w.filesIn(folder.id), w.files.find, c.q, files.list, func(f *row) any { return shownFile(c, f) })
}

func listFolderAgents(w *world, c *call, folder *row) answer {
	rows := w.agents.where(func(a *agent) bool { return a.linked("source", folder.id) })
	return show(rows, w.agents.find, c.q, listing{}, func(a *agent) any { return a.id })
}

func listFolderPassages(w *world, c *call, folder *row) answer {
	return passages.page(w, c.q, listing{limit: 100}, whose(&w.passages, "source_id", folder.id))
}

// open is what an agent sees of a file; nil if it never did.
func (a *agent) open(file string) *row { return first(whose(&a.opened, "file_id", file)) }

// openFile shows a file to an agent.
func (w *world) openFile(a *agent, f *row) {
	if a.open(f.id) != nil {
		return
	}
	r := w.newRow("file_agent")
	lines := strings.Split(strings.TrimSuffix(text(f.fields, "content"), "\n"), "\n")
	for i, line := range lines {
		lines[i] = fmt.Sprintf("%d: %s", i+1, line)
	}
	r.fields = with(sample("agents.files.list", "files", 0), "id", r.id, "file_id", f.id, "file_name", f.fields["file_name"],
		"folder_id", f.fields["source_id"], "folder_name", w.folders.get(text(f.fields, "source_id")).fields["name"], "is_open", true,
		"last_accessed_at", timestamp(r.created), "visible_content",
		fmt.Sprintf("[Viewing file start (out of %d lines)]\n%s", len(lines), strings.Join(lines, "\n")))
	a.opened.put(&r)
}

// setFolders gives an agent its folders, their files, and the tools to read them.
func (w *world) setFolders(a *agent, ids []string) {
	a.setLinks("source", nil)
	for _, id := range ids {
		w.openFolder(a, w.folders.get(id))
	}
}

func (w *world) openFolder(a *agent, folder *row) {
	a.link("source", folder.id)
	for _, f := range w.filesIn(folder.id) {
		w.openFile(a, f)
	}
	for _, t := range w.fileTools() {
		a.link("tool", t.id)
	}
}

func (w *world) fileTools() []*row { return whose(&w.tools, "tool_type", "letta_files_core") }

// attachFolder refuses a folder whose files a detach left behind, though it stays attached.
func attachFolder(w *world, c *call) answer {
	a, r := w.agent(c.id), folders.get(w, c.sub)
	for _, f := range w.filesIn(r.id) {
		if !a.linked("source", r.id) && a.open(f.id) != nil {
			a.link("source", r.id)
			panic(duplicate("FileAgent"))
		}
	}
	return folders.attach(w, c)
}

func listAgentFolders(w *world, c *call, a *agent) answer {
	return show(folders.of(w, a), w.folders.find, c.q, listing{byID: true}, (*row).ofAgent)
}

// ofAgent is a folder as an agent shows it.
func (r *row) ofAgent() any { return with(r.shown(), "vector_db_provider", "native") }

// listAgentFiles pages by the id that a file has with an agent, with a cursor of its own besides.
func listAgentFiles(_ *world, c *call, a *agent) answer {
	rows := a.opened.where(func(r *row) bool {
		return a.linked("source", text(r.fields, "folder_id")) && (c.q["is_open"] == nil || c.q["is_open"] == r.fields["is_open"])
	})
	l := listing{asc: true, by: func(*row) time.Time { return time.Time{} }, byID: true, fixed: true}
	q, limit := c.q, or(c.q["limit"], 20).(int)
	q["after"] = or(q["after"], q["cursor"])
	if q["order"] == "desc" && (q["after"] != nil || q["before"] != nil) {
		l.asc, l.swapped = false, true // a cursor turns the order, but not its own meaning
	}
	all := page(rows, a.opened.find, with(q, "limit", limit+1), l)
	rows = all[:min(limit, len(all))]
	o := with(sample("agents.files.list"), "files", shown(rows, func(r *row) any { return r.fields }), "has_more", len(all) > limit, "next_cursor", nil)
	if len(rows) > 0 {
		o["next_cursor"] = rows[len(rows)-1].id
	}
	return ok(o)
}

// openFile says which files had to be closed to make room: none, here.
func openFile(w *world, c *call, a *agent) answer {
	f := w.files.must(c.sub, fail(http.StatusNotFound, "File with id=%s not found", c.sub))
	w.openFile(a, f)
	a.open(f.id).fields["is_open"] = true
	return ok([]any{})
}

func closeFile(_ *world, c *call, a *agent) answer {
	r := a.open(c.sub)
	if r == nil {
		return fail(http.StatusNotFound, "FileAgent(agent_id=%s, file_id=%s) not found in org %s", a.id, c.sub, orgID)
	}
	r.fields["is_open"] = false
	return ok(object{"message": "File id=" + c.sub + " successfully closed"})
}

func closeFiles(_ *world, _ *call, a *agent) answer {
	names := []any{}
	for _, r := range a.opened.rows {
		if flag(r.fields, "is_open") {
			names, r.fields["is_open"] = append(names, r.fields["file_name"]), false
		}
	}
	return ok(names)
}
