// Command gogithub uses repositories and issues alone.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/google/go-github/v89/github"
)

func main() {
	ctx := context.Background()
	client, err := github.NewClient()
	if err != nil {
		fmt.Println(err)
		return
	}
	repositories, _, err := client.Repositories.ListByUser(ctx, "user_1", nil)
	if err == nil && len(os.Args) > 1 {
		var comment *github.IssueComment
		comment, _, err = client.Issues.CreateComment(ctx, "user_1", "repository", 1, &github.IssueComment{Body: new(os.Args[1])})
		fmt.Println(comment.GetBody())
	}
	fmt.Println(len(repositories), err)
}
