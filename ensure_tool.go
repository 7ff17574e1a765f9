package letta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Find returns the tool with exactly this name, and ErrNotFound if there is none.
func (s *ToolService) Find(ctx context.Context, name string, opts ...RequestOption) (*Tool, error) {
	return s.find(ctx, "tools.find", name, opts)
}

func (s *ToolService) find(ctx context.Context, operation, name string, opts []RequestOption) (*Tool, error) {
	return named(operation, name, errNoTool, func() ([]*Tool, error) { return s.List(ctx, &ToolListParams{Name: name}, opts...) },
		func(t *Tool) string { return t.Name })
}

// named finds the row with exactly this name in a list that is filtered by it: a server that does not know the filter sends
// all. none is the error of a complete list without it, unlike a 404.
func named[T any](subject, name string, none error, list func() ([]T, error), nameOf func(T) string) (T, error) {
	if name == "" {
		return *new(T), invalid(subject, "the name is empty")
	}
	rows, err := list()
	if err != nil {
		return *new(T), err
	}
	for _, row := range rows {
		if nameOf(row) == name {
			return row, nil
		}
	}
	return *new(T), fail(subject, "%w %q", none, oneLine(name))
}

var errNoTool = fmt.Errorf("%w: there is no tool", ErrNotFound)

// Ensure returns the tool of this name, as params describe it: one that is up to date is left alone, any other is made or
// updated by Upsert. So a program may call it whenever it starts. What params leave out does not count as a difference.
//
// The server takes the name from the source code, or from JSONSchema. Ensure refuses source code that does not hold the
// name, and never changes a tool that is Letta's own.
func (s *ToolService) Ensure(ctx context.Context, name string, params *ToolCreateParams, opts ...RequestOption) (*Tool, error) {
	const operation = "tools.ensure"
	cfg, err := s.core.resolveFor(operation, accepts{}, opts)
	if err != nil {
		return nil, err
	}
	if err := checkToolName(name, params); err != nil {
		return nil, invalid(operation, "%w", err)
	}
	ctx, cancel := cfg.boundAll(ctx)
	defer cancel()
	existing, err := s.find(ctx, operation, name, []RequestOption{cfg.followUp()})
	switch {
	case err == nil && existing.ToolType != ToolTypeCustom:
		return nil, fail(operation, "%w: %q is a tool of the server, of type %s", ErrConflict, name, existing.ToolType)
	case err == nil && upToDate(existing, params):
		return existing, nil
	case err != nil && !errors.Is(err, errNoTool):
		return nil, err
	}
	tool, err := s.Upsert(ctx, params, cfg)
	if err != nil {
		return nil, later(err)
	}
	if tool.Name != name {
		return tool, fail(operation, "the server named the tool %q, not %q, after its source code", tool.Name, name)
	}
	return tool, nil
}

func checkToolName(name string, params *ToolCreateParams) error {
	if err := validate(params, false); err != nil {
		return err
	}
	if _, err := marshal(params); err != nil {
		return fmt.Errorf("the params cannot be encoded: %w", err)
	}
	var schema struct {
		Name string `json:"name"`
	}
	if len(params.JSONSchema) > 0 {
		if err := unmarshal(params.JSONSchema, &schema); err != nil {
			return fmt.Errorf("json_schema: %w", err)
		}
	}
	switch {
	case name == "":
		return errors.New("the name is empty")
	case schema.Name != "" && schema.Name != name:
		return fmt.Errorf("json_schema is of %q, not of %q", schema.Name, name)
	case schema.Name == "" && !strings.Contains(params.SourceCode, name):
		return fmt.Errorf("source_code does not define %q", name)
	}
	return nil
}

// upToDate reports whether the tool has all that is set in params.
func upToDate(tool *Tool, params *ToolCreateParams) bool {
	want, have := fieldsOf(params), fieldsOf(tool)
	if have == nil {
		return false
	}
	delete(want, "source_type") // servers rename it: Letta 0.16.8 says json where python was sent
	for name, value := range want {
		if name == "tags" {
			value, have[name] = sortedTags(value), sortedTags(have[name])
		}
		if !reflect.DeepEqual(value, have[name]) {
			return false
		}
	}
	return true
}

func fieldsOf(v any) (fields map[string]any) {
	data, err := marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &fields)
	}
	if err != nil {
		return nil // of a tool that a server sent: params were checked
	}
	return fields
}

func sortedTags(v any) any {
	list, _ := v.([]any)
	return slices.SortedFunc(slices.Values(list), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}
