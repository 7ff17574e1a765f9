package letta

import (
	"context"
	"errors"
	"fmt"
)

// Find returns the folder with exactly this name, and ErrNotFound if there is none.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderService) Find(ctx context.Context, name string, opts ...RequestOption) (*Folder, error) {
	return s.find(ctx, "folders.find", name, opts)
}

func (s *FolderService) find(ctx context.Context, operation, name string, opts []RequestOption) (*Folder, error) {
	return named(operation, name, errNoFolder, func() ([]*Folder, error) { return s.List(ctx, &FolderListParams{Name: name}, opts...) },
		func(f *Folder) string { return f.Name })
}

var errNoFolder = fmt.Errorf("%w: there is no folder", ErrNotFound)

// Ensure returns the folder with the Name of params, and creates it as they say if there is none. A folder that is there is
// left as it is. Letta 0.16.8 keeps names unique: of two programs that create one folder at the same moment, both get the
// one that was made. So a program may call it whenever it starts, and once more after an error.
//
// Deprecated: on Letta Cloud use /v1/repositories, by Client.Do. A self-hosted server still has folders.
func (s *FolderService) Ensure(ctx context.Context, params *FolderCreateParams, opts ...RequestOption) (*Folder, error) {
	const operation = "folders.ensure"
	cfg, err := s.core.resolveFor(operation, accepts{}, opts)
	if err != nil {
		return nil, err
	}
	if err := validate(params, false); err != nil {
		return nil, invalid(operation, "%w", err)
	}
	if _, err := marshal(params); err != nil {
		return nil, invalid(operation, "the params cannot be encoded: %w", err)
	}
	ctx, cancel := cfg.boundAll(ctx)
	defer cancel()
	find := func() (*Folder, error) { return s.find(ctx, operation, params.Name, []RequestOption{cfg.followUp()}) }
	folder, err := find()
	if !errors.Is(err, errNoFolder) {
		return folder, err
	}
	folder, err = s.Create(ctx, params, cfg)
	if errors.Is(err, ErrConflict) { // another program was faster
		if theirs, err := find(); err == nil {
			return theirs, nil
		}
	}
	return folder, later(err)
}
