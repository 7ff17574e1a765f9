package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// consumers are the programs under consumers. Each uses two services of a client library, and the first uses none.
var consumers = []string{"nethttp", "letta", "gogithub", "openai", "anthropic"}

var consumerOf = map[string]string{ours: "letta", standard: "nethttp"}

// libraries are their module, the package with the services, and which of these the program uses.
var libraries = map[string]struct {
	module, pkg string
	uses        *regexp.Regexp
}{
	"letta":     {"github.com/letta-go/letta", "github.com/letta-go/letta", regexp.MustCompile(`^(Agent|AgentMessage)Service$`)},
	"gogithub":  {"github.com/google/go-github/v89", "github.com/google/go-github/v89/github", regexp.MustCompile(`^(Repositories|Issues)Service$`)},
	"openai":    {"github.com/openai/openai-go/v3", "github.com/openai/openai-go/v3", regexp.MustCompile(`^(Model|Chat|ChatCompletion)Service$`)},
	"anthropic": {"github.com/anthropics/anthropic-sdk-go", "github.com/anthropics/anthropic-sdk-go", regexp.MustCompile(`^(Model|Message)Service$`)},
}

const buildRounds = 2 // a build takes long, and the same work every time

// runBuilds builds the consumers, with a cache that holds the standard library alone.
func runBuilds(p plan, r *results) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	goCommand := func(cache string, args ...string) *exec.Cmd {
		cmd := newCommand("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOCACHE="+cache)
		return cmd
	}
	list := []string{"list", "-deps", "-f", "{{if .Standard}}{{.ImportPath}}{{end}}"}
	for _, name := range p.builds {
		r.Builds = append(r.Builds, build{Name: name})
		list = append(list, "./consumers/"+name)
	}
	warm := filepath.Join(dir, "std")
	cmd := goCommand(warm, list...)
	standard, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%v: %w", cmd.Args, err)
	}
	if p.share == 1 { // else the program is built with what it needs, which is quicker
		if _, _, err := once(goCommand(warm, append([]string{"build", "-trimpath"}, strings.Fields(string(standard))...)...)); err != nil {
			return err
		}
	}
	for range min(p.rounds, buildRounds) {
		for i := range r.Builds {
			x := &r.Builds[i]
			cache, file := filepath.Join(dir, "cache"), filepath.Join(dir, x.Name)
			if err := os.CopyFS(cache, os.DirFS(warm)); err != nil {
				return err
			}
			cpu, _, err := once(goCommand(cache, "build", "-trimpath", "-o", file, "./consumers/"+x.Name))
			if err != nil {
				return err
			}
			if err := os.RemoveAll(cache); err != nil {
				return err
			}
			x.CPU = append(x.CPU, cpu)
		}
	}
	for i := range r.Builds {
		if err := r.Builds[i].look(filepath.Join(dir, r.Builds[i].Name)); err != nil {
			return err
		}
	}
	return nil
}

// method is a method of a service as go tool nm names it, such as (*AgentService).List and its closures.
var method = regexp.MustCompile(`^\(?\*?(\w+Service)\)?\.`)

// look measures the program that was built.
func (x *build) look(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	x.Size = info.Size()
	library, ok := libraries[x.Name]
	if !ok {
		return nil
	}
	if x.Version, err = moduleVersion(library.module); err != nil {
		return err
	}
	symbols, err := newCommand("go", "tool", "nm", "-size", file).Output()
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(symbols)) {
		f := strings.Fields(line) // address, size, type, name
		if len(f) < 4 || f[2] != "T" && f[2] != "t" {
			continue
		}
		name, ours := strings.CutPrefix(f[3], library.pkg+".")
		if !ours {
			continue
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return err
		}
		x.Code += size
		if m := method.FindStringSubmatch(name); m != nil && !library.uses.MatchString(m[1]) {
			x.Unused += size
		}
	}
	return nil
}

func moduleVersion(module string) (string, error) {
	out, err := newCommand("go", "list", "-m", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	var m struct{ Version string }
	err = json.Unmarshal(out, &m)
	return m.Version, err
}
