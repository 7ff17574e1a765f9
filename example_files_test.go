package letta_test

//lint:file-ignore SA1019 self-hosted servers have folders

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/letta-go/letta"
)

func ExampleFolderFileService_Upload() {
	client, agent, stop := newTestAgent("user_1")
	defer stop()
	ctx := context.Background()
	manual := strings.NewReader("# Tea\n\nIt is hot.\n")

	// When the program starts: the folder, created if there is none.
	folder, err := client.Folders.Ensure(ctx, &letta.FolderCreateParams{Name: "manuals", Embedding: "openai/text-embedding-3-small"})
	if err != nil {
		log.Fatal(err)
	}
	file, err := client.Folders.Files.Upload(ctx, folder.ID, &letta.FolderFileUploadParams{
		File:              manual, // any io.Reader, read while it is sent
		FileName:          "tea.md",
		DuplicateHandling: letta.DuplicateFileReplace,
	})
	if err != nil {
		log.Fatal(err)
	}
	file, err = client.Folders.Files.Wait(ctx, folder.ID, file.ID) // until the server has read it
	if err != nil {
		log.Fatal(err)
	}
	err = client.Agents.Folders.Attach(ctx, agent.ID, folder.ID)

	fmt.Println(file.OriginalFileName, file.ProcessingStatus, err)
	// Output: tea.md completed <nil>
}
