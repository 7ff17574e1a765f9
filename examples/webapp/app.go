package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"golang.org/x/time/rate"

	"github.com/letta-go/letta"
	"github.com/letta-go/letta/peruser"
)

//go:embed static templates
var assets embed.FS

const admin = "admin"

// securityPolicy allows what this program serves, and nothing else: no inline script or style, no picture of another site.
const securityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

type config struct {
	client *letta.Client
	model  string
	tools  []string   // for new agents, beside Letta's own
	users  int        // user_1 to user_N
	prefix string     // of the tags, so that programs can share a server
	pace   rate.Limit // messages per second and user; 1 if it is 0
	burst  int        // 10 if it is 0
	secure bool
	log    *slog.Logger
}

type app struct {
	config
	agents   *peruser.Users
	sessions *scs.SessionManager
	pages    *template.Template
	names    []string
	limits   map[string]*rate.Limiter // by user
	created  sync.Map                 // users whose agents this process made
}

func newApp(cfg config) (*app, error) {
	a := &app{config: cfg, sessions: scs.New(), limits: map[string]*rate.Limiter{}}
	a.sessions.Lifetime = 12 * time.Hour
	a.sessions.Cookie.SameSite = http.SameSiteStrictMode
	a.sessions.Cookie.Secure = cfg.secure
	for i := range cfg.users {
		name := fmt.Sprintf("user_%d", i+1)
		a.names = append(a.names, name)
		a.limits[name] = rate.NewLimiter(cmp.Or(cfg.pace, 1), cmp.Or(cfg.burst, 10))
	}
	var err error
	if a.pages, err = template.New("").Funcs(template.FuncMap{"ago": ago, "count": count, "turns": turns}).ParseFS(assets, "templates/*.html"); err != nil {
		return nil, err
	}
	a.agents, err = peruser.New(cfg.client, peruser.Options{
		Create: a.newAgent,
		Tag:    func(user string) string { return cfg.prefix + user },
		UserID: a.userOf,
	})
	return a, err
}

// newAgent describes the agent of a new user.
func (a *app) newAgent(_ context.Context, user string) (*letta.AgentCreateParams, error) {
	a.created.Store(user, true)
	return &letta.AgentCreateParams{
		Name:  "Agent of " + user, // users are user_1 and so on; an e-mail address would be no valid Name
		Model: a.model,
		Tools: a.tools,
		MemoryBlocks: []letta.CreateBlock{
			{Label: "human", Value: "The user signed in as " + user + "."},
			{Label: "persona", Value: "I am a helpful agent who remembers."},
		},
		// The user is asked before the agent writes into its memory.
		ToolRules: []letta.ToolRule{&letta.RequiresApprovalToolRule{ToolName: "memory_insert"}},
	}, nil
}

// removeNew removes the users whose agents this process made.
func (a *app) removeNew() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for user := range a.created.Range {
		if err := a.agents.Delete(ctx, user.(string)); err != nil {
			a.log.Error("a user was not removed", "user", user, "error", err)
		}
	}
}

var userName = regexp.MustCompile(`^user_[0-9]+$`)

// userOf is the user whose agent has this tag. Whoever gives an agent such a tag gives it to that user: see addTag.
func (a *app) userOf(tag string) (string, bool) {
	user, ok := strings.CutPrefix(tag, a.prefix)
	return user, ok && userName.MatchString(user)
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.FileServerFS(assets))
	mux.Handle("GET /{$}", a.page(a.signInPage))
	mux.Handle("POST /signin", a.page(a.signIn))
	mux.Handle("POST /signout", a.page(a.signOut))

	mux.Handle("GET /chats", a.own(a.showChats))
	mux.Handle("POST /chats", a.own(a.newChat))
	mux.Handle("GET /chats/{chat}", a.own(a.showChat))
	mux.Handle("POST /chats/{chat}/delete", a.own(a.deleteChat))
	mux.Handle("POST /chats/{chat}/messages", a.own(a.send))
	mux.Handle("POST /chats/{chat}/approvals", a.own(a.answerApproval))
	mux.Handle("GET /chats/{chat}/runs/{run}", a.own(a.follow))
	mux.Handle("POST /chats/{chat}/runs/{run}/stop", a.own(a.stop))

	mux.Handle("GET /agent", a.own(a.showAgent))
	mux.Handle("POST /agent/tags", a.own(a.addTag))
	mux.Handle("POST /agent/tags/remove", a.own(a.removeTag))
	mux.Handle("POST /agent/blocks/{label}", a.own(a.saveBlock))

	mux.Handle("GET /admin", a.page(a.showAdmin))
	mux.Handle("POST /admin/delete", a.page(a.deleteUser))
	mux.Handle("/", a.page(func(http.ResponseWriter, *http.Request) error { return letta.ErrNotFound }))

	h := http.NewCrossOriginProtection().Handler(a.sessions.LoadAndSave(mux))
	return http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", securityPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	}), 256<<10)
}

// A handler that fails has written nothing yet.
type handler func(http.ResponseWriter, *http.Request) error

