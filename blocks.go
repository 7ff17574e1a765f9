package letta

import (
	"context"
	"iter"
	"net/http"
)

// BlockService is client.Blocks: memory blocks, which agents can share. https://docs.letta.com/api/resources/blocks
type BlockService struct {
	core   *core
	Agents *BlockAgentService
}

// Create makes a block.
func (s *BlockService) Create(ctx context.Context, params *BlockCreateParams, opts ...RequestOption) (*Block, error) {
	return do[*Block](ctx, s.core, request{op: Operation{"blocks.create", http.MethodPost, "/v1/blocks/"}, body: params}, opts)
}

// Retrieve gets a block.
func (s *BlockService) Retrieve(ctx context.Context, id BlockID, opts ...RequestOption) (*Block, error) {
	return do[*Block](ctx, s.core, request{op: Operation{"blocks.retrieve", http.MethodGet, "/v1/blocks/{block_id}"}, ids: []any{id}}, opts)
}

// Update changes a block for every agent that has it.
func (s *BlockService) Update(ctx context.Context, id BlockID, params *BlockUpdateParams, opts ...RequestOption) (*Block, error) {
	return do[*Block](ctx, s.core, request{op: Operation{"blocks.update", http.MethodPatch, "/v1/blocks/{block_id}"}, ids: []any{id}, body: params}, opts)
}

// List gets one page of blocks, oldest first unless Order says otherwise.
func (s *BlockService) List(ctx context.Context, params *BlockListParams, opts ...RequestOption) ([]*Block, error) {
	return do[[]*Block](ctx, s.core, request{op: Operation{"blocks.list", http.MethodGet, "/v1/blocks/"}, query: params}, opts)
}

// ListAll walks over all blocks, page by page.
func (s *BlockService) ListAll(ctx context.Context, params *BlockListParams, opts ...RequestOption) iter.Seq2[*Block, error] {
	return pages("blocks.list_all", params, func(p *BlockListParams) ([]*Block, error) { return s.List(ctx, p, opts...) },
		func(p *BlockListParams, b *Block) string { p.After = b.ID; return string(b.ID) })
}

// Delete removes a block, also from the agents that have it.
func (s *BlockService) Delete(ctx context.Context, id BlockID, opts ...RequestOption) error {
	return s.core.send(ctx, request{op: Operation{"blocks.delete", http.MethodDelete, "/v1/blocks/{block_id}"}, ids: []any{id}}, nil, opts)
}

// Block is a labelled piece of an agent's memory that is always in its context.
type Block struct {
	ID    BlockID `json:"id"`
	Value string  `json:"value"`
	// Deprecated: by Letta.
	BaseTemplateID string `json:"base_template_id,omitzero"`
	CreatedByID    string `json:"created_by_id,omitzero"`
	// Deprecated: by Letta.
	DeploymentID string `json:"deployment_id,omitzero"`
	Description  string `json:"description,omitzero"`
	// Deprecated: by Letta.
	EntityID string `json:"entity_id,omitzero"`
	// Deprecated: by Letta.
	Hidden          bool   `json:"hidden,omitzero"`
	IsTemplate      bool   `json:"is_template"`
	Label           string `json:"label,omitzero"`
	LastUpdatedByID string `json:"last_updated_by_id,omitzero"`
	// Limit is the most characters that Value may hold.
	Limit    int            `json:"limit"`
	Metadata map[string]any `json:"metadata,omitzero"`
	// Deprecated: by Letta.
	PreserveOnMigration bool   `json:"preserve_on_migration,omitzero"`
	ProjectID           string `json:"project_id,omitzero"`
	// Deprecated: by Letta.
	ReadOnly bool     `json:"read_only"`
	Tags     []string `json:"tags,omitzero"`
	// Deprecated: by Letta.
	TemplateID TemplateID `json:"template_id,omitzero"`
	// Deprecated: by Letta.
	TemplateName string `json:"template_name,omitzero"`
}

