package letta

import (
	"cmp"
	"context"
	"io"
	"iter"
	"net/http"
	"path/filepath"
	"time"
)

// FolderFileService is client.Folders.Files: the files of one folder.
// https://docs.letta.com/api/resources/folders/subresources/files
type FolderFileService struct{ core *core }

// Upload adds a file to the folder. It is read while it is sent and sent once; after an error, begin with a new reader. The
// server works on the file after it has answered: see Wait. It takes text, code, JSON and PDF; of others the error is an
// APIError with the status 415. If File says its name, as an *os.File does, FileName may be left out.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderFileService) Upload(ctx context.Context, id FolderID, params *FolderFileUploadParams, opts ...RequestOption) (*FolderFile, error) {
	r := request{op: Operation{"folders.files.upload", http.MethodPost, "/v1/folders/{folder_id}/upload"}, ids: []any{id}, query: params}
	if params != nil && params.File != nil {
		name := params.FileName
		if named, ok := params.File.(interface{ Name() string }); name == "" && ok {
			name = filepath.Base(named.Name())
		}
		if name == "" {
			name = params.Name
		}
		if name == "" {
			return nil, invalid(about(r.op.Name, id), "the file has no name")
		}
		body, err := file{name, params.ContentType, params.File, params.Progress}.form(nil)
		if err != nil {
			return nil, invalid(about(r.op.Name, id), "%w", err)
		}
		r.body = body
	}
	return do[*FolderFile](ctx, s.core, r, opts)
}

// Retrieve gets a file, with its content if params ask for it. For an unknown file Letta 0.16.8 answers 500.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderFileService) Retrieve(ctx context.Context, id FolderID, file FileID, params *FolderFileRetrieveParams, opts ...RequestOption) (*FolderFile, error) {
	return do[*FolderFile](ctx, s.core, request{op: Operation{"folders.files.retrieve", http.MethodGet, "/v1/folders/{folder_id}/files/{file_id}"}, ids: []any{id, file}, query: params}, opts)
}

// Wait asks for a file until the server has worked on it, and returns it without its content. Agents can read the file
// from then on. The context bounds the wait; Letta 0.16.8 gives a file up after 30 minutes.
//
// If the server could not work on the file, the error has its words, and the file is returned too: its ProcessingStatus is
// FileProcessingError.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderFileService) Wait(ctx context.Context, id FolderID, file FileID, opts ...RequestOption) (*FolderFile, error) {
	subject := about("folders.files.wait", id, file)
	f, err := poll(ctx, subject, func() (*FolderFile, error) { return s.Retrieve(ctx, id, file, nil, opts...) },
		func(f *FolderFile) (string, bool) {
			return cmp.Or(string(f.ProcessingStatus), "without a status"), f.ProcessingStatus == FileProcessingCompleted || f.ProcessingStatus == FileProcessingError
		})
	if err == nil && f.ProcessingStatus == FileProcessingError {
		return f, later(fail(subject, "the server could not work on the file: %s", cmp.Or(oneLine(f.ErrorMessage), "it does not say why")))
	}
	return f, err
}

// List gets one page of the folder's files, newest first.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderFileService) List(ctx context.Context, id FolderID, params *FolderFileListParams, opts ...RequestOption) ([]*FolderFile, error) {
	return do[[]*FolderFile](ctx, s.core, request{op: Operation{"folders.files.list", http.MethodGet, "/v1/folders/{folder_id}/files"}, ids: []any{id}, query: params}, opts)
}

// ListAll walks over all files of the folder, page by page.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderFileService) ListAll(ctx context.Context, id FolderID, params *FolderFileListParams, opts ...RequestOption) iter.Seq2[*FolderFile, error] {
	return pages("folders.files.list_all", params, func(p *FolderFileListParams) ([]*FolderFile, error) { return s.List(ctx, id, p, opts...) },
		func(p *FolderFileListParams, f *FolderFile) string { p.After = f.ID; return string(f.ID) })
}

