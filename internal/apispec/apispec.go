// Package apispec holds pinned facts of the Letta REST API: its operations, its types, and what real servers
// answered. Tests hold the client to them. pin.py wrote the data from letta-python 1.12.1, the OpenAPI document
// of server 0.16.8, and recordings of servers 0.16.8 and 0.6.12.
//
// Nothing is decoded before it is asked for. What the functions return is shared: do not change it.
package apispec

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed operations.json
var operationsJSON []byte

//go:embed schemas.json
var schemasJSON []byte

//go:embed recorded/v1.jsonl
var recordedV1 []byte

//go:embed recorded/seed.jsonl
var recordedSeed []byte

// The servers whose answers were recorded.
const (
	ServerV1   = "0.16.8" // the last self-hosted REST server
	ServerSeed = "0.6.12" // the server of the multi-user guide's time
)

// An Operation is one method of the official Python client, or of a self-hosted server alone, and the request behind it.
type Operation struct {
	SDK     string   `json:"sdk"`    // "agents.messages.create"
	Method  string   `json:"method"` // "POST"
	Path    string   `json:"path"`   // as sent, with {agent_id} for a parameter
	Query   []string `json:"query"`
	Body    []string `json:"body"` // fields of the JSON object, or parts of the form
	Headers []string `json:"headers"`

	BodyKind     string `json:"body_kind"`     // json, multipart or none
	BodyRequired bool   `json:"body_required"` // the self-hosted server refuses an empty body
	BodyClosed   bool   `json:"body_closed"`   // the self-hosted server's document forbids unknown fields
	Params       string `json:"params"`        // schema of the parameters; "" for a method with none

	Response         string `json:"response"`      // type, of one item for a page; "" for none
	ResponseKind     string `json:"response_kind"` // json, page, sse, json_or_sse, text or empty
	ResponseNullable bool   `json:"response_nullable"`
	Status           int    `json:"status"` // of a success, as the OpenAPI document has it

	// Page is the page class: ArrayPage (a bare array) or NextFilesPage (items under PageItems, has_more,
	// next_cursor). The official client sends the last item's id as after.
	Page      string `json:"page"`
	PageItems string `json:"page_items"`

	StreamEvent   string `json:"stream_event"`   // type of an event
	StreamDefault bool   `json:"stream_default"` // json_or_sse: the server streams unless told not to

	Deprecated bool `json:"deprecated"`
	HostedOnly bool `json:"hosted_only"` // absent from the self-hosted server
	// SelfHostedOnly operations are in the OpenAPI document and not in the official client. Their SDK name is that of the
	// method which this package gives them.
	SelfHostedOnly bool `json:"self_hosted_only"`
}

var operations = sync.OnceValue(func() []Operation {
	var file struct{ Operations []Operation }
	must(json.Unmarshal(operationsJSON, &file))
	return file.Operations
})

// Operations returns all operations, in the order of the official documentation.
func Operations() []Operation { return slices.Clone(operations()) }

// Lookup returns the operation of an SDK method such as "agents.create".
func Lookup(sdk string) (Operation, bool) {
	i := slices.IndexFunc(operations(), func(o Operation) bool { return o.SDK == sdk })
	if i < 0 {
		return Operation{}, false
	}
	return operations()[i], true
}

// A Schema is a type of the API. Which fields are set depends on Kind.
type Schema struct {
	// Name is the name of the definition. It is not the name asked for where the official client repeats a
	// type: equal types with related names share one definition.
	Name string
	Kind string // object, union, enum or alias

	Fields []Field // object
	Open   string  // object: type of the fields that are not listed; "" for none

	Variants      []string          // union: types
	Discriminator string            // union: field that tells the variant; "" where there is none
	Mapping       map[string]string // union: value of Discriminator to variant
	Nullable      bool              // union

	Values []string // enum; a server may send others
	Type   string   // alias
}

// A Field is one field of an object or one parameter of an operation.
//
// Type is string, integer, number, boolean, datetime, date, file, any, null, array<T>, map<T>, union<A|B>,
// nullable<T> or the name of a schema.
type Field struct {
	Name       string
	Type       string
	In         string // for a parameter: body, query, header, path or raw_body
	Required   bool
	Nullable   bool
	Deprecated bool
	Enum       []string        // the literal values
	Default    json.RawMessage // the server's; nil for none
}

