package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type plainAgent struct {
	ID, Name, Description string
	Tags                  []string
}

// NetHTTP makes the call with the program of nethttp.go.
func (r *Run) NetHTTP() Heard {
	r.small = true
	transport := r.transport()
	defer transport.CloseIdleConnections()
	p := &plain{r.URL(), Password, &http.Client{Transport: transport, Timeout: r.Case.Patience()}}
	ctx, cancel := r.caller(strings.Contains(r.Case.Operation.Name, "stream"))
	defer cancel()
	if r.Case.Fault.Reach <= HTTP2 {
		if err := p.do(context.Background(), http.MethodGet, "/v1/health/", nil, &struct{}{}); err != nil {
			return Heard{Error: "no connection: " + err.Error()}
		}
	}
	value, err := r.plainCall(ctx, p)
	r.evidence(err)
	if err != nil {
		return Heard{Error: plainKind(err)}
	}
	return Heard{Value: value}
}

// plainKind is what its caller can tell by the types of the standard library.
func plainKind(err error) string {
	var (
		urlErr *url.Error
		netErr net.Error
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "context.Canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	case strings.HasPrefix(err.Error(), "status "):
		return err.Error()[:len("status 500")]
	case errors.As(err, &urlErr):
		return "url.Error"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", err), "*")
}

func (r *Run) plainCall(ctx context.Context, p *plain) (string, error) {
	agentPath := "/v1/agents/" + string(r.Agent)
	message := map[string]any{"messages": []any{map[string]any{"role": "user", "content": Text}}}
	value := func(a plainAgent, name string) string {
		if a.Name != name || a.ID == "" {
			return fmt.Sprintf("agent %q %q", a.ID, a.Name)
		}
		return whole
	}
	var agent plainAgent
	switch name, _, _ := strings.Cut(r.Case.Operation.Name, ","); name {
	case "retrieve":
		err := p.do(ctx, http.MethodGet, agentPath, nil, &agent)
		return value(agent, Name), err
	case "list":
		var agents []plainAgent
		err := p.do(ctx, http.MethodGet, "/v1/agents/", nil, &agents)
		if len(agents) != 1 {
			return fmt.Sprint(len(agents), " agents"), err
		}
		return value(agents[0], Name), err
	case "create":
		err := p.do(ctx, http.MethodPost, "/v1/agents/", map[string]any{"name": NewName, "model": Model}, &agent)
		return value(agent, NewName), err
	case "update":
		err := p.do(ctx, http.MethodPatch, agentPath, map[string]any{"description": Description}, &agent)
		if err == nil && agent.Description != Description {
			return "description " + agent.Description, nil
		}
		return value(agent, Name), err
	case "delete":
		return whole, p.do(ctx, http.MethodDelete, agentPath, nil, nil)
	case "turn":
		var turn struct {
			Messages []plainMessage
		}
		err := p.do(ctx, http.MethodPost, agentPath+"/messages", message, &turn)
		return plainText(turn.Messages), err
	case "stream", "background stream":
		message["background"] = name == "background stream"
		var messages []plainMessage
		err := p.stream(ctx, agentPath+"/messages/stream", message, func(data []byte) error {
			var m plainMessage
			if err := json.Unmarshal(data, &m); err != nil {
				return err
			}
			messages = append(messages, m)
			return nil
		})
		return plainText(messages), err
	case "upload":
		return r.plainUpload(ctx, p)
	case "Ensure":
		var agents []plainAgent
		err := p.do(ctx, http.MethodGet, "/v1/agents/?tags="+UserTag, nil, &agents)
		if err != nil || len(agents) > 0 {
			return "found one", err
		}
		err = p.do(ctx, http.MethodPost, "/v1/agents/", map[string]any{"name": NewName, "model": Model, "tags": []string{UserTag}}, &agent)
		return value(agent, NewName), err
	case "AddTags":
		if err := p.do(ctx, http.MethodGet, agentPath+"?include=agent.tags", nil, &agent); err != nil {
			return "", err
		}
		err := p.do(ctx, http.MethodPatch, agentPath, map[string]any{"tags": append(slices.Clone(agent.Tags), NewTag)}, &agent)
		return value(agent, Name), err
	}
	return "", errors.New("no such operation")
}

func (r *Run) plainUpload(ctx context.Context, p *plain) (string, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", FileName)
	if err != nil {
		return "", err
	}
	_, _ = part.Write(fileContent)
	_ = w.Close()
	response, err := p.send(ctx, http.MethodPost, "/v1/folders/"+string(r.Folder)+"/upload", w.FormDataContentType(), &form)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var file struct {
		ID string
	}
	body, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(body, &file)
	}
	if file.ID == "" {
		return "no file", err
	}
	return whole, err
}

type plainMessage struct {
	MessageType string `json:"message_type"`
	Content     any
}

func plainText(messages []plainMessage) string {
	var said strings.Builder
	for _, m := range messages {
		if m.MessageType == "assistant_message" {
			fmt.Fprint(&said, m.Content)
		}
	}
	if text := said.String(); text != Answer {
		return fmt.Sprintf("text %q", text)
	}
	return whole
}
