package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a worker, seen from the program that asks it.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// newCommand is a program that ends by itself, or with its input.
func newCommand(name string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), name, args...)
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	cmd.Stderr = os.Stderr
	return p, cmd.Start()
}

// line is the next line that the process writes.
func (p *process) line() (string, error) {
	if p.out.Scan() {
		return p.out.Text(), nil
	}
	if err := p.out.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%s ended", strings.Join(p.cmd.Args, " "))
}

// round asks for a number of calls. Each must come to want.
func (p *process) round(calls, want int) (sample, error) {
	var s sample
	if _, err := fmt.Fprintln(p.in, calls); err != nil {
		return s, err
	}
	text, err := p.line()
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("%q: %w", text, err)
	}
	switch {
	case s.Error != "":
		return s, errors.New(s.Error)
	case want != anything && s.Result != want:
		return s, fmt.Errorf("%s comes to %d, not %d", strings.Join(p.cmd.Args, " "), s.Result, want)
	}
	return s, nil
}

// memory is a line of /proc/PID/status, in bytes: VmRSS for what is in use, VmHWM for the peak.
func (p *process) memory(name string) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("this needs Linux: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if key, value, _ := strings.Cut(line, ":"); key == name {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", data, name)
}

// end closes the worker's input and waits.
func (p *process) end() error {
	_ = p.in.Close()
	return p.cmd.Wait()
}

// lab is where the processes are made.
type lab struct {
	base    string // of the server
	env     string // the folder with the Python and Node environments
	profile string // file for a CPU profile of the Go clients
}

const (
	lettaClient = "1.12.1" // of both official clients
	venv        = "python"
	nodeFolder  = "node"
)

// prepare installs the official clients, unless they are there.
func (l *lab) prepare(kinds []string) error {
	run := func(name string, args ...string) error {
		out, err := newCommand(name, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
		}
		return nil
	}
	for _, kind := range kinds {
		var err error
		switch kind {
		case python:
			err = write(l.env, "client.py")
			if _, missing := os.Stat(l.env + "/" + venv + "/bin/python"); missing != nil && err == nil {
				err = errors.Join(run("python3", "-m", "venv", l.env+"/"+venv),
					run(l.env+"/"+venv+"/bin/python", "-m", "pip", "install", "--quiet", "letta-client=="+lettaClient))
			}
		case typescript:
			err = write(l.env+"/"+nodeFolder, "client.mjs") // node looks for packages beside the script
			if _, missing := os.Stat(l.env + "/" + nodeFolder + "/node_modules"); missing != nil && err == nil {
				err = run("npm", "install", "--prefix", l.env+"/"+nodeFolder, "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "@letta-ai/letta-client@"+lettaClient)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func write(dir, name string) error {
	data, err := scripts.ReadFile("clients/" + name)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(dir+"/"+name, data, 0o644))
}

// command is a worker of a client.
func (l *lab) command(kind, name string, workers int) *exec.Cmd {
	args := []string{l.base, name, strconv.Itoa(workers)}
	switch kind {
	case python:
		return newCommand(l.env+"/"+venv+"/bin/python", append([]string{l.env + "/client.py"}, args...)...)
	case typescript:
		return newCommand("node", append([]string{"--expose-gc", l.env + "/" + nodeFolder + "/client.mjs"}, args...)...)
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return newCommand(self, append([]string{"worker", kind}, append(args, l.profile)...)...)
}

// once runs a command to its end, and returns its CPU time with that of its children, and the wall clock's.
func once(cmd *exec.Cmd) (cpu, wall int64, err error) {
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	wall = time.Since(began).Nanoseconds()
	return cmd.ProcessState.UserTime().Nanoseconds() + cmd.ProcessState.SystemTime().Nanoseconds(), wall, nil
}
