// Command nethttp is what a program without a client library comes to: it lists agents by tag, and sends a message.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

type agent struct {
	ID   string   `json:"id"`
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

type turn struct {
	Messages []struct {
		Type    string `json:"message_type"`
		Content string `json:"content"`
	} `json:"messages"`
}

func call(method, path string, body, out any) error {
	var data []byte
	var err error
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(context.Background(), method, os.Getenv("LETTA_BASE_URL")+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if data, err = io.ReadAll(resp.Body); err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

func main() {
	var agents []agent
	err := call(http.MethodGet, "/v1/agents/?tags=user_1", nil, &agents)
	if err == nil && len(os.Args) > 1 {
		var t turn
		err = call(http.MethodPost, "/v1/agents/"+agents[0].ID+"/messages", map[string]any{"input": os.Args[1]}, &t)
		fmt.Println(t.Messages)
	}
	fmt.Println(len(agents), err)
}
