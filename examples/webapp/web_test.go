package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/lettatest"
)

var chatsFlag = flag.Int("chats", 100, "how many chats TestManyChats has at once")

// site is the web app on a server: lettatest, or that of LETTA_BASE_URL.
type site struct {
	*app
	url   string
	letta *lettatest.Server // nil on a real server
	cut   func()            // breaks all connections of browsers
}

func newSite(t *testing.T, change func(*config)) *site {
	t.Helper()
	s := &site{}
	// A prefix of the test's own: the server may hold other data.
	cfg := config{users: 5, prefix: fmt.Sprintf("webapp-%x:", rand.Uint64()), pace: rate.Inf, log: slog.New(slog.DiscardHandler)}
	if os.Getenv("LETTA_BASE_URL") == "" {
		s.letta = lettatest.NewServer(t)
		cfg.client, cfg.model, cfg.tools = s.letta.Client(), "openai/gpt-4o-mini", demo(s.letta)
	} else {
		var err error
		cfg.client, err = letta.NewClient()
		require.NoError(t, err)
		models, err := cfg.client.Models.List(t.Context(), nil)
		require.NoError(t, err)
		for _, m := range models {
			if cfg.model == "" || strings.HasSuffix(m.Handle, "gpt-4o-mini") {
				cfg.model = m.Handle
			}
		}
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	s.app, err = newApp(cfg)
	require.NoError(t, err)
	t.Cleanup(s.removeNew)
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	s.url, s.cut = server.URL, server.CloseClientConnections
	return s
}

// person is a browser without a screen.
type person struct {
	t    *testing.T
	site *site
	http *http.Client
}

func (s *site) visit(t *testing.T, user string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	p := &person{t, s, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if user != "" {
		status, _ := p.post("/signin", "user", user)
		require.Equal(t, http.StatusSeeOther, status)
	}
	return p
}

func (p *person) do(method, path string, form url.Values) (*http.Response, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.site.url+path, strings.NewReader(form.Encode()))
	require.NoError(p.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := p.http.Do(req)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return resp, string(body)
}

func (p *person) get(path string) (int, string) {
	p.t.Helper()
	resp, body := p.do(http.MethodGet, path, nil)
	return resp.StatusCode, body
}

func (p *person) post(path string, pairs ...string) (int, string) {
	p.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	resp, body := p.do(http.MethodPost, path, form)
	return resp.StatusCode, body
}

func (p *person) newChat() string {
	p.t.Helper()
	resp, body := p.do(http.MethodPost, "/chats", url.Values{})
	require.Equal(p.t, http.StatusSeeOther, resp.StatusCode, body)
	return resp.Header.Get("Location")
}

var liveRun = regexp.MustCompile(`data-live="([^"]*)"`)

// say sends a message and returns the address of the run.
func (p *person) say(chat, text string) string {
	p.t.Helper()
	status, body := p.post(chat+"/messages", "text", text)
	require.Equal(p.t, http.StatusOK, status, body)
	run := liveRun.FindStringSubmatch(body)
	require.NotNil(p.t, run, body)
	return run[1]
}

// answer follows a run to its end: what each item last was, in order of appearance, and the end.
func (p *person) answer(run string) (items []string, end string) {
	p.t.Helper()
	_, body := p.get(run)
	require.Contains(p.t, body, "event: end", "the stream is cut")
	at := map[string]int{}
	for part := range strings.SplitSeq(body, "\n\n") {
		event, data := "", []string{}
		for line := range strings.Lines(part) {
			line = strings.TrimSuffix(line, "\n")
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				event = v
			} else if v, ok := strings.CutPrefix(line, "data: "); ok {
				data = append(data, v)
			}
		}
		text := strings.TrimSpace(strings.Join(data, "\n"))
		switch event {
		case "item":
			id, _, _ := strings.Cut(text[strings.Index(text, `id="`)+4:], `"`)
			if _, known := at[id]; !known {
				at[id] = len(items)
				items = append(items, "")
			}
			items[at[id]] = text
		case "end":
			end = text
		}
	}
	return items, end
}

func TestChat(t *testing.T) {
	s := newSite(t, nil)
	p := s.visit(t, "user_1")
	chat := p.newChat()
	items, end := p.answer(p.say(chat, "SLOW 5 one **two** three"))
	require.Len(t, items, 1)
	assert.Contains(t, items[0], "one <strong>two</strong> three")
	assert.Empty(t, end)
	_, page := p.get(chat)
	assert.Contains(t, page, "one <strong>two</strong> three")
	assert.Contains(t, page, "<h1>SLOW 5 one **two** three</h1>", "the first message gives the title")

	// The user says no, then yes.
	for _, answer := range []string{"deny", "allow"} {
		_, end = p.answer(p.say(chat, `CALL memory_insert {"label": "human", "new_string": "likes rain"}`))
		require.Contains(t, end, "memory_insert")
		_, refused := p.answer(p.say(chat, "something else"))
		assert.Contains(t, refused, "waiting for your answer")
		call := regexp.MustCompile(`name="call" value="([^"]*)"`).FindStringSubmatch(end)[1]
		_, page = p.get(chat)
		assert.Contains(t, page, call, "the question is there after a reload")
		status, body := p.post(chat+"/approvals", "call", call, "answer", answer)
		require.Equal(t, http.StatusOK, status, body)
		p.answer(liveRun.FindStringSubmatch(body)[1])
		status, _ = p.post(chat+"/approvals", "call", call, "answer", answer)
		assert.Equal(t, http.StatusConflict, status, "a second click")
		_, page = p.get("/agent")
		assert.Equal(t, answer == "allow", strings.Contains(page, "likes rain"))
	}

	_, end = p.answer(p.say(chat, "FAIL 429"))
	assert.Contains(t, end, "overloaded")
	assert.NotContains(t, end, "Rate limit", "the server's words are not for users")
}

func TestDemo(t *testing.T) {
	s := newSite(t, nil)
	if s.letta == nil {
		t.Skip("the scripted agent is lettatest's")
	}
	p := s.visit(t, "user_1")
	chat := p.newChat()
	items, _ := p.answer(p.say(chat, "What is the weather in Rome?"))
	require.Len(t, items, 4)
	for i, want := range []string{"thought", "call", "return", "umbrella"} {
		assert.Contains(t, items[i], want)
	}
	_, page := p.get(chat)
	assert.Less(t, strings.Index(page, "fold thought"), strings.Index(page, "fold call"))
}

// TestIsolation: no id of another user's leads anywhere, and no tag gives an agent away.
func TestIsolation(t *testing.T) {
	s := newSite(t, nil)
	a, b := s.visit(t, "user_1"), s.visit(t, "user_2")
	chatB, chatA := b.newChat(), a.newChat()
	runB := b.say(chatB, "SLOW 300 a b c d e f g h secret")
	runID := runB[strings.LastIndex(runB, "/")+1:]
	agentB, err := s.agents.Find(t.Context(), "user_2")
	require.NoError(t, err)
	blocks, err := s.client.Agents.Blocks.List(t.Context(), agentB, nil)
	require.NoError(t, err)

	_, pageA := a.get("/chats")
	assert.NotContains(t, pageA, chatB)
	for _, tt := range []struct {
		path string
		form []string // nil: GET
	}{
		{chatB, nil},
		{runB, nil},
		{chatA + "/runs/" + runID, nil}, // a chat of one's own does not help
		{"/chats/default", nil},
		{"/chats/" + string(agentB), nil},
		{"/chats/" + url.PathEscape("../agents"), nil},
		{chatB + "/messages", []string{"text", "hello"}},
		{chatB + "/approvals", []string{"call", "x", "answer", "allow"}},
		{chatB + "/delete", []string{}},
		{runB + "/stop", []string{}},
		{chatA + "/runs/" + runID + "/stop", []string{}},
		{"/agent/blocks/" + string(blocks[0].ID), []string{"value", "stolen"}},
		{"/admin", nil},
		{"/admin/delete", []string{"user", "user_2"}},
	} {
		var status int
		var body string
		if tt.form == nil {
			status, body = a.get(tt.path)
		} else {
			status, body = a.post(tt.path, tt.form...)
		}
		assert.GreaterOrEqual(t, status, 400, tt.path)
		assert.Less(t, status, 500, tt.path)
		assert.NotContains(t, body, "secret", tt.path)
	}
	items, end := b.answer(runB)
	assert.Contains(t, items[0], "secret", "nobody stopped it")
	assert.Empty(t, end)

	status, _ := a.post("/agent/tags", "tag", s.prefix+"user_2")
	assert.Equal(t, http.StatusForbidden, status)
	status, _ = a.post("/agent/tags/remove", "tag", s.prefix+"user_1")
	assert.Equal(t, http.StatusForbidden, status)
	for _, path := range []string{"/chats", "/agent", chatB, runB} {
		status, _ := s.visit(t, "").get(path)
		assert.Equal(t, http.StatusUnauthorized, status, path)
	}
}

func TestSecurity(t *testing.T) {
	s := newSite(t, func(c *config) { c.pace, c.burst = 0.001, 2 })
	p := s.visit(t, "")
	for _, user := range []string{"", "user_0", "user_6", "root"} {
		status, _ := p.post("/signin", "user", user)
		assert.Equal(t, http.StatusBadRequest, status, user)
	}
	p = s.visit(t, "user_1")
	chat := p.newChat()
	p.answer(p.say(chat, "ECHO <script>alert(1)</script> ![x](https://evil.example/p) [y](javascript:alert(1)) <b onclick=alert(1)>z</b>"))
	resp, page := p.do(http.MethodGet, chat, nil)
	assert.Equal(t, securityPolicy, resp.Header.Get("Content-Security-Policy"))
	assert.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	for _, bad := range []string{"<script>", "<img src=\"https", "href=\"javascript", "<b ", "style="} {
		assert.NotContains(t, page, bad)
	}
	assert.Contains(t, html.UnescapeString(page), "<script>alert(1)</script>", "the user sees what the user wrote")

	p.answer(p.say(chat, "second"))
	status, body := p.post(chat+"/messages", "text", "third")
	assert.Equal(t, http.StatusTooManyRequests, status, body)
	q := s.visit(t, "user_2") // has a limit of its own
	q.answer(q.say(q.newChat(), "first"))

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/signout", nil)
	require.NoError(t, err)
	req.Header.Set("Origin", "https://evil.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err = p.http.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	status, _ = p.get("/agent")
	assert.Equal(t, http.StatusOK, status, "still signed in")
	status, _ = p.post("/agent/blocks/human", "value", strings.Repeat("x", 300<<10))
	assert.Equal(t, http.StatusBadRequest, status)
	_, page = p.get("/agent")
	assert.Contains(t, page, "signed in as user_1", "a form that is too long changes nothing")
	p.post("/signout")
	status, _ = p.get("/agent")
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestAdmin(t *testing.T) {
	s := newSite(t, nil)
	talker := s.visit(t, "user_1")
	_, end := talker.answer(talker.say(talker.newChat(), "SLOW 1 one two three"))
	require.Empty(t, end)
	s.visit(t, "user_2").newChat()
	extra, err := s.client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: s.model, Tags: []string{s.prefix + "user_2"}})
	require.NoError(t, err)
	p := s.visit(t, "admin")
	_, page := p.get("/admin")
	assert.Contains(t, page, "1 user has several agents")
	assert.Contains(t, page, string(extra.ID))
	id, err := s.agents.Find(t.Context(), "user_1")
	require.NoError(t, err)
	usage, err := s.client.Agents.Usage(t.Context(), id, nil)
	require.NoError(t, err)
	assert.Positive(t, usage.TotalTokens)
	assert.Contains(t, page, fmt.Sprintf("%s tokens<br><small>%s<", count(usage.TotalTokens), turns(usage)))
	assert.Contains(t, page, "0 tokens<br><small>0 turns<", "user_2 said nothing")
	_, page = p.get("/admin?days=1")
	assert.Contains(t, page, `<a href="/admin?days=1" aria-current="page">24 hours</a>`)
	status, _ := p.post("/admin/delete", "user", "user_2")
	assert.Equal(t, http.StatusSeeOther, status)
	agents, err := s.client.Agents.List(t.Context(), letta.Tags(s.prefix+"user_2"))
	require.NoError(t, err)
	assert.Empty(t, agents)
	_, page = p.get("/admin")
	assert.NotContains(t, page, "several agents")
	assert.Contains(t, page, s.prefix+"user_1")
}

func TestErrors(t *testing.T) {
	s := newSite(t, nil)
	if s.letta == nil {
		t.Skip("a real server does not fail on demand")
	}
	p := s.visit(t, "user_1")
	chat := p.newChat()
	s.letta.Fail(lettatest.Fault{Path: "/v1/conversations/*", Status: 500})
	status, body := p.get(chat)
	assert.Equal(t, http.StatusBadGateway, status)
	assert.Contains(t, body, "out of reach")
}

// TestShutdown: an answer that is being shown comes to its end, and nothing new begins.
func TestShutdown(t *testing.T) {
	s := newSite(t, nil)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, s.handler()) }()
	s.url = "http://" + listener.Addr().String()
	p := s.visit(t, "user_1")
	run := p.say(p.newChat(), "SLOW 100 a b c d e f g h i j last")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+run, nil)
	require.NoError(t, err)
	resp, err := p.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	reader := bufio.NewReader(resp.Body)
	_, err = reader.ReadString('\n')
	require.NoError(t, err)
	stop()
	rest, err := io.ReadAll(reader)
	require.NoError(t, err)
	assert.Contains(t, string(rest), "last")
	assert.Contains(t, string(rest), "event: end")
	require.NoError(t, <-served)
	_, err = p.http.Get(s.url)
	assert.Error(t, err)
}