// parseField reads "name type|null! in=body enum=a,b deprecated default=JSON".
func parseField(s string) Field {
	s, def, _ := strings.Cut(s, " default=")
	words := strings.Fields(s)
	f := Field{Name: words[0]}
	if def != "" {
		f.Default = json.RawMessage(def)
	}
	f.Type, f.Required = strings.CutSuffix(words[1], "!")
	f.Type, f.Nullable = strings.CutSuffix(f.Type, "|null")
	for _, word := range words[2:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "in":
			f.In = value
		case "enum":
			f.Enum = strings.Split(value, ",")
		case "deprecated":
			f.Deprecated = true
		}
	}
	return f
}

var schemas = sync.OnceValue(func() map[string]Schema {
	var file map[string]struct {
		Same     string
		Fields   *[]string
		Open     string
		Union    []string
		By       string
		Mapping  map[string]string
		Nullable bool
		Enum     []string
		Alias    string
	}
	must(json.Unmarshal(schemasJSON, &file))
	all := make(map[string]Schema, len(file))
	for name, raw := range file {
		s := Schema{
			Name: name, Open: raw.Open, Variants: raw.Union, Discriminator: raw.By, Mapping: raw.Mapping,
			Nullable: raw.Nullable, Values: raw.Enum, Type: raw.Alias,
		}
		switch {
		case raw.Same != "":
			continue
		case raw.Fields != nil:
			s.Kind = "object"
			for _, f := range *raw.Fields {
				s.Fields = append(s.Fields, parseField(f))
			}
		case raw.Union != nil:
			s.Kind = "union"
		case raw.Enum != nil:
			s.Kind = "enum"
		default:
			s.Kind = "alias"
		}
		all[name] = s
	}
	for name, raw := range file {
		if raw.Same != "" {
			all[name] = all[raw.Same]
		}
	}
	return all
})

// Schemas returns every type that an operation reaches, by its path in the Python package: "AgentState",
// "agents.Message".
func Schemas() map[string]Schema { return maps.Clone(schemas()) }

// An Exchange is one recorded request and its answer. Prose of more than 160 characters was replaced by a filler
// of the same length.
type Exchange struct {
	Server    string `json:"-"`         // ServerV1 or ServerSeed
	Name      string `json:"name"`      // the SDK method, and a variant: "agents.list.by_tag"
	Operation string `json:"operation"` // the SDK method; "" for a route that has none

	Method        string            `json:"method"`
	Path          string            `json:"path"` // with the query
	RequestHeader map[string]string `json:"request_headers"`
	// RequestBody is nil for none, a JSON string for text that was sent as it is, and {"multipart": {...}} for a
	// form.
	RequestBody json.RawMessage `json:"request"`

	Status  int               `json:"status"` // 0: the server never answered
	Header  map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`    // nil when the answer was empty or not JSON
	Text    string            `json:"text"`    // the answer when it was not JSON, such as an event stream
	Trimmed bool              `json:"trimmed"` // embeddings were cut to 20 numbers
}

var recorded = sync.OnceValue(func() []Exchange {
	return append(readExchanges(ServerV1, recordedV1), readExchanges(ServerSeed, recordedSeed)...)
})

func readExchanges(server string, lines []byte) (list []Exchange) {
	for decoder := json.NewDecoder(bytes.NewReader(lines)); ; {
		x := Exchange{Server: server}
		err := decoder.Decode(&x)
		if errors.Is(err, io.EOF) {
			return list
		}
		must(err)
		list = append(list, x)
	}
}

// Recorded returns the exchanges with both servers, by server and name.
func Recorded() []Exchange { return slices.Clone(recorded()) }

// Recording returns one exchange: Recording(ServerV1, "agents.list.by_tag").
func Recording(server, name string) (Exchange, bool) {
	i := slices.IndexFunc(recorded(), func(x Exchange) bool { return x.Server == server && x.Name == name })
	if i < 0 {
		return Exchange{}, false
	}
	return recorded()[i], true
}

func must(err error) {
	if err != nil {
		panic(fmt.Errorf("apispec: %w", err)) // the data is embedded and tested
	}
}

// ParseField reads a field as it stands in schemas.json: "limit integer|null in=query default=50".
func ParseField(s string) Field { return parseField(s) }
