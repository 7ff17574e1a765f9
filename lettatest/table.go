package lettatest

import (
	"slices"
	"sync"
)

// operations are the rows of all tables. Order counts: as in the real server, the first pattern that fits decides about redirects and 405.
var operations = sync.OnceValue(func() []*route {
	var out []*route
	for _, r := range slices.Concat(
		[]route{{op: "health", handle: health}}, agentRoutes, agentToolRoutes, agentFolderRoutes, agentArchiveRoutes, agentBlockRoutes,
		agentMessageRoutes, blockRoutes, toolRoutes, archiveRoutes, folderRoutes, identityRoutes, groupRoutes, providerRoutes, jobRoutes, mcpRoutes, conversationRoutes, messageRoutes,
		modelRoutes, runRoutes, stepRoutes, otherRoutes, hostedRoutes,
	) {
		out = append(out, r.resolve())
	}
	return out
})
