// Command broken is a test of the tests: it breaks the client on purpose, in the ways of variants.txt, and demands that the
// tests notice.
//
//	go run ./internal/broken                    every variant must be caught by each test that it names
//	go run ./internal/broken -only NAME[,NAME]  some of them; prints what the tests said
//
// All variants are compiled at once. Each is a copy of one function with a few words changed, and the function goes to its copy
// when the environment variable LETTA_BROKEN names the variant. The copies are an overlay of the go command: the tree is not
// touched. docs/broken-variants.md is written by
//
//	LETTA_WRITE_PAGES=1 go test ./internal/broken
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	page     = "docs/broken-variants.md"
	testTime = 60 * time.Second // for one test of one variant
)

//go:embed variants.txt
var variants string

func main() {
	only := flag.String("only", "", "names of variants, with commas between them")
	flag.Parse()
	if err := run(*only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(only string) error {
	list, err := parse(variants)
	if err != nil {
		return err
	}
	if only != "" {
		names := strings.Split(only, ",")
		list = slices.DeleteFunc(list, func(v *variant) bool { return !slices.Contains(names, v.name) })
		if len(list) != len(names) {
			return errors.New("no such variant")
		}
	}
	dir, err := os.MkdirTemp("", "broken")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := overlayOf(list, dir)
	if err != nil {
		return err
	}
	b := &binaries{dir: dir}
	if err := b.build(list, overlay); err != nil {
		return err
	}
	if err := b.unbroken(list); err != nil {
		return err
	}
	missed := b.try(list)
	for _, v := range list {
		fmt.Printf("%-44s %4.1f s  %s\n", v.name, v.took.Seconds(), strings.Join(v.said, ", "))
		if only != "" || v.missed {
			fmt.Println(v.output.String())
		}
	}
	fmt.Printf("%d variants, %d not caught\n", len(list), missed)
	if missed > 0 {
		return errors.New("some variants are not caught")
	}
	return nil
}

// --- what variants.txt says ------------------------------------------------------------------------------------------

// variant is one way to break the client.
type variant struct {
	name    string
	promise string // that it breaks
	places  []*place
	tests   []caughtBy

	missed bool
	said   []string // for each test, how it failed
	output bytes.Buffer
	took   time.Duration
}

// place is a function that the variant changes.
type place struct {
	variant string // its name
	pkg     string // its folder
	where   string // the function: f, or T.f for a method
	changes []change
}

// change replaces a text that stands in the function once.
type change struct{ old, new string }

// caughtBy is a test that has to fail.
type caughtBy struct {
	pkg, name string
	how       string // "" by an assertion; panic, hang or leak where that is what the defect does
}

func (c caughtBy) String() string {
	text := c.name
	if c.pkg != "." {
		text = c.pkg + "." + c.name
	}
	if c.how != "" {
		text += " (" + c.how + ")"
	}
	return text
}

func parse(text string) (list []*variant, _ error) {
	names := map[string]bool{}
	_, text, _ = strings.Cut("\n"+text, "\n== ") // what is above the first is for the reader
	for part := range strings.SplitSeq(text, "\n== ") {
		v := &variant{}
		lines := strings.Split(strings.TrimRight(part, "\n"), "\n")
		v.name = lines[0]
		var before, after []string
		lost := false
		done := func() {
			switch {
			case before == nil && after == nil:
			case before == nil || v.places == nil:
				lost = true
			default:
				at := v.places[len(v.places)-1]
				at.changes = append(at.changes, change{strings.Join(before, "\n"), strings.Join(after, "\n")})
			}
			before, after = nil, nil
		}
		for _, line := range lines[1:] {
			key, value, _ := strings.Cut(line, " ")
			switch key {
			case "breaks":
				v.promise = value
			case "in":
				done()
				pkg, where, ok := strings.Cut(value, " ")
				if !ok {
					pkg, where = ".", value
				}
				v.places = append(v.places, &place{variant: v.name, pkg: pkg, where: where})
			case "caught":
				for name := range strings.SplitSeq(strings.TrimPrefix(value, "by "), ", ") {
					v.tests = append(v.tests, testOf(name))
				}
			case "-":
				if after != nil {
					done()
				}
				before = append(before, value)
			case "+":
				after = append(after, value)
			case "", "#":
			default:
				return nil, fmt.Errorf("%s: what is %q?", v.name, line)
			}
		}
		done()
		switch {
		case names[v.name]:
			return nil, fmt.Errorf("%s: the name comes twice", v.name)
		case lost:
			return nil, fmt.Errorf("%s: a change needs a place and a line to take away", v.name)
		case v.promise == "" || v.tests == nil || v.places == nil || slices.ContainsFunc(v.places, func(p *place) bool { return p.changes == nil }):
			return nil, fmt.Errorf("%s: something is missing", v.name)
		}
		names[v.name] = true
		list = append(list, v)
	}
	return list, nil
}

func testOf(text string) caughtBy {
	text, how, _ := strings.Cut(strings.TrimSuffix(text, ")"), " (")
	c := caughtBy{pkg: ".", name: text, how: how}
	if i := strings.LastIndexByte(text, '.'); i >= 0 {
		c.pkg, c.name = text[:i], text[i+1:]
	}
	return c
}

// --- the overlay -------------------------------------------------------------------------------------------------------

// overlayOf writes changed copies of the source files into dir, and returns the file for -overlay.
func overlayOf(list []*variant, dir string) (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	byPackage := map[string][]*place{}
	for _, v := range list {
		for _, p := range v.places {
			byPackage[p.pkg] = append(byPackage[p.pkg], p)
		}
	}
	var all error // of what does not fit
	replace := map[string]string{}
	add := func(name string, content []byte) error {
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		replace[filepath.Join(here, name)] = to
		return os.WriteFile(to, content, 0o600)
	}
	for pkg, places := range byPackage {
		files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		if err != nil {
			return "", err
		}
		found := map[*place]bool{}
		name := ""
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			var changed []byte
			name, changed, err = breakable(file, source, places, found)
			all = errors.Join(all, err)
			if changed == nil {
				continue
			}
			if err := add(file, changed); err != nil {
				return "", err
			}
		}
		for _, p := range places {
			if !found[p] {
				all = errors.Join(all, fmt.Errorf("%s: there is no function %s in %s", p.variant, p.where, pkg))
			}
		}
		if err := add(path.Join(pkg, "zz_broken_variant.go"), which(name)); err != nil {
			return "", err
		}
	}
	if all != nil {
		return "", all
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// which is a source file that asks which variant is chosen.
func which(pkg string) []byte {
	return []byte("package " + pkg + "\n\nimport \"os\"\n\nvar brokenVariant = os.Getenv(\"LETTA_BROKEN\")\n")
}

// breakable is a source file in which each variant can be chosen when the program starts; nil if it has none of the places.
// It notes those that it has.
func breakable(name string, source []byte, list []*place, found map[*place]bool) (pkg string, changed []byte, _ error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, err
	}
	offset := func(p token.Pos) int { return fset.Position(p).Offset }
	inserted := map[int]string{} // by offset; nothing is replaced, so that line numbers stay
	var copies strings.Builder
	var all error
	for _, p := range list {
		f := functionOf(file, p.where)
		if f == nil {
			continue
		}
		found[p] = true
		body := offset(f.Body.Pos())
		signature, rest := string(source[offset(f.Pos()):body]), string(source[body:offset(f.End())])
		for _, c := range p.changes {
			if n := strings.Count(rest, c.old); n != 1 {
				all = errors.Join(all, fmt.Errorf("%s: %s in %s has %d times, not once: %s", p.variant, p.where, name, n, c.old))
			}
			rest = strings.Replace(rest, c.old, c.new, 1)
		}
		copied := f.Name.Name + "_" + strings.ReplaceAll(p.variant, "-", "_")
		at := offset(f.Name.End()) - offset(f.Pos())
		// A complaint of the compiler names the variant as its file.
		fmt.Fprintf(&copies, "\n//line %s:1\n%s%s%s%s\n", p.variant, signature[:at-len(f.Name.Name)], copied, signature[at:], rest)
		call, err := callOf(f, copied)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", p.variant, err))
		}
		if f.Type.Results != nil {
			call = "return " + call
		} else {
			call += "; return"
		}
		inserted[body+1] += fmt.Sprintf(" if brokenVariant == %q { %s };", p.variant, call)
		for _, field := range f.Type.Params.List {
			for _, param := range field.Names {
				if param.Name == "_" {
					inserted[offset(param.End())] = "p" // _p
				}
			}
		}
	}
	if len(inserted) == 0 {
		return file.Name.Name, nil, all
	}
	from := 0
	for _, at := range slices.Sorted(maps.Keys(inserted)) {
		changed = append(append(changed, source[from:at]...), inserted[at]...)
		from = at
	}
	changed = append(append(changed, source[from:]...), copies.String()...)
	return file.Name.Name, changed, all
}

func functionOf(file *ast.File, where string) *ast.FuncDecl {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			t := f.Recv.List[0].Type
			if star, ok := t.(*ast.StarExpr); ok {
				t = star.X
			}
			if index, ok := t.(*ast.IndexExpr); ok {
				t = index.X
			}
			name = t.(*ast.Ident).Name + "." + name
		}
		if name == where {
			return f
		}
	}
	return nil
}

