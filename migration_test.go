package letta

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/internal/apispec"
)

var (
	migrationRow = regexp.MustCompile("(?m)^\\| `client\\.([a-z_.]+)\\(.*?\\)` \\| `client\\.([A-Za-z.]+)\\(.*?\\)` \\| `client\\.([A-Za-z.]+)\\((.*?)\\)` \\|")
	underscore   = regexp.MustCompile(`_([a-z])`)
)

// TestMigration holds docs/migration.md to the facts: every operation of the official clients has its row, and the Go line
// of a row is a method that calls it with as many arguments.
func TestMigration(t *testing.T) {
	page, err := os.ReadFile("docs/migration.md")
	require.NoError(t, err)
	c := reflect.ValueOf(testClient(t)).Elem()
	methods := operations(testClient(t))
	rows := map[string]int{}
	for _, row := range migrationRow.FindAllStringSubmatch(string(page), -1) {
		python, typescript, path, args := row[1], row[2], strings.Split(row[3], "."), row[4]
		rows[python]++
		assert.Equal(t, underscore.ReplaceAllStringFunc(python, func(s string) string { return strings.ToUpper(s[1:]) }), typescript)
		service := c
		for _, name := range path[:len(path)-1] {
			service = reflect.Indirect(service).FieldByName(name)
			require.True(t, service.IsValid(), row[3])
		}
		if len(path) == 1 {
			service = service.Addr()
		}
		method := service.MethodByName(path[len(path)-1])
		require.True(t, method.IsValid(), "%s: no method %s", python, row[3])
		assert.Equal(t, method.Type().NumIn()-1, len(strings.Split(args, ", ")), "arguments of %s, but for the options", row[3])
		sdk := strings.ToLower(row[3])
		if len(path) > 1 {
			sdk = ""
			for _, name := range path {
				sdk += "." + snake(name)
			}
			sdk = sdk[1:]
		}
		called := methods[sdk].SDK
		assert.True(t, called == python || notWrapped[python] != "", "%s calls %s, not %s", row[3], called, python)
	}
	for _, op := range apispec.Operations() {
		if !op.SelfHostedOnly {
			assert.Equal(t, 1, rows[op.SDK], fmt.Sprint("rows of ", op.SDK))
		}
	}
	assert.Len(t, rows, 129)
}