// BlockCreateParams describe a new block. Label and Value are required.
type BlockCreateParams struct {
	Label          string `json:"label" letta:"required"`
	Value          string `json:"value"`
	BaseTemplateID string `json:"base_template_id,omitzero"`
	DeploymentID   string `json:"deployment_id,omitzero"`
	Description    string `json:"description,omitzero"`
	EntityID       string `json:"entity_id,omitzero"`
	Hidden         bool   `json:"hidden,omitzero"`
	IsTemplate     bool   `json:"is_template,omitzero"`
	// Limit is the most characters that Value may hold.
	Limit               int            `json:"limit,omitzero"`
	Metadata            map[string]any `json:"metadata,omitzero"`
	PreserveOnMigration bool           `json:"preserve_on_migration,omitzero"`
	ProjectID           string         `json:"project_id,omitzero"`
	ReadOnly            bool           `json:"read_only,omitzero"`
	Tags                []string       `json:"tags,omitzero"`
	TemplateID          TemplateID     `json:"template_id,omitzero"`
	TemplateName        string         `json:"template_name,omitzero"`
}

// CreateBlock is Letta's word for a block that is made together with its agent.
type CreateBlock = BlockCreateParams

// BlockUpdateParams are the fields to change.
type BlockUpdateParams struct {
	BaseTemplateID Opt[string] `json:"base_template_id,omitzero"`
	DeploymentID   Opt[string] `json:"deployment_id,omitzero"`
	Description    Opt[string] `json:"description,omitzero"`
	EntityID       Opt[string] `json:"entity_id,omitzero"`
	Hidden         Opt[bool]   `json:"hidden,omitzero"`
	IsTemplate     Opt[bool]   `json:"is_template,omitzero"`
	Label          Opt[string] `json:"label,omitzero"`
	// Limit is the most characters that Value may hold.
	Limit               Opt[int]        `json:"limit,omitzero"`
	Metadata            map[string]any  `json:"metadata,omitzero"`
	PreserveOnMigration Opt[bool]       `json:"preserve_on_migration,omitzero"`
	ProjectID           Opt[string]     `json:"project_id,omitzero"`
	ReadOnly            Opt[bool]       `json:"read_only,omitzero"`
	Tags                []string        `json:"tags,omitzero"`
	TemplateID          Opt[TemplateID] `json:"template_id,omitzero"`
	TemplateName        Opt[string]     `json:"template_name,omitzero"`
	Value               Opt[string]     `json:"value,omitzero"`
}

// BlockListParams filter and page blocks.
type BlockListParams struct {
	After                    BlockID    `url:"after,omitempty"`
	Before                   BlockID    `url:"before,omitempty"`
	ConnectedToAgentsCountEq []int      `url:"connected_to_agents_count_eq,omitempty"`
	ConnectedToAgentsCountGt Opt[int]   `url:"connected_to_agents_count_gt,omitempty"`
	ConnectedToAgentsCountLt Opt[int]   `url:"connected_to_agents_count_lt,omitempty"`
	DescriptionSearch        string     `url:"description_search,omitempty"`
	IdentifierKeys           []string   `url:"identifier_keys,omitempty"`
	IdentityID               IdentityID `url:"identity_id,omitempty"`
	Label                    string     `url:"label,omitempty"`
	LabelSearch              string     `url:"label_search,omitempty"`
	// Limit is the length of a page; the server's default is 50.
	Limit         int       `url:"limit,omitempty"`
	MatchAllTags  bool      `url:"match_all_tags,omitempty"`
	Name          string    `url:"name,omitempty"`
	Order         Order     `url:"order,omitempty"`
	OrderBy       OrderBy   `url:"order_by,omitempty"`
	ProjectID     string    `url:"project_id,omitempty"`
	Tags          []string  `url:"tags,omitempty"`
	TemplatesOnly Opt[bool] `url:"templates_only,omitempty"`
	ValueSearch   string    `url:"value_search,omitempty"`
}
