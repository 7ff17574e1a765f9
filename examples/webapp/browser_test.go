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
	require.NoError(t, chromedp.Do(ctx)) // starts the browser, which lives as long as this context
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t, ctx, s.url}
	b.do(chromedp.Navigate(s.url))
	if user != "" {
		b.do(set("#user", user), click("button.primary"), see(".who"))
	}
	return b
}

type step = chromedp.Action[chromedp.Void]

func (b *tab) do(steps ...step) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		defer cancel()
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
		require.NoError(b.t, err, text)
	}
}

func click(selector string) step { return chromedp.Click(chromedp.CSS(selector)) }
func enter(selector, text string) step {
	return chromedp.SendKeys(chromedp.CSS(selector), text+kb.Enter)
}
func see(selector string) step        { return chromedp.WaitVisible(chromedp.CSS(selector)) }
func gone(selector string) step       { return chromedp.WaitNotPresent(chromedp.CSS(selector)) }
func set(selector, value string) step { return chromedp.SetValue(chromedp.CSS(selector), value) }

// value is that of an expression in the page.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err)
	return v
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	return value[string](b, fmt.Sprintf(`[...document.querySelectorAll(%q)].map(e => e.innerText).join("\n")`, selector))
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(2*time.Minute)))
	require.NoError(b.t, err, expression)
}

func (b *tab) newChat() {
	b.t.Helper()
	b.do(click(".side button.primary"), see("[data-empty]"))
}

// say types a message and presses Enter.
func (b *tab) say(text string) {
	b.t.Helper()
	n := value[int](b, `document.querySelectorAll("[data-live]").length`)
	b.do(enter("#text", text))
	b.until(fmt.Sprintf(`document.querySelectorAll("[data-live]").length > %d`, n))
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
	b.do(chromedp.Reload(), see(".prose"))
	assert.Equal(t, strings.TrimPrefix(slowOne, "SLOW 150 "), b.text(".prose"))

	// Stop.
	b.newChat()
	b.say("SLOW 400 " + strings.Repeat("word ", 200) + "last")
	b.until(`document.querySelector(".prose") !== null`)
	b.do(click("[data-stop]"))
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
	b.do(see("[data-approval]"))
	assert.Contains(t, b.text("[data-approval]"), "likes rain")
	b.do(click(`[data-approval] [value="allow"]`), gone("[data-approval]"))
	b.until(done)
	b.do(chromedp.Navigate(s.url+"/agent"), see("#value-human"))
	assert.Contains(t, value[string](b, `document.querySelector("#value-human").value`), "likes rain")
}

func TestBrowserAgent(t *testing.T) {
	s := newSite(t, nil)
	b := s.open(t, "user_1")
	b.do(click(`nav a[href="/agent"]`), see("#tag"))
	b.do(enter("#tag", s.prefix+"vip"), see(`.tag button[value$="vip"]`))
	agents, err := s.client.Agents.List(t.Context(), letta.Tags(s.prefix+"vip"))
	require.NoError(t, err)
	require.Len(t, agents, 1)
	id, err := s.agents.Find(t.Context(), "user_1")
	require.NoError(t, err)
	assert.Equal(t, id, agents[0].ID)
	b.do(click(`.tag button[value$="vip"]`), gone(`.tag button[value$="vip"]`))
	agents, err = s.client.Agents.List(t.Context(), letta.Tags(s.prefix+"vip"))
	require.NoError(t, err)
	assert.Empty(t, agents)

	b.do(set("#value-human", "Line one\nline two"), click("#block-human button"), see(".saved"))
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
	b.do(chromedp.Reload(), see(".prose"))
	assert.False(t, value[bool](b, `window.hacked !== undefined`))
	assert.False(t, value[bool](b, `(() => {
		const script = document.createElement("script");
		script.textContent = "window.inline = 1";
		document.body.append(script);
		return window.inline !== undefined;
	})()`), "the policy lets no inline script run")
	assert.False(t, value[bool](b, `document.querySelector('.log a[href^="javascript"], .prose img, .prose script, .prose b') !== null`))

	other := s.open(t, "user_2")
	other.do(chromedp.Navigate(value[string](b, `location.href`)), see("[role=alert]"))
	text := other.text("body")
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
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		require.NoError(t, err)
		b.do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)), chromedp.Sleep(300*time.Millisecond))
		value[bool](b, `(document.querySelector(".log")?.scrollTo(0, 1e6), true)`)
		if value[bool](b, `document.querySelector(".page") !== null`) { // all of a page that scrolls
			height = max(height, value[int64](b, `document.querySelector(".page").scrollHeight + document.querySelector(".bar").offsetHeight`))
			b.do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)))
		}
		picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(*screenshots, "webapp-"+name+".png"), picture, 0o644))
	}
	both := func(name string) {
		t.Helper()
		shoot(name, "light", false)
		shoot(name, "light", true)
		b.do(chromedp.EmulateViewport(1100, 720))
	}
	both("signin")
	b.do(click("button.primary"), see(".welcome"))
	for _, text := range []string{"Hello", "Plan a weekend in Bergen"} {
		b.newChat()
		b.say(text)
		b.until(done)
	}
	b.newChat()
	b.say("What is the weather in Oslo?")
	b.until(done)
	b.do(click(".fold.thought summary"), click(".fold.call summary"))
	b.say("Tell me a story")
	b.until(`document.querySelector(".live:last-child .prose ol") !== null`)
	both("chat")
	shoot("chat-dark", "dark", false)
	b.do(chromedp.EmulateViewport(1100, 720))
	b.until(done)
	b.newChat()
	b.say("Remember that I like rain")
	b.do(see("[data-approval]"))
	both("approval")
	b.do(click(`[data-approval] [value="allow"]`), gone("[data-approval]"))
	b.until(done)
	b.say("Fail")
	b.until(done)
	both("error")
	b.do(chromedp.Navigate(s.url + "/chats"))
	both("chats")
	b.do(chromedp.Navigate(s.url+"/agent"), enter("#tag", "vip"), see(`.tag button[value="vip"]`))
	both("agent")
	for user, texts := range map[string][]string{"user_2": {"Hello", "Tell me a story"}, "user_3": {"What is the weather in Rome?"}} {
		p := s.visit(t, user)
		chat := p.newChat()
		for _, text := range texts {
			p.answer(p.say(chat, text))
		}
	}
	_, err := s.client.Agents.Create(t.Context(), &letta.AgentCreateParams{Model: s.model, Name: "Agent of user_2", Tags: []string{"user_2"}})
	require.NoError(t, err)
	b.do(click(".who button"), see("#user"), click(`[value="admin"]`), see(".users"))
	both("admin")
}
