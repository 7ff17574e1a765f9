package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/letta-go/letta/lettatest"
)

const story = `## The lighthouse

At the end of the pier stood a **lighthouse** that nobody had lit for years.

1. On the first evening, a girl climbed the stairs with a lantern.
2. On the second, she brought a mirror.
3. On the third, a ship turned away from the rocks, and its crew *never knew why*.

> Small lights are seen from far away.

That is the whole story. Ask for it again, and press **Stop** while I tell it.`

const help = `Hello! I am a scripted agent, so no model is called. I can show you what this page does:

| Say | and you see |
|---|---|
| *What is the weather in Oslo?* | a thought, a tool call and its result |
| *Remember that I like rain* | a question whether I may change my memory |
| *Tell me a story* | a long answer: stop it, or reload the page in the middle |
| *Fail* | how an error of the model looks |

My memory and my tags are under **Agent**.`

// demo scripts the embedded server, and returns the names of the tools that it has.
func demo(server *lettatest.Server) (tools []string) {
	server.Tool("weather", func(arguments string) (string, error) {
		var in struct{ City string }
		if err := json.Unmarshal([]byte(arguments), &in); err != nil {
			return "", err
		}
		return "Light rain in " + in.City + ", 9 degrees, wind from the west.", nil
	})
	server.Script(script)
	return []string{"weather"}
}

func script(turn lettatest.Turn) lettatest.Reply {
	const pace = 45 * time.Millisecond
	words := strings.ToLower(turn.Text)
	if len(turn.ToolReturns) > 0 {
		switch result := turn.ToolReturns[0]; {
		case result.Name == "weather":
			return lettatest.Reply{Text: result.Text + "\n\n- Take an **umbrella**.\n- Leave the sunglasses at home.", Delay: pace}
		case result.Error:
			return lettatest.Reply{Text: "As you wish: I did not write it down.", Delay: pace}
		default:
			return lettatest.Reply{Text: "Done. You find it in my memory, under **Agent**.", Delay: pace}
		}
	}
	call := func(tool string, arguments map[string]string) []lettatest.ToolCall {
		data, _ := json.Marshal(arguments)
		return []lettatest.ToolCall{{Name: tool, Arguments: string(data)}}
	}
	switch {
	case strings.HasPrefix(turn.Text, "CALL "), strings.HasPrefix(turn.Text, "SLOW "), strings.HasPrefix(turn.Text, "FAIL "), strings.HasPrefix(turn.Text, "ECHO "):
		return lettatest.DefaultScript(turn) // as the tests say it
	case strings.Contains(words, "weather"):
		city := "Oslo"
		if _, after, found := strings.Cut(turn.Text, " in "); found {
			city = strings.Trim(after, " ?.!")
		}
		return lettatest.Reply{
			Reasoning: fmt.Sprintf("The user wants to know the weather in %s. I do not know it, but I have a tool that does.", city),
			ToolCalls: call("weather", map[string]string{"city": city}),
		}
	case strings.HasPrefix(words, "remember"):
		fact := strings.TrimPrefix(strings.TrimSpace(turn.Text[len("remember"):]), "that ")
		return lettatest.Reply{
			Reasoning: "That belongs into my memory of the user. I may only write there if the user agrees.",
			ToolCalls: call("memory_insert", map[string]string{"label": "human", "new_string": "The user said: " + fact}),
		}
	case strings.Contains(words, "story"):
		return lettatest.Reply{Reasoning: "A story, then. Short, with a light in it.", Text: story, Delay: 2 * pace}
	case strings.HasPrefix(words, "fail"):
		return lettatest.Reply{Fail: 429}
	}
	return lettatest.Reply{Text: help, Delay: pace / 3}
}
