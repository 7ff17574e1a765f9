package letta

import (
	"context"
	"iter"
	"net/http"
)

// TagService is client.Tags: the tags of all agents and blocks.
type TagService struct{ core *core }

// List gets one page of tags, in alphabetical order.
func (s *TagService) List(ctx context.Context, params *TagListParams, opts ...RequestOption) ([]string, error) {
	return do[[]string](ctx, s.core, request{op: Operation{"tags.list", http.MethodGet, "/v1/tags/"}, query: params}, opts)
}

// ListAll walks over all tags, page by page.
func (s *TagService) ListAll(ctx context.Context, params *TagListParams, opts ...RequestOption) iter.Seq2[string, error] {
	return pages("tags.list_all", params, func(p *TagListParams) ([]string, error) { return s.List(ctx, p, opts...) },
		func(p *TagListParams, tag string) string { p.After = tag; return tag })
}

// TagListParams filter and page tags.
type TagListParams struct {
	After  string `url:"after,omitempty"`
	Before string `url:"before,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit int `url:"limit,omitempty"`
	// Name keeps the tags that hold it somewhere, in any case.
	Name      string  `url:"name,omitempty"`
	Order     Order   `url:"order,omitempty"`
	OrderBy   OrderBy `url:"order_by,omitempty"`
	QueryText string  `url:"query_text,omitempty"`
}
