package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta"
)

var (
	needBrowser = flag.Bool("browser", false, "fail where there is no Chromium, instead of skipping its tests")
	screenshots = flag.String("screenshots", "", "the folder to write screenshots to")
)

// tab is a browser of one person: nobody else's cookies.
type tab struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp's way
	url string
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const why = "there is no Chromium here: on Debian, apt-get install chromium"
	if *needBrowser {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// open starts a browser and signs in.
func (s *site) open(t *testing.T, user string) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(1280, 800), chromedp.WSURLReadTimeout(time.Minute), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancel() })
	require.NoError(t, chromedp.Run(ctx))
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t, ctx, s.url}
	b.do(chromedp.Navigate(s.url))
	if user != "" {
		b.do(chromedp.SetValue("#user", user), chromedp.Click("button.primary"), chromedp.WaitVisible(".who .name"))
	}
	return b
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		var text string
		_ = chromedp.Run(b.ctx, chromedp.Evaluate(`location.href + "\n" + (document.body?.innerText ?? "")`, &text))
		require.NoError(b.t, err, text)
	}
}

func (b *tab) text(selector string) (text string) {
	b.t.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll(%q)].map(e => e.innerText).join("\n")`, selector), &text))
	return text
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	b.do(chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(time.Minute)))
}

func (b *tab) newChat() {
	b.t.Helper()
	b.do(chromedp.Click(".side button.primary"), chromedp.WaitVisible("[data-composer]"))
}

// say types a message and presses Enter.
func (b *tab) say(text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys("#text", text+kb.Enter), chromedp.WaitVisible(`[aria-busy="true"], [data-error]:not([hidden])`))
}

const (
	done    = `document.querySelector("[data-live]") !== null && document.querySelector("[aria-busy=true]") === null`
	slowOne = "SLOW 150 one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
)

func TestBrowserChat(t *testing.T) {
	s := newSite(t, nil)
	b := s.open(t, "user_1")
	b.newChat()
	b.say(slowOne)
	b.until(`document.querySelector(".prose")?.innerText.includes("two")`)
	assert.NotContains(t, b.text(".prose"), "twenty", "it streams")
	assert.Contains(t, b.text("[data-progress]"), "Stop")

	// A reload in mid-answer shows all of it: what was said before, and what comes.
	b.do(chromedp.Reload())
	b.until(`document.querySelector(".prose")?.innerText.includes("three")`)
	assert.Contains(t, b.text(".bubble"), "SLOW 150")
	b.until(done)
	assert.Equal(t, strings.TrimPrefix(slowOne, "SLOW 150 "), b.text(".prose"))
	b.do(chromedp.Reload(), chromedp.WaitVisible(".prose"))
	assert.Equal(t, strings.TrimPrefix(slowOne, "SLOW 150 "), b.text(".prose"))

	// Stop.
	b.newChat()
	b.say("SLOW 400 " + strings.Repeat("word ", 200) + "last")
	b.until(`document.querySelector(".prose") !== null`)
	b.do(chromedp.Click("[data-stop]"))
	b.until(done)
	assert.Contains(t, b.text(".note"), "You stopped")
	assert.NotContains(t, b.text(".prose"), "last")
	// The chat goes on, and a failure of the model is told.
	b.say("FAIL 429")
	b.until(done)
	assert.Contains(t, b.text(".note.error"), "overloaded")

	// A tool that needs approval.
	b.newChat()
	b.say(`CALL memory_insert {"label": "human", "new_string": "likes rain"}`)
	b.do(chromedp.WaitVisible("[data-approval]"))
	assert.Contains(t, b.text("[data-approval]"), "likes rain")
	b.do(chromedp.Click(`[data-approval] [value="allow"]`), chromedp.WaitNotPresent("[data-approval]"))
	b.until(done)
	b.do(chromedp.Navigate(s.url+"/agent"), chromedp.WaitVisible("#value-human"))
	var value string
	b.do(chromedp.Value("#value-human", &value))
	assert.Contains(t, value, "likes rain")
}

func TestBrowserAgent(t *testing.T) {
	s := newSite(t, nil)
	b := s.open(t, "user_1")
	b.do(chromedp.Click(`nav a[href="/agent"]`), chromedp.WaitVisible("#tag"))
	b.do(chromedp.SendKeys("#tag", s.prefix+"vip"+kb.Enter), chromedp.WaitVisible(`.tag button[value$="vip"]`))
	agents, err := s.client.Agents.List(t.Context(), letta.Tags(s.prefix+"vip"))
	require.NoError(t, err)
	require.Len(t, agents, 1)
	id, err := s.agents.Find(t.Context(), "user_1")
	require.NoError(t, err)
	assert.Equal(t, id, agents[0].ID)
	b.do(chromedp.Click(`.tag button[value$="vip"]`), chromedp.WaitNotPresent(`.tag button[value$="vip"]`))
	agents, err = s.client.Agents.List(t.Context(), letta.Tags(s.prefix+"vip"))
	require.NoError(t, err)
	assert.Empty(t, agents)

	b.do(chromedp.SetValue("#value-human", "Line one\nline two"), chromedp.Click("#block-human button"), chromedp.WaitVisible(".saved"))
	block, err := s.client.Agents.Blocks.Retrieve(t.Context(), id, "human")
	require.NoError(t, err)
	assert.Equal(t, "Line one\nline two", block.Value)
}

// TestBrowserHostile: what a user or a model writes does not run, and another user's address shows nothing.
func TestBrowserHostile(t *testing.T) {
	s := newSite(t, nil)
	b := s.open(t, "user_1")
	b.newChat()
	b.say(`ECHO <script>window.hacked=1</script><img src=x onerror="window.hacked=2"><b onclick=1>secret</b> [go](javascript:window.hacked=3)`)
	b.until(done)
	b.do(chromedp.Reload(), chromedp.WaitVisible(".prose"))
	var hacked, inline, links bool
	b.do(chromedp.Evaluate(`window.hacked !== undefined`, &hacked),
		chromedp.Evaluate(`(() => { const s = document.createElement("script"); s.textContent = "window.inline = 1"; document.body.append(s); return window.inline !== undefined })()`, &inline),
		chromedp.Evaluate(`document.querySelector('.log a[href^="javascript"], .prose img, .prose script, .prose b') !== null`, &links))
	assert.False(t, hacked)
	assert.False(t, inline, "the policy lets no inline script run")
	assert.False(t, links)

	var address, text string
	b.do(chromedp.Location(&address))
	other := s.open(t, "user_2")
	other.do(chromedp.Navigate(address), chromedp.WaitVisible("[role=alert]"), chromedp.Text("body", &text))
	assert.Contains(t, text, "no such thing")
	assert.NotContains(t, text, "secret")
}

// TestBrowserReconnect: a lost connection in mid-answer is taken up again.
func TestBrowserReconnect(t *testing.T) {
	s := newSite(t, nil)
	b := s.open(t, "user_1")
	b.newChat()
	b.say(slowOne)
	b.until(`document.querySelector(".prose")?.innerText.includes("two")`)
	s.cut()
	b.until(done)
	assert.Equal(t, strings.TrimPrefix(slowOne, "SLOW 150 "), b.text(".prose"))
}

// TestScreenshots writes those under docs/screenshots: go test -run TestScreenshots -screenshots ../../docs/screenshots
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("-screenshots names no folder")
	}
	s := newSite(t, func(c *config) { c.prefix = "" })
	b := s.open(t, "")
	shoot := func(name string, scheme string, mobile bool) {
		t.Helper()
		width, height, scale := int64(1100), int64(720), 1.0
		if mobile {
			width, height, scale = 390, 780, 1.5
			name += "-phone"
		}
		var picture []byte
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)), chromedp.Sleep(300*time.Millisecond),
			chromedp.Evaluate(`document.querySelector(".log")?.scrollTo(0, 1e6)`, nil),
			chromedp.ActionFunc(func(ctx context.Context) (err error) {
				picture, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatPng).Do(ctx)
				return err
			}))
		require.NoError(t, os.WriteFile(filepath.Join(*screenshots, "webapp-"+name+".png"), picture, 0o600))
	}
	both := func(name string) {
		t.Helper()
		shoot(name, "light", false)
		shoot(name, "light", true)
		b.do(chromedp.EmulateViewport(1100, 720))
	}
	both("signin")
	b.do(chromedp.Click("button.primary"), chromedp.WaitVisible(".welcome"))
	for _, text := range []string{"Hello", "Plan a weekend in Bergen"} {
		b.newChat()
		b.say(text)
		b.until(done)
	}
	b.newChat()
	b.say("What is the weather in Oslo?")
	b.until(done)
	b.do(chromedp.Click(".fold.thought summary"), chromedp.Click(".fold.call summary"))
	b.say("Tell me a story")
	b.until(`document.querySelector(".live:last-child .prose ol") !== null`)
	both("chat")
	shoot("chat-dark", "dark", false)
	b.do(chromedp.EmulateViewport(1100, 720))
	b.until(done)
	b.newChat()
	b.say("Remember that I like rain")
	b.do(chromedp.WaitVisible("[data-approval]"))
	both("approval")
	b.do(chromedp.Click(`[data-approval] [value="allow"]`))
	b.until(done)
	b.say("Fail")
	b.until(done)
	both("error")
	b.do(chromedp.Navigate(s.url + "/chats"))
	both("chats")
	b.do(chromedp.Navigate(s.url+"/agent"), chromedp.SendKeys("#tag", "vip"+kb.Enter), chromedp.WaitVisible(`.tag button[value="vip"]`))
	both("agent")
	s.visit(t, "user_2").newChat()
	s.visit(t, "user_3").newChat()
	_, err := s.client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: s.model, Name: "Agent of user_2", Tags: []string{"user_2"}})
	require.NoError(t, err)
	b.do(chromedp.Click(".who button"), chromedp.WaitVisible("#user"), chromedp.Click(`[value="admin"]`), chromedp.WaitVisible(".users"))
	both("admin")
}