// TestManyChats: many users' answers at once, and each gets all of its own and nothing else.
func TestManyChats(t *testing.T) {
	n := *chatsFlag
	s := newSite(t, func(c *config) { c.users = n })
	if s.letta == nil {
		t.Skip("a load test is for lettatest")
	}
	var before, during runtime.MemStats
	people, chats := make([]*person, n), make([]string, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			people[i] = s.visit(t, fmt.Sprintf("user_%d", i+1))
			chats[i] = people[i].newChat()
		})
	}
	group.Wait()
	runtime.GC()
	runtime.ReadMemStats(&before)
	words := func(i int) string {
		var all []string
		for j := range 40 {
			all = append(all, fmt.Sprintf("u%d.%d", i, j))
		}
		return strings.Join(all, " ")
	}
	failures := make(chan error, n)
	for i := range n {
		group.Go(func() {
			p := people[i]
			items, end := p.answer(p.say(chats[i], "SLOW 100 "+words(i)))
			if len(items) != 1 || !strings.Contains(items[0], "<p>"+words(i)+"</p>") || end != "" {
				failures <- errors.Join(fmt.Errorf("chat %d: %q, end %q", i, items, end))
			}
		})
	}
	time.Sleep(2 * time.Second) // the middle: most are streaming
	runtime.GC()
	runtime.ReadMemStats(&during)
	group.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	used := func(m *runtime.MemStats) uint64 { return m.HeapAlloc + m.StackInuse }
	t.Logf("%d chats at once; heap and stacks grew by %d KiB for each, with this test's browser and lettatest in it", n, (int64(used(&during))-int64(used(&before)))/int64(n)/1024)
}