// Delete removes a file from the folder, and from the agents that have it.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderFileService) Delete(ctx context.Context, id FolderID, file FileID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"folders.files.delete", http.MethodDelete, "/v1/folders/{folder_id}/{file_id}"}, ids: []any{id, file}}, nil, opts)
}

// FolderFile is a file of a folder.
type FolderFile struct {
	ID FileID `json:"id"`
	// SourceID is the folder.
	//
	// Deprecated: use the folder that was asked.
	SourceID       FolderID  `json:"source_id"`
	ChunksEmbedded int       `json:"chunks_embedded,omitzero"`
	Content        string    `json:"content,omitzero"` // if it was asked for
	CreatedAt      time.Time `json:"created_at,omitzero"`
	ErrorMessage   string    `json:"error_message,omitzero"`
	// FileCreationDate and FileLastModifiedDate come as the server has them.
	FileCreationDate     string `json:"file_creation_date,omitzero"`
	FileLastModifiedDate string `json:"file_last_modified_date,omitzero"`
	// FileName is folder/file in the answer of Upload, and the file alone in a list, on Letta 0.16.8.
	FileName         string               `json:"file_name,omitzero"`
	FilePath         string               `json:"file_path,omitzero"`
	FileSize         int64                `json:"file_size,omitzero"` // bytes
	FileType         string               `json:"file_type,omitzero"` // its MIME type
	OriginalFileName string               `json:"original_file_name,omitzero"`
	ProcessingStatus FileProcessingStatus `json:"processing_status,omitzero"`
	TotalChunks      int                  `json:"total_chunks,omitzero"`
	UpdatedAt        time.Time            `json:"updated_at,omitzero"`
}

// FileProcessingStatus is how far the server has come with a file.
type FileProcessingStatus string

// The values known today; others are kept as they come.
const (
	FileProcessingPending   FileProcessingStatus = "pending"
	FileProcessingParsing   FileProcessingStatus = "parsing"
	FileProcessingEmbedding FileProcessingStatus = "embedding"
	FileProcessingCompleted FileProcessingStatus = "completed"
	FileProcessingError     FileProcessingStatus = "error"
)

// DuplicateFileHandling says what an upload does when the folder has a file of that name already. Names are compared, not
// contents.
type DuplicateFileHandling string

// The values known today. The server's default is suffix: each upload of the same file then adds one more.
const (
	DuplicateFileSkip    DuplicateFileHandling = "skip"    // keep the old file, and answer with it
	DuplicateFileError   DuplicateFileHandling = "error"   // keep the old file, and answer ErrBadRequest
	DuplicateFileSuffix  DuplicateFileHandling = "suffix"  // keep both: the new one is called name_(1).txt
	DuplicateFileReplace DuplicateFileHandling = "replace" // delete the old file, and add the new one with an id of its own
)

// FolderFileUploadParams hold a file. File is required.
type FolderFileUploadParams struct {
	// File is read once, while it is sent. It is closed only if it is an io.Closer and one of its Reads is under way when
	// the context or a timeout ends the upload, which waits for that Read.
	File              io.Reader             `url:"-" form:"file" letta:"required"`
	DuplicateHandling DuplicateFileHandling `url:"duplicate_handling,omitempty"`
	// Name replaces the name that the folder keeps the file under.
	Name string `url:"name,omitempty"`
	// FileName is the file's own name, whose extension tells what is in it.
	FileName string `url:"-"`
	// ContentType is that of the extension when left out.
	ContentType string `url:"-"`
	// Progress, if set, is called with the bytes of File that were sent so far.
	Progress func(sent int64) `url:"-"`
}

// FolderFileRetrieveParams choose what to load.
type FolderFileRetrieveParams struct {
	IncludeContent bool `url:"include_content,omitempty"`
}

// FolderFileListParams page the files of a folder.
type FolderFileListParams struct {
	After          FileID `url:"after,omitempty"`
	Before         FileID `url:"before,omitempty"`
	IncludeContent bool   `url:"include_content,omitempty"`
	// Limit is the length of a page; the server's default is 1000.
	Limit   int     `url:"limit,omitempty"`
	Order   Order   `url:"order,omitempty"`
	OrderBy OrderBy `url:"order_by,omitempty"`
}
