package peruser_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/letta-go/letta/peruser/internal/swarm"
)

// TestSeveralInstancesWithoutLock: three processes that share no lock may create two agents for a user. Duplicates then
// reports every one of them. All of it: PERUSER_USERS=10000 go test -run SeveralInstances ./peruser
func TestSeveralInstancesWithoutLock(t *testing.T) {
	result := swarm.Run(t, swarm.Users(200), "")
	surplus := 0
	for _, duplicate := range result.Duplicates {
		require.Greater(t, len(duplicate.Agents), 1)
		surplus += len(duplicate.Agents) - 1
	}
	assert.Equal(t, result.Users, result.Agents-surplus, "every duplicate is reported")
	t.Logf("%d users, %d agents, %d users with several, %d times not the oldest, %v", result.Users, result.Agents, len(result.Duplicates), result.Wrong, result.Took)
}
