package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
)

// Control lets a program in another language run the cases, over HTTP:
//
//	GET  /cases              all cases
//	POST /cases/{id}         begins one; the answer says where its server is
//	GET  /cases/{id}/stage   answers when the caller is to cancel
//	POST /cases/{id}/result  ends one: {"value"} or {"error"} is what the caller heard, {"skip"} why it cannot be run
type Control struct {
	http.Handler

	identity *Identity

	mu      sync.Mutex
	runs    map[int]*Run
	records map[int]Record
}

// NewControl makes a control port.
func NewControl(identity *Identity) *Control {
	c := &Control{identity: identity, runs: map[int]*Run{}, records: map[int]Record{}}
	c.Handler = c.routes()
	return c
}

// Records are those of all cases, if all have ended.
func (c *Control) Records() ([]Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var records []Record
	for i, one := range Cases() {
		record, ok := c.records[i]
		if !ok {
			return nil, fmt.Errorf("case %d has no result: %v", i, one)
		}
		records = append(records, record)
	}
	return records, nil
}

type described struct {
	ID        int    `json:"id"`
	Fault     string `json:"fault"`
	When      string `json:"when"`
	Operation string `json:"operation"`
	HTTP2     bool   `json:"http2"`
	Hangs     bool   `json:"hangs"`
	Cancel    string `json:"cancel"` // "", "before" or "stage"
	Warm      bool   `json:"warm"`   // ask for the server's health first, so that there is a connection
	// Seconds that the client waits, by its own setting, and, for a stream, its caller.
	Timeout float64 `json:"timeout"`
}

func describe(i int, c Case) described {
	d := described{
		ID: i, Fault: c.Fault.Name, When: c.When(), Operation: c.Operation.Name, HTTP2: c.Fault.Reach == HTTP2,
		Hangs: c.Fault.Hangs, Warm: c.Fault.Reach <= HTTP2, Timeout: c.Patience().Seconds(),
	}
	if c.Fault.Hangs {
		d.Timeout *= 2 // another process, on a machine that may be busy
	}
	switch {
	case c.Fault.Cancel && c.Fault.play == nil:
		d.Cancel = "before"
	case c.Fault.Cancel:
		d.Cancel = "stage"
	}
	return d
}

func (c *Control) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cases", func(w http.ResponseWriter, _ *http.Request) {
		var all []described
		for i, one := range Cases() {
			all = append(all, describe(i, one))
		}
		reply(w, all, nil)
	})
	mux.HandleFunc("POST /cases/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, one, err := asked(r)
		if err != nil {
			reply(w, nil, err)
			return
		}
		run, err := Start(one, c.identity)
		if err != nil {
			reply(w, nil, err)
			return
		}
		run.small = true
		c.mu.Lock()
		c.runs[id] = run
		c.mu.Unlock()
		reply(w, map[string]any{
			"url": run.URL(), "key": Password, "agent": run.Agent, "folder": run.Folder, "model": Model, "name": Name, "new_name": NewName,
			"new_tag": NewTag, "tag": Tag, "user_tag": UserTag, "description": Description, "text": Text, "answer": Answer,
			"file_name": FileName, "file": string(fileContent),
		}, nil)
	})
	mux.HandleFunc("GET /cases/{id}/stage", func(w http.ResponseWriter, r *http.Request) {
		if run := c.running(r); run != nil {
			select {
			case <-run.Stage():
			case <-r.Context().Done():
			}
		}
		reply(w, nil, nil)
	})
	mux.HandleFunc("POST /cases/{id}/result", func(w http.ResponseWriter, r *http.Request) { reply(w, nil, c.result(r)) })
	return mux
}

func (c *Control) running(r *http.Request) *Run {
	id, _, _ := asked(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[id]
}

func (c *Control) result(r *http.Request) error {
	id, one, err := asked(r)
	if err != nil {
		return err
	}
	var heard struct{ Value, Error, Skip string }
	if err := json.NewDecoder(r.Body).Decode(&heard); err != nil {
		return err
	}
	record := Record{Fault: one.Fault.Name, When: one.When(), Operation: one.Operation.Name, Requests: "none", State: "not asked", Elsewhere: "nothing"}
	if run := c.running(r); run != nil {
		run.reachStage() // nobody waits for it any more
		record, err = run.Finish(Heard{heard.Value, heard.Error})
		arrived, _ := record.sum("")
		// What only a client can see is believed: an address that is nobody's can do nothing else.
		if one.Fault.connects() && heard.Error != "" && arrived == 0 {
			record.played++
		}
		if record.played == 0 && one.Fault.Name != "no fault" {
			heard.Skip = notSent
		}
	}
	if heard.Skip != "" {
		record.Outcome = NotPlayed + heard.Skip
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records[id] = record
	delete(c.runs, id)
	return err
}

func asked(r *http.Request) (int, Case, error) {
	cases := Cases()
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 0 || id >= len(cases) {
		return 0, Case{}, fmt.Errorf("there is no case %q", r.PathValue("id"))
	}
	return id, cases[id], nil
}

func reply(w http.ResponseWriter, value any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		value = err.Error()
	}
	_ = json.NewEncoder(w).Encode(value)
}
