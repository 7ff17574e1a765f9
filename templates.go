package letta

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// TemplateService is client.Templates: agents to make other agents of. Letta Cloud only.
// https://docs.letta.com/api/resources/templates
type TemplateService struct {
	core   *core
	Agents *TemplateAgentService
}

// Create makes a template of an agent or of an agent file.
func (s *TemplateService) Create(ctx context.Context, params *TemplateCreateParams, opts ...RequestOption) (*Template, error) {
	r := request{op: Operation{"templates.create", http.MethodPost, "/v1/templates"}, body: params}
	if params != nil {
		body := templateCreateBody{Type: "agent_file", TemplateCreateParams: params}
		switch {
		case (params.AgentID == "") == (len(params.AgentFile) == 0):
			return nil, invalid(r.op.Name, "%w", errors.New("either agent_id or agent_file is needed"))
		case params.AgentID != "":
			body.Type = "agent"
		}
		r.body = body
	}
	return do[*Template](ctx, s.core, r, opts)
}

// Update replaces the working version of a template by an agent file. The name goes without a version.
func (s *TemplateService) Update(ctx context.Context, name string, params *TemplateUpdateParams, opts ...RequestOption) (*TemplateUpdateResponse, error) {
	return do[*TemplateUpdateResponse](ctx, s.core, request{op: Operation{"templates.update", http.MethodPatch, "/v1/templates/{template_name}"}, ids: []any{name}, body: params}, opts)
}

// Delete deletes all versions of a template. The name goes without a version.
func (s *TemplateService) Delete(ctx context.Context, name string, opts ...RequestOption) (*TemplateDeleteResponse, error) {
	return do[*TemplateDeleteResponse](ctx, s.core, request{op: Operation{"templates.delete", http.MethodDelete, "/v1/templates/{template_name}"}, ids: []any{name}}, opts)
}

// Rollback makes a saved version the working version again. Unsaved changes are saved as a version first. The name goes
// without a version.
func (s *TemplateService) Rollback(ctx context.Context, name string, params *TemplateRollbackParams, opts ...RequestOption) (*TemplateUpdateResponse, error) {
	return do[*TemplateUpdateResponse](ctx, s.core, request{op: Operation{"templates.rollback", http.MethodPost, "/v1/templates/{template_name}/rollback"}, ids: []any{name}, body: params}, opts)
}

// Save saves the working version of a template as a new version. A version in the name is ignored.
func (s *TemplateService) Save(ctx context.Context, name string, params *TemplateSaveParams, opts ...RequestOption) (*Template, error) {
	p := copyOf(params)
	return do[*Template](ctx, s.core, request{op: Operation{"templates.save", http.MethodPost, "/v1/templates/{template_name}/save"}, ids: []any{name}, body: &p}, opts)
}

// templateCreateBody says which kind of source the params have.
type templateCreateBody struct {
	Type string `json:"type"`
	*TemplateCreateParams
}

// TemplateCreateParams say what to make a template of: either AgentID or AgentFile is required.
type TemplateCreateParams struct {
	// AgentID is an agent of any project.
	AgentID AgentID `json:"agent_id,omitzero"`
	// AgentFile is what Agents.ExportFile gives.
	AgentFile json.RawMessage `json:"agent_file,omitzero"`
	// Name holds letters, digits, _ and - only; without one, Letta Cloud makes one up.
	Name string `json:"name,omitzero"`
	// UpdateExistingTools also updates tools that exist already. It goes with AgentFile.
	UpdateExistingTools bool `json:"update_existing_tools,omitzero"`
}

// TemplateUpdateParams replace the working version of a template. AgentFileJSON is required.
type TemplateUpdateParams struct {
	// AgentFileJSON is what Agents.ExportFile gives.
	AgentFileJSON json.RawMessage `json:"agent_file_json" letta:"required"`
	// SaveExistingChanges saves the working version as a version first.
	SaveExistingChanges bool `json:"save_existing_changes,omitzero"`
	// UpdateExistingTools also updates tools that exist already.
	UpdateExistingTools bool `json:"update_existing_tools,omitzero"`
}

// TemplateRollbackParams name the version to go back to. Version is required.
type TemplateRollbackParams struct {
	Version string `json:"version" letta:"required"` // such as "1" or "latest"
}

// BlockReconciliationStrategy says what becomes of the blocks of agents that move to a new version of their template.
type BlockReconciliationStrategy string

// The values known today.
const (
	BlockReconciliationStrategyReconcileAll    BlockReconciliationStrategy = "reconcile-all"    // blocks that the template lacks are deleted
	BlockReconciliationStrategyPreserveDeleted BlockReconciliationStrategy = "preserve-deleted" // they stay; the default
)

// TemplateSaveParams describe a new version, and say whether agents move to it.
type TemplateSaveParams struct {
	BlockReconciliationStrategy BlockReconciliationStrategy `json:"block_reconciliation_strategy,omitzero"`
	Message                     string                      `json:"message,omitzero"` // what has changed, for people
	// MigrateAgents moves the agents of this template to the new version.
	MigrateAgents                           bool      `json:"migrate_agents,omitzero"`
	PreserveCoreMemoriesOnMigration         Opt[bool] `json:"preserve_core_memories_on_migration,omitzero"`
	PreserveEnvironmentVariablesOnMigration Opt[bool] `json:"preserve_environment_variables_on_migration,omitzero"`
	// PreserveSourcesOnMigration keeps the folders of the agents, beside those of the template.
	PreserveSourcesOnMigration Opt[bool] `json:"preserve_sources_on_migration,omitzero"`
}

// Template is a template of Letta Cloud.
type Template struct {
	ID                     TemplateID `json:"id"`
	LatestVersion          string     `json:"latest_version"`
	Name                   string     `json:"name"`
	ProjectID              string     `json:"project_id"`
	ProjectSlug            string     `json:"project_slug"`
	TemplateDeploymentSlug string     `json:"template_deployment_slug"`
	UpdatedAt              string     `json:"updated_at"` // as Letta Cloud writes it
	Description            string     `json:"description,omitzero"`
}

// TemplateUpdateResponse says whether a template was changed.
type TemplateUpdateResponse struct {
	Success bool   `json:"success"`
	Message string `json:"message,omitzero"`
}

// TemplateDeleteResponse says whether a template was deleted.
type TemplateDeleteResponse struct {
	Success bool `json:"success"`
}
