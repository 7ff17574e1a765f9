package conformance

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/internal/apispec"
)

// answers notes how the server answered each operation, over all clients of the suite.
var answers struct {
	sync.Mutex
	statuses map[string]map[int]bool
}

// noting is a transport that fills answers.
type noting struct{ http.RoundTripper }

func (n noting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(r)
	if op, ok := letta.OperationFromContext(r.Context()); ok && err == nil {
		answers.Lock()
		defer answers.Unlock()
		if answers.statuses == nil {
			answers.statuses = map[string]map[int]bool{}
		}
		if answers.statuses[op.Name] == nil {
			answers.statuses[op.Name] = map[int]bool{}
		}
		answers.statuses[op.Name][resp.StatusCode] = true
	}
	return resp, err
}

// missing says why an operation has no 2xx, where that is not for want of a test.
var missing = map[string]string{
	"messages.search":        "Letta 0.16.8 answers 400 without a vector store for messages",
	"steps.list":             "Letta 0.16.8 answers 400, by a mistake of its own",
	"runs.trace.retrieve":    "Letta 0.16.8 answers 501 unless it stores traces",
	"agents.messages.stream": "the client uses agents.messages.create with streaming: Letta deprecates this one",
}

// writeReport writes a line for every operation of the API into the folder of LETTA_CONFORMANCE_REPORT, for the table at
// the end of the CI log.
func writeReport() error {
	folder := os.Getenv("LETTA_CONFORMANCE_REPORT")
	if folder == "" {
		return nil
	}
	file, err := os.Create(filepath.Join(folder, "operations.jsonl"))
	if err != nil {
		return err
	}
	lines := json.NewEncoder(file)
	for _, op := range apispec.Operations() {
		if op.SelfHostedOnly {
			continue
		}
		result, reason := "skipped", missing[op.SDK]
		statuses := answers.statuses[op.SDK]
		for status := range statuses {
			if status < 300 {
				result, reason = "ok", ""
			}
		}
		switch {
		case result == "ok":
		case op.HostedOnly:
			result, reason = "absent", "Letta Cloud only"
		case reason == "" && len(statuses) > 0:
			reason = "answered with an error only"
		case reason == "":
			reason = "no test calls it here"
		}
		if err := lines.Encode(map[string]string{"operation": op.SDK, "result": result, "reason": reason}); err != nil {
			return err
		}
	}
	return errors.Join(file.Sync(), file.Close())
}