// callOf calls the copy of f with the arguments of f.
func callOf(f *ast.FuncDecl, name string) (string, error) {
	var args, types []string
	for _, field := range f.Type.Params.List {
		if len(field.Names) == 0 {
			return "", errors.New("a parameter has no name")
		}
		for _, param := range field.Names {
			arg := param.Name
			if arg == "_" {
				arg = "_p"
			}
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				arg += "..."
			}
			args = append(args, arg)
		}
	}
	if f.Type.TypeParams != nil {
		for _, field := range f.Type.TypeParams.List {
			for _, t := range field.Names {
				types = append(types, t.Name)
			}
		}
		name += "[" + strings.Join(types, ", ") + "]"
	}
	if f.Recv != nil {
		if len(f.Recv.List[0].Names) == 0 {
			return "", errors.New("the receiver has no name")
		}
		name = f.Recv.List[0].Names[0].Name + "." + name
	}
	return name + "(" + strings.Join(args, ", ") + ")", nil
}

// --- the tests -----------------------------------------------------------------------------------------------------------

// binaries are those of the tests.
type binaries struct{ dir string }

func (b *binaries) binary(pkg string) string {
	return filepath.Join(b.dir, strings.NewReplacer("/", "_", ".", "root").Replace(pkg)+".test")
}

