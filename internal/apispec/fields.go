package apispec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// places maps where a field travels to the struct tags that put it there.
var places = map[string][]string{
	"":       {"json"},
	"body":   {"json", "form"},
	"query":  {"url"},
	"header": {"header"},
}

// MissingFields returns the names of the schema's fields that t, a struct or a pointer to one, lacks. A field of
// a body or of an answer needs a json tag (form for a multipart body), a query parameter a url tag, a header
// parameter a header tag. Of a union, the fields of all its variants count. With in (body, query, header), only
// parameters that travel there do; path parameters never do.
//
// It panics when there is no such schema or it has no fields to compare with.
func MissingFields(t reflect.Type, schema string, in ...string) []string {
	have := tagged(t)
	var missing []string
	for _, f := range fieldsOf(schema, in) {
		if !slices.ContainsFunc(places[f.In], func(tag string) bool { return have[tag][f.Name] }) {
			missing = append(missing, f.Name)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// ExtraFields is the other way round: the names in t's tags that the schema does not have, or has elsewhere (a
// json tag for a query parameter).
func ExtraFields(t reflect.Type, schema string, in ...string) []string {
	if len(in) == 0 {
		in = []string{"", "body", "query", "header"}
	}
	known := map[string]map[string]bool{}
	for _, place := range in {
		for _, tag := range places[place] {
			if known[tag] == nil {
				known[tag] = map[string]bool{}
			}
			for _, f := range fieldsOf(schema, nil) {
				if slices.Contains(places[f.In], tag) {
					known[tag][f.Name] = true
				}
			}
		}
	}
	var extra []string
	for tag, names := range tagged(t) {
		for name := range names {
			if known[tag] != nil && !known[tag][name] {
				extra = append(extra, name)
			}
		}
	}
	slices.Sort(extra)
	return slices.Compact(extra)
}

// fieldsOf returns the fields of a schema that travel in one of the places, or in any but the path.
func fieldsOf(name string, in []string) []Field {
	s, ok := schemas()[name]
	if !ok {
		panic(fmt.Sprintf("apispec: no schema %q", name))
	}
	switch s.Kind {
	case "object":
		return slices.DeleteFunc(slices.Clone(s.Fields), func(f Field) bool {
			return places[f.In] == nil || len(in) > 0 && !slices.Contains(in, f.In)
		})
	case "union":
		var fields []Field
		for _, variant := range s.Variants {
			fields = append(fields, fieldsOf(variant, in)...)
		}
		return fields
	}
	panic(fmt.Sprintf("apispec: schema %q is an %s and has no fields", name, s.Kind))
}

// tagged returns the wire names in the tags of a struct type, by tag.
func tagged(t reflect.Type) map[string]map[string]bool {
	names := map[string]map[string]bool{}
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] {
			return
		}
		seen[t] = true
		for f := range t.Fields() {
			bare := true // no tag names the field or hides it
			for _, tag := range []string{"json", "url", "form", "header"} {
				name, _, _ := strings.Cut(f.Tag.Get(tag), ",")
				if name == "" {
					continue
				}
				bare = false
				if name != "-" && f.IsExported() {
					add(names, tag, name)
				}
			}
			switch {
			case !bare:
			case f.Anonymous && isStruct(f.Type):
				visit(f.Type)
			case f.IsExported():
				add(names, "json", f.Name) // as encoding/json names it
			}
		}
	}
	visit(t)
	return names
}

func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

func add(names map[string]map[string]bool, tag, name string) {
	if names[tag] == nil {
		names[tag] = map[string]bool{}
	}
	names[tag][name] = true
}