// page answers the errors of a handler.
func (a *app) page(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := r.ParseForm() // here, since PostFormValue would take a form that is too long for an empty one
		if err == nil {
			err = h(w, r)
		} else {
			err = errForm
		}
		if err != nil {
			a.showError(w, r, err)
		}
	})
}

// own is a page about the signed-in user's agent, which is made at the user's first visit.
func (a *app) own(h func(http.ResponseWriter, *http.Request, letta.AgentID) error) http.Handler {
	return a.page(func(w http.ResponseWriter, r *http.Request) error {
		user := a.user(r)
		if a.limits[user] == nil {
			return errSignIn
		}
		return a.agents.Do(r.Context(), user, func(_ context.Context, agent letta.AgentID) error { return h(w, r, agent) })
	})
}

func (a *app) user(r *http.Request) string { return a.sessions.GetString(r.Context(), "user") }

// failure is an error of this program's own.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

var (
	errSignIn  = &failure{http.StatusUnauthorized, "Please sign in first."}
	errTooFast = &failure{http.StatusTooManyRequests, "That was a lot of messages at once. Please wait a few seconds."}
	errForm    = &failure{http.StatusBadRequest, "That was too long, or not complete."}
	errEmpty   = &failure{http.StatusBadRequest, "There is nothing to send."}
)

// explain says in a user's words what went wrong. What the server said goes to the log only.
func explain(err error) (status int, text string) {
	if own, ok := errors.AsType[*failure](err); ok {
		return own.status, own.text
	}
	status = letta.HTTPStatus(err)
	switch {
	case errors.Is(err, letta.ErrPendingApproval):
		text = "The agent is waiting for your answer to its question. Please answer that first."
	case errors.Is(err, letta.ErrNothingPending), errors.Is(err, letta.ErrInvalidApprovals):
		text = "That question was answered already. Reload the page to see what became of it."
	case errors.Is(err, letta.ErrBusy):
		text = "The agent is still answering in this chat. Please wait for it, or stop it."
	case errors.Is(err, letta.ErrProvider):
		text = "The language model is overloaded or out of reach. Please try again in a moment."
	case status == http.StatusNotFound:
		text = "There is no such thing here."
	case status == http.StatusBadRequest:
		text = "That was not accepted. Please check what you entered."
	case status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout, status == http.StatusBadGateway:
		text = "The agents are out of reach at the moment. Please try again soon."
	default:
		text = "Something went wrong on our side. Please try again."
	}
	return status, text
}

// showError shows a page to a person, and text to the script of the page.
func (a *app) showError(w http.ResponseWriter, r *http.Request, err error) {
	status, text := explain(err)
	if _, own := errors.AsType[*failure](err); !own {
		a.log.Warn("request failed", "path", r.URL.Path, "user", a.user(r), "status", status, "error", err)
	}
	switch navigates := r.Header.Get("Sec-Fetch-Mode") == "navigate"; {
	case navigates && errors.Is(err, errSignIn):
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case navigates:
		a.render(w, r, status, "error", "Sorry", text)
	default:
		http.Error(w, text, status)
	}
}

// view is what every page gets.
type view struct {
	Title, User string
	Admin       bool
	Data        any
}

func (a *app) render(w http.ResponseWriter, r *http.Request, status int, page, title string, data any) {
	user := a.user(r)
	a.write(w, status, page, view{Title: title, User: user, Admin: user == admin, Data: data})
}

func (a *app) write(w http.ResponseWriter, status int, name string, data any) {
	var out strings.Builder
	if err := a.pages.ExecuteTemplate(&out, name+".html", data); err != nil {
		a.log.Error("template", "name", name, "error", err)
		http.Error(w, "This page is broken.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(out.String()))
}

func (a *app) signInPage(w http.ResponseWriter, r *http.Request) error {
	switch user := a.user(r); {
	case user == admin:
		http.Redirect(w, r, "/admin", http.StatusSeeOther)
	case user != "":
		http.Redirect(w, r, "/chats", http.StatusSeeOther)
	default:
		a.render(w, r, http.StatusOK, "signin", "Sign in", a.names)
	}
	return nil
}

// signIn believes whoever asks. Here a real program checks a password, or asks an identity provider.
func (a *app) signIn(w http.ResponseWriter, r *http.Request) error {
	user := r.PostFormValue("user")
	if user != admin && a.limits[user] == nil {
		return &failure{http.StatusBadRequest, "There is no such user."}
	}
	if err := a.sessions.RenewToken(r.Context()); err != nil { // so that nobody can plant a session
		return err
	}
	a.sessions.Put(r.Context(), "user", user)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (a *app) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := a.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// count writes a number with a space between thousands that does not break.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

// turns says how often an agent worked: by runs, or where the server lists steps by those.
func turns(u *letta.AgentUsage) string {
	n, word := u.Runs, "turn"
	if u.Steps > 0 {
		n, word = u.Steps, "step"
	}
	if n != 1 {
		word += "s"
	}
	return count(n) + " " + word
}

func ago(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return t.Format("2 January 2006")
}