func packagesOf(list []*variant) []string {
	all := map[string]bool{}
	for _, v := range list {
		for _, c := range v.tests {
			all[c.pkg] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (b *binaries) build(list []*variant, overlay string) error {
	for _, pkg := range packagesOf(list) {
		command := exec.CommandContext(context.Background(), "go", "test", "-c", "-vet=off", "-gcflags=-e", "-overlay", overlay, "-o", b.binary(pkg), "./"+pkg)
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("the variants of %s do not compile", pkg)
		}
	}
	return nil
}

// unbroken runs the tests that all variants name: they must exist, and pass without one.
func (b *binaries) unbroken(list []*variant) error {
	var all error
	for _, pkg := range packagesOf(list) {
		there, err := exec.CommandContext(context.Background(), b.binary(pkg), "-test.list", ".").Output()
		if err != nil {
			return err
		}
		var names []string
		for _, v := range list {
			for _, c := range v.tests {
				switch {
				case c.pkg != pkg || slices.Contains(names, c.name):
				case !slices.Contains(strings.Fields(string(there)), c.name):
					all = errors.Join(all, fmt.Errorf("%s: there is no test %s", v.name, c))
				default:
					names = append(names, c.name)
				}
			}
		}
		output, how := b.test("", pkg, names...)
		if how == "" { // once more, for those who wait for something on a busy machine
			output, how = b.test("", pkg, failed(output)...)
		}
		if how != passed {
			return fmt.Errorf("without a variant, the tests of %s do not pass:\n%s", pkg, output)
		}
	}
	return all
}

// try runs the tests of each variant, and returns how many variants are not caught.
func (b *binaries) try(list []*variant) (missed int) {
	work := make(chan *variant)
	var all sync.WaitGroup
	for range 4 * runtime.NumCPU() { // a broken client mostly makes its tests wait
		all.Go(func() {
			for v := range work {
				began := time.Now()
				for _, c := range v.tests {
					output, how := b.test(v.name, c.pkg, c.name)
					fmt.Fprintf(&v.output, "%s: %s\n%s\n", c, how, output)
					if how == c.how {
						v.said = append(v.said, c.String())
					} else {
						v.missed = true
						v.said = append(v.said, fmt.Sprintf("NOT CAUGHT by %s: %s", c, how))
					}
				}
				v.took = time.Since(began)
			}
		})
	}
	for _, v := range list {
		work <- v
	}
	close(work)
	all.Wait()
	for _, v := range list {
		if v.missed {
			missed++
		}
	}
	return missed
}

const passed = "it passes"

// failed are the tests that a run says have failed.
func failed(output string) (names []string) {
	for line := range strings.SplitSeq(output, "\n") {
		if rest, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	return names
}

// test runs tests of a package under a variant, and says how they failed: "" by an assertion.
func (b *binaries) test(variant, pkg string, names ...string) (output, how string) {
	ctx, cancel := context.WithTimeout(context.Background(), testTime*time.Duration(1+len(names)/5))
	defer cancel()
	command := exec.CommandContext(ctx, b.binary(pkg), "-test.run", "^("+strings.Join(names, "|")+")$")
	command.Dir = pkg
	command.Env = append(os.Environ(), "LETTA_BROKEN="+variant)
	command.WaitDelay = time.Second // for the pipes of a process that the test left
	data, err := command.CombinedOutput()
	output = string(data)
	switch {
	case ctx.Err() != nil:
		return output, "hang"
	case err == nil:
		return output, passed
	case strings.Contains("\n"+output, "\npanic: "), strings.Contains("\n"+output, "\nfatal error: "):
		return output, "panic"
	case strings.Contains("\n"+output, "\n--- FAIL: "):
		return output, ""
	case strings.Contains(output, "unexpected goroutines"):
		return output, "leak"
	}
	return output, "it ended with " + err.Error()
}

// --- the page ------------------------------------------------------------------------------------------------------------

func pageOf(list []*variant) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Broken variants

A test of the tests. Each row breaks the client on purpose, in one or two functions, and names the tests that fail then. What is
changed stands in [variants.txt](../internal/broken/variants.txt). This tries them all, and fails if a test does not notice; the step broken of .ci/run
does it too:

    go run ./internal/broken

A test fails by an assertion; where it says panic in brackets, that is what the variant does to the program.

%d variants:

| variant | the promise that it breaks | broken in | caught by |
|---|---|---|---|
`, len(list))
	for _, v := range list {
		var tests []string
		for _, c := range v.tests {
			tests = append(tests, c.String())
		}
		var where []string
		for _, p := range v.places {
			where = append(where, strings.TrimPrefix(p.pkg+" ", ". ")+p.where)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.name, v.promise, strings.Join(where, ", "), strings.Join(tests, ", "))
	}
	return b.Bytes()
}
