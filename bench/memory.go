package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"runtime"

	"github.com/letta-go/letta"
)

// Workloads that are about memory.
const (
	walk        = "list-all"     // over as many agents as calls are asked for
	openStreams = "open-streams" // until as many are open as calls are asked for
)

const walkPage = 200 // agents in a page

// walkAll walks over a list with this client.
func walkAll(kind, base string) (func(int) (sample, error), error) {
	if kind != ours {
		return nil, fmt.Errorf("%s has no walk over pages", kind)
	}
	client, err := letta.NewClient(letta.WithBaseURL(base), letta.WithAPIKey("sk-test"))
	return func(agents int) (sample, error) {
		return measure(func() (int, error) {
			seen := 0
			params := letta.Tags(fmt.Sprint(tagOfMany, agents))
			params.Limit, params.Order = walkPage, letta.OrderAsc
			for _, err := range client.Agents.ListAll(context.Background(), params) {
				if err != nil {
					return seen, err
				}
				seen++
			}
			return seen, nil
		})
	}, err
}

// holdStreams opens streams, each with a goroutine that waits for the next frame.
func holdStreams(kind, base string) (func(int) (sample, error), error) {
	first := make(chan error)
	open := openBare(newBare(base, kind), first)
	if kind == ours {
		client, err := letta.NewClient(letta.WithBaseURL(base), letta.WithAPIKey("sk-test"))
		if err != nil {
			return nil, err
		}
		open = openOurs(client, first)
	}
	held := 0
	return func(streams int) (sample, error) {
		var before, after runtime.MemStats
		settle(&before)
		s, err := measure(func() (int, error) {
			for ; held < streams; held++ {
				go open()
				if err := <-first; err != nil {
					return held, err
				}
			}
			return held, nil
		})
		settle(&after)
		s.Heap, s.Stack = int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(after.StackInuse)-int64(before.StackInuse)
		return s, err
	}, nil
}

// settle waits until what is not held is gone. Two collections: the second frees what pools kept over the first.
func settle(m *runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(m)
}

func openOurs(client *letta.Client, first chan<- error) func() {
	turn := turnParams()
	return func() {
		s, err := client.Agents.Messages.Stream(context.Background(), agentOpen, turn)
		if err != nil {
			first <- err
			return
		}
		for _, err := range s.Messages() {
			first <- err
		}
	}
}

func openBare(b *bare, first chan<- error) func() {
	return func() {
		resp, err := b.send(context.Background(), http.MethodPost, "/v1/agents/"+agentOpen+"/messages", map[string]any{
			"messages": []map[string]any{{"role": "user", "content": "hello"}}, "streaming": true, "stream_tokens": true,
		})
		if err != nil {
			first <- err
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Scan()
		first <- lines.Err()
		for lines.Scan() {
		}
	}
}
