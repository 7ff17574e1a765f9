// Package services runs a PostgreSQL or a Redis of a test's own, on a free port of the loopback interface.
//
// Their programs come from PATH and Debian's folders, or from what `scripts/letta-server tools` installs:
// LETTA_POSTGRES_BIN is a folder with initdb and postgres, LETTA_REDIS_SERVER a program.
package services

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Service is a server of a test.
type Service struct {
	Addr string // host:port

	t       testing.TB
	command func() *exec.Cmd
	cmd     *exec.Cmd
	ready   func() bool
}

// Redis starts a Redis that keeps nothing on disk.
func Redis(t testing.TB) *Service {
	t.Helper()
	program := find(t, "redis-server", os.Getenv("LETTA_REDIS_SERVER"))
	s := newService(t)
	_, port, _ := net.SplitHostPort(s.Addr)
	dir := t.TempDir()
	s.command = func() *exec.Cmd {
		return exec.CommandContext(context.Background(), program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir)
	}
	s.Start()
	return s
}

// Postgres starts a PostgreSQL with the user and the database postgres, without a password.
func Postgres(t testing.TB) *Service {
	t.Helper()
	candidates := []string{}
	if bin := os.Getenv("LETTA_POSTGRES_BIN"); bin != "" {
		candidates = append(candidates, filepath.Join(bin, "initdb"))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	initdb := find(t, "initdb", append(candidates, debian...)...)
	if resolved, err := filepath.EvalSymlinks(initdb); err == nil {
		initdb = resolved
	}
	s := newService(t)
	_, port, _ := net.SplitHostPort(s.Addr)
	// PostgreSQL refuses root, and nobody can look neither into root's home nor into t.TempDir.
	dir, err := os.MkdirTemp("", "letta-go-pg") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin, attributes := filepath.Dir(initdb), &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		const nobody = 65534
		attributes.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if os.Getenv("LETTA_POSTGRES_BIN") != "" {
			bin = copyTree(t, bin, dir)
		}
		if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "data"), 0o700), os.Chown(filepath.Join(dir, "data"), nobody, nobody)); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.Background(), filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attributes
		return cmd
	}
	if out, err := program("initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.command = func() *exec.Cmd {
		return program("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200")
	}
	s.ready = func() bool {
		return exec.CommandContext(context.Background(), filepath.Join(filepath.Dir(initdb), "pg_isready"), "-q", "-h", "127.0.0.1", "-p", port).Run() == nil
	}
	s.Start()
	return s
}

// copyTree copies the installation that a bin folder is part of; beside it lie the libraries of a wheel.
func copyTree(t testing.TB, bin, dir string) string {
	t.Helper()
	site := filepath.Dir(filepath.Dir(filepath.Dir(bin))) // .../pgserver/pginstall/bin
	for _, name := range []string{"pgserver", "pgserver.libs"} {
		if out, err := exec.CommandContext(context.Background(), "cp", "-RL", filepath.Join(site, name), dir).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
	if out, err := exec.CommandContext(context.Background(), "chmod", "-R", "a+rX", dir).CombinedOutput(); err != nil {
		t.Fatalf("chmod: %v\n%s", err, out)
	}
	return filepath.Join(dir, "pgserver", "pginstall", "bin")
}

// find looks for a program. A machine without it skips the test and says why; CI must have it.
func find(t testing.TB, name string, candidates ...string) string {
	t.Helper()
	for _, candidate := range append(candidates, name) {
		if path, err := exec.LookPath(candidate); err == nil && candidate != "" {
			return path
		}
	}
	why := name + " is not installed: `scripts/letta-server tools` installs it and says what to export"
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

func newService(t testing.TB) *Service {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{Addr: listener.Addr().String(), t: t, ready: func() bool { return true }}
	_ = listener.Close()
	t.Cleanup(s.Kill)
	return s
}

// Start starts the server, again after Kill.
func (s *Service) Start() {
	s.t.Helper()
	// A file, not a pipe: Wait would wait for whoever still holds the pipe, such as a process that PostgreSQL leaves behind.
	log, err := os.Create(filepath.Join(s.t.TempDir(), "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	s.cmd = s.command()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if s.cmd.SysProcAttr == nil {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	s.cmd.SysProcAttr.Setpgid = true
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
		cancel()
		if err == nil {
			_ = conn.Close()
			if s.ready() {
				return
			}
		}
	}
	s.Kill()
	out, _ := os.ReadFile(log.Name())
	s.t.Fatalf("%s is not ready:\n%s", s.cmd.Path, out)
}

// Kill ends the server with all its processes at once, as a crash does. PostgreSQL's are each in a session of their own.
func (s *Service) Kill() {
	if s.cmd == nil || s.cmd.Process == nil || s.cmd.ProcessState != nil {
		return
	}
	pid := s.cmd.Process.Pid
	children, _ := exec.CommandContext(context.Background(), "ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	for child := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = s.cmd.Wait()
}

// Port is the port of Addr.
func (s *Service) Port() int {
	_, port, _ := net.SplitHostPort(s.Addr)
	n, _ := strconv.Atoi(port)
	return n
}
