package lettatest_test

import "github.com/letta-go/letta/lettatest"

// differs lists the recorded exchanges that this server answers otherwise, or not at all, and why. An entry that became needless fails the test.
var differs = map[string]string{}

func replayOptions() []lettatest.Option { return nil }
func replayTools(*lettatest.Server) {}
